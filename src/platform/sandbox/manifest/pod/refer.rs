//! Finding the Secret or the ConfigMap that a field refers to.

use crate::platform::sandbox::manifest::keyed::Near;
use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::manifest::tree::shortened;
use crate::platform::sandbox::pod_spec::{Key, Keyed, KeyedKind};
use crate::yaml::nearest;

/// A field that refers to one.
pub(super) struct Reference<'a> {
    pub kind: KeyedKind,
    pub name: &'a str,
    pub optional: Option<bool>,
    /// The field.
    pub path: &'a str,
}

impl Reference<'_> {
    /// What it refers to; where there is none, that is refused, or noted where it is optional.
    pub(super) fn find<'n>(&self, near: &'n Near, report: &mut Report<'_>) -> Option<&'n Keyed> {
        let known = near.of(self.kind);
        let found = known.iter().find(|keyed| keyed.name == self.name);
        if found.is_none() {
            let message = format!("there is no {} {:?} in the files", self.kind, shortened(self.name));
            let names = known.iter().map(|keyed| keyed.name.as_str());
            let hint =
                nearest(self.name, names).map_or_else(|| self.hint(), |near| format!("did you mean {near}?"));
            self.missing(self.path, message, hint, report);
        }
        found
    }

    /// A key of it, in the same way; `path` is where it is named.
    pub(super) fn key<'n>(
        &self,
        keyed: &'n Keyed,
        key: &str,
        path: &str,
        report: &mut Report<'_>,
    ) -> Option<&'n Key> {
        let found = keyed.keys.iter().find(|known| known.name == key);
        if found.is_none() {
            let message = format!("there is no key {:?} in {} {}", shortened(key), self.kind, keyed.name);
            let names = keyed.keys.iter().map(|key| key.name.as_str());
            let hint =
                nearest(key, names).map_or_else(|| self.hint(), |near| format!("did you mean {near}?"));
            self.missing(path, message, hint, report);
        }
        found
    }

    fn missing(&self, path: &str, message: String, hint: String, report: &mut Report<'_>) {
        if self.optional == Some(true) {
            report.note(path, format!("left out, because it is optional and {message}"));
        } else {
            report.refuse(path, message, hint);
        }
    }

    fn hint(&self) -> String {
        let (kind, command) = match self.kind {
            KeyedKind::Secret => ("Secret", "secret"),
            KeyedKind::ConfigMap => ("ConfigMap", "configmap"),
        };
        format!(
            "add the {kind} as a document, for example from `kubectl get {command} NAME -o yaml`, or write optional: true where it can be missing"
        )
    }
}

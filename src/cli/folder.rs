//! The folder of a run: what was given, its journal, its reports and its logs.

use std::fs;
use std::path::{Path, PathBuf};

use super::recorded::JOURNAL;
use crate::report::command::{EXPERIMENT, MANIFESTS};
use crate::spec;
use crate::spec::document::Document;

/// `NAME-YYYYMMDD-HHMMSS`, by the wall clock in UTC.
pub(super) fn name_of(experiment: &str) -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    format!("{experiment}-{}", now.strftime("%Y%m%d-%H%M%S"))
}

/// Makes the run's folder; one that holds a journal is never written into. The path is absolute, because the process
/// may change its view of the machine later.
pub(super) fn create(folder: &Path) -> Result<PathBuf, String> {
    let told = |error: std::io::Error| {
        format!("cannot create {}: {error}; --out names another folder", folder.display())
    };
    fs::create_dir_all(folder).map_err(told)?;
    refuse_used(folder)?;
    fs::canonicalize(folder).map_err(told)
}

/// Refuses a folder that holds a run.
pub(super) fn refuse_used(folder: &Path) -> Result<(), String> {
    if folder.join(JOURNAL).exists() {
        Err(format!("{} holds a run already: choose another --out", folder.display()))
    } else {
        Ok(())
    }
}

/// What a command was given.
pub(super) struct Given {
    /// The Experiment.
    pub experiment: Document,
    /// Everything else.
    pub manifests: Vec<Document>,
}

impl Given {
    /// Writes it into the run's folder without what is secret, so that the run can be repeated from there. What cannot be
    /// written is a warning.
    pub(super) fn keep(&self, folder: &Path) {
        let manifests: Vec<String> = self.manifests.iter().map(without_secrets).collect();
        for (name, text) in [(EXPERIMENT, self.experiment.text.clone()), (MANIFESTS, manifests.join("---\n"))]
        {
            if !text.is_empty()
                && let Err(error) = fs::write(folder.join(name), text)
            {
                tracing::warn!("{name} was not written: {error}");
            }
        }
    }
}

/// A manifest's text; of a Secret, its name.
fn without_secrets(manifest: &Document) -> String {
    if spec::kind(manifest).is_ok_and(|kind| kind.kind != "Secret") {
        return format!("{}\n", manifest.text.trim_end());
    }
    let read: serde_json::Value = serde_saphyr::from_str(&manifest.text).unwrap_or_default();
    let name = &read["metadata"]["name"];
    format!("# Secret {name} is not kept here: give its manifest, too.\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::document::split;

    #[test]
    fn a_secret_is_named_and_not_kept() {
        let given = "apiVersion: v1\nkind: Service\nmetadata: {name: db}\n---\nkind: Secret\napiVersion: v1\n\
                     metadata: {name: tls}\nstringData: {key: hush}\n---\n# last\nkind: StatefulSet\napiVersion: apps/v1";
        let documents = split("x.yaml", given.as_bytes()).expect("it is YAML");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let given = Given { experiment: documents[2].clone(), manifests: documents };
        given.keep(folder.path());
        let text = |name| fs::read_to_string(folder.path().join(name)).expect("it was written");
        let kept = text(MANIFESTS);
        assert_eq!(split("kept", kept.as_bytes()).map(|documents| documents.len()), Ok(2), "{kept}");
        assert!(!kept.contains("hush") && kept.contains("# Secret \"tls\" is not kept here"), "{kept}");
        assert!(
            kept.contains("name: db") && kept.ends_with("# last\nkind: StatefulSet\napiVersion: apps/v1\n")
        );
        assert_eq!(text(EXPERIMENT), given.experiment.text);
    }
}

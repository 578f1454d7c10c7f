//! Fields of the pod that its variables and files refer to.

use k8s_openapi::api::core::v1::ObjectFieldSelector;

use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::manifest::tree::shortened;
use crate::platform::sandbox::pod_spec::FieldPath;
use crate::yaml::nearest;

/// Where a field is asked for: a cluster knows other ones in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Variable,
    File,
}

const EVERYWHERE: [(&str, FieldPath); 3] = [
    ("metadata.name", FieldPath::PodName),
    ("metadata.namespace", FieldPath::Namespace),
    ("metadata.uid", FieldPath::PodUid),
];

const VARIABLES: [(&str, FieldPath); 6] = [
    ("status.podIP", FieldPath::PodIp),
    ("status.podIPs", FieldPath::PodIp),
    ("status.hostIP", FieldPath::HostIp),
    ("status.hostIPs", FieldPath::HostIp),
    ("spec.nodeName", FieldPath::NodeName),
    ("spec.serviceAccountName", FieldPath::ServiceAccount),
];

const FILES: [(&str, FieldPath); 2] =
    [("metadata.labels", FieldPath::Labels), ("metadata.annotations", FieldPath::Annotations)];

/// The field that is named at `path`, which is that of the `fieldRef`.
pub(super) fn read(
    field: &ObjectFieldSelector,
    used: Use,
    path: &str,
    report: &mut Report<'_>,
) -> Option<FieldPath> {
    let own: &[(&str, FieldPath)] = match used {
        Use::Variable => &VARIABLES,
        Use::File => &FILES,
    };
    let known = || EVERYWHERE.iter().chain(own);
    let name = field.field_path.as_str();
    let key = |prefix: &str| {
        let key = name.strip_prefix(prefix)?.strip_suffix("']")?;
        (!key.is_empty() && !key.contains('\'')).then(|| key.to_owned())
    };
    let found = key("metadata.labels['")
        .map(FieldPath::Label)
        .or_else(|| key("metadata.annotations['").map(FieldPath::Annotation))
        .or_else(|| known().find(|(known, _)| *known == name).map(|(_, field)| field.clone()));
    if found.is_none() {
        let near = nearest(name, known().map(|(known, _)| *known));
        let hint = near.map_or_else(
            || {
                let names: Vec<&str> = known().map(|(known, _)| *known).collect();
                format!("it knows {} and labels", names.join(", "))
            },
            |near| format!("did you mean {near}?"),
        );
        let message = format!("the sandbox does not know the field {:?}", shortened(name));
        report.refuse(&format!("{path}.fieldPath"), message, hint);
    }
    found
}

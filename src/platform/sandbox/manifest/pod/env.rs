//! Environment variables.

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVarSource, SecretKeySelector};
use secrecy::ExposeSecret;

use super::secret_volume::{missing, refer};
use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::manifest::tree::shortened;
use crate::platform::sandbox::pod_spec::{EnvValue, EnvVar, FieldPath, Secret, SecretKey};
use crate::yaml::nearest;

const NO_CONFIG: &str = "ConfigMaps are not supported in the sandbox yet";

const LEFT_OUT: &str = "left out, because it is optional and the sandbox has no ConfigMaps";

/// The variables of the container at `path`, in order.
pub(super) fn read(
    container: &Container,
    path: &str,
    secrets: &[Secret],
    report: &mut Report<'_>,
) -> Vec<EnvVar> {
    let mut variables = Vec::new();
    for (index, source) in container.env_from.iter().flatten().enumerate() {
        variables.extend(all_of(source, &format!("{path}.envFrom[{index}]"), secrets, report));
    }
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let path = format!("{path}.env[{index}]");
        if variable.name.is_empty() || variable.name.contains('=') {
            let message = format!("{:?} is no name of a variable", shortened(&variable.name));
            report.refuse(&format!("{path}.name"), message, "use letters, digits and underscores");
        }
        let text = variable.value.clone().unwrap_or_default();
        let value = match &variable.value_from {
            None => Some(EnvValue::Text(text)),
            Some(_) if !text.is_empty() => {
                report.refuse(&path, "has both value and valueFrom", "leave one of them out");
                None
            }
            Some(source) => from(source, &format!("{path}.valueFrom"), secrets, report),
        };
        variables.extend(value.map(|value| EnvVar { name: variable.name.clone(), value }));
    }
    variables
}

fn from(source: &EnvVarSource, path: &str, secrets: &[Secret], report: &mut Report<'_>) -> Option<EnvValue> {
    let (config, secret) = (&source.config_map_key_ref, &source.secret_key_ref);
    let count =
        [config.is_some(), secret.is_some(), source.field_ref.is_some(), source.resource_field_ref.is_some()]
            .into_iter()
            .filter(|is_there| *is_there)
            .count();
    if count != 1 {
        report.refuse(path, format!("has {count} sources"), "write exactly one, for example fieldRef");
        return None;
    }
    if let Some(config) = config {
        optional_only(&format!("{path}.configMapKeyRef"), config.optional, report);
    }
    if let Some(of) = secret {
        return key_of(of, &format!("{path}.secretKeyRef"), secrets, report);
    }
    // A resourceFieldRef is refused by the table.
    let field = source.field_ref.as_ref()?;
    let path = format!("{path}.fieldRef.fieldPath");
    let read = field_path(&field.field_path);
    if read.is_none() {
        let near = nearest(&field.field_path, SUPPORTED.iter().map(|(name, _)| *name));
        let hint = near.map_or_else(
            || format!("it knows {} and labels", SUPPORTED.map(|(name, _)| name).join(", ")),
            |near| format!("did you mean {near}?"),
        );
        let message = format!("the sandbox does not know the field {:?}", shortened(&field.field_path));
        report.refuse(&path, message, hint);
    }
    read.map(EnvValue::Field)
}

/// One key of a Secret.
fn key_of(
    of: &SecretKeySelector,
    path: &str,
    secrets: &[Secret],
    report: &mut Report<'_>,
) -> Option<EnvValue> {
    let secret = refer(&of.name, of.optional, path, secrets, report)?;
    let Some(key) = secret.keys.iter().find(|key| key.name == of.key) else {
        let message = format!("there is no key {:?} in Secret {}", shortened(&of.key), secret.name);
        missing(path, message, of.optional, report);
        return None;
    };
    variable(secret, key, path, report)
}

/// Every key of a Secret.
fn all_of(source: &EnvFromSource, path: &str, secrets: &[Secret], report: &mut Report<'_>) -> Vec<EnvVar> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    if let Some(of) = &source.secret_ref {
        let path = format!("{path}.secretRef");
        let secret = refer(&of.name, of.optional, &path, secrets, report);
        let keys = secret.into_iter().flat_map(|secret| secret.keys.iter().map(move |key| (secret, key)));
        return keys
            .filter_map(|(secret, key)| {
                let value = variable(secret, key, &path, report)?;
                Some(EnvVar { name: format!("{prefix}{}", key.name), value })
            })
            .collect();
    }
    match &source.config_map_ref {
        Some(of) => optional_only(&format!("{path}.configMapRef"), of.optional, report),
        None => report.refuse(path, "names no source", "leave it out"),
    }
    Vec::new()
}

/// The value of a variable, which the kernel wants to be a text without a zero byte.
fn variable(secret: &Secret, key: &SecretKey, path: &str, report: &mut Report<'_>) -> Option<EnvValue> {
    let content = key.content.expose_secret();
    if std::str::from_utf8(content).is_err() || content.contains(&0) {
        let message = format!("{:?} of Secret {} is no text", shortened(&key.name), secret.name);
        report.refuse(path, message, "mount it as a file");
        return None;
    }
    Some(EnvValue::Secret { secret: secret.name.clone(), key: key.name.clone() })
}

fn optional_only(path: &str, optional: Option<bool>, report: &mut Report<'_>) {
    if optional == Some(true) {
        report.note(path, LEFT_OUT);
    } else {
        report.refuse(path, NO_CONFIG, "write the value itself, or optional: true where it can be missing");
    }
}

const SUPPORTED: [(&str, FieldPath); 9] = [
    ("metadata.name", FieldPath::PodName),
    ("metadata.namespace", FieldPath::Namespace),
    ("metadata.uid", FieldPath::PodUid),
    ("status.podIP", FieldPath::PodIp),
    ("status.podIPs", FieldPath::PodIp),
    ("status.hostIP", FieldPath::HostIp),
    ("status.hostIPs", FieldPath::HostIp),
    ("spec.nodeName", FieldPath::NodeName),
    ("spec.serviceAccountName", FieldPath::ServiceAccount),
];

fn field_path(path: &str) -> Option<FieldPath> {
    let key = |prefix: &str| {
        let key = path.strip_prefix(prefix)?.strip_suffix("']")?;
        (!key.is_empty() && !key.contains('\'')).then(|| key.to_owned())
    };
    key("metadata.labels['")
        .map(FieldPath::Label)
        .or_else(|| key("metadata.annotations['").map(FieldPath::Annotation))
        .or_else(|| SUPPORTED.into_iter().find(|(name, _)| *name == path).map(|(_, field)| field))
}

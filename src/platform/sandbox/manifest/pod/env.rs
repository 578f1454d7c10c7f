//! Environment variables.

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVarSource};
use secrecy::ExposeSecret;

use super::field::{self, Use};
use super::refer::Reference;
use super::{Around, resources};
use crate::platform::sandbox::manifest::keyed::Near;
use crate::platform::sandbox::manifest::report::Report;
use crate::platform::sandbox::manifest::tree::shortened;
use crate::platform::sandbox::pod_spec::{EnvValue, EnvVar, Key, KeyRef, Keyed, KeyedKind};

/// The variables of the container at `path`, in order.
pub(super) fn read(
    container: &Container,
    path: &str,
    around: &Around<'_>,
    report: &mut Report<'_>,
) -> Vec<EnvVar> {
    let near = around.near;
    let mut variables = Vec::new();
    for (index, source) in container.env_from.iter().flatten().enumerate() {
        variables.extend(all_of(source, &format!("{path}.envFrom[{index}]"), near, report));
    }
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let path = format!("{path}.env[{index}]");
        if variable.name.is_empty() || !is_name(&variable.name) {
            refuse_name(&variable.name, &format!("{path}.name"), report);
        }
        let text = variable.value.clone().unwrap_or_default();
        let value = match &variable.value_from {
            None => Some(EnvValue::Text(text)),
            Some(_) if !text.is_empty() => {
                report.refuse(&path, "has both value and valueFrom", "leave one of them out");
                None
            }
            Some(source) => from(source, container, &format!("{path}.valueFrom"), around, report),
        };
        variables.extend(value.map(|value| EnvVar { name: variable.name.clone(), value }));
    }
    variables
}

fn from(
    source: &EnvVarSource,
    container: &Container,
    path: &str,
    around: &Around<'_>,
    report: &mut Report<'_>,
) -> Option<EnvValue> {
    let near = around.near;
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
    if let Some(of) = config {
        let path = format!("{path}.configMapKeyRef");
        let reference =
            Reference { kind: KeyedKind::ConfigMap, name: &of.name, optional: of.optional, path: &path };
        return key_of(&reference, &of.key, near, report);
    }
    if let Some(of) = secret {
        let path = format!("{path}.secretKeyRef");
        let reference =
            Reference { kind: KeyedKind::Secret, name: &of.name, optional: of.optional, path: &path };
        return key_of(&reference, &of.key, near, report);
    }
    if let Some(of) = &source.resource_field_ref {
        let path = format!("{path}.resourceFieldRef");
        return resources::field(of, Some(container), &around.containers, &path, report).map(EnvValue::Text);
    }
    let field = source.field_ref.as_ref()?;
    field::read(field, Use::Variable, &format!("{path}.fieldRef"), report).map(EnvValue::Field)
}

/// One key.
fn key_of(reference: &Reference<'_>, key: &str, near: &Near, report: &mut Report<'_>) -> Option<EnvValue> {
    let keyed = reference.find(near, report)?;
    let key = reference.key(keyed, key, reference.path, report)?;
    variable(reference, keyed, key, report)
}

/// Every key.
fn all_of(source: &EnvFromSource, path: &str, near: &Near, report: &mut Report<'_>) -> Vec<EnvVar> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    if !is_name(prefix) {
        refuse_name(prefix, &format!("{path}.prefix"), report);
    }
    let (field, kind, name, optional) = match (&source.config_map_ref, &source.secret_ref) {
        (Some(of), None) => ("configMapRef", KeyedKind::ConfigMap, &of.name, of.optional),
        (None, Some(of)) => ("secretRef", KeyedKind::Secret, &of.name, of.optional),
        (Some(_), Some(_)) => {
            report.refuse(path, "names two sources", "make two items of it");
            return Vec::new();
        }
        (None, None) => {
            report.refuse(path, "names no source", "leave it out");
            return Vec::new();
        }
    };
    let path = format!("{path}.{field}");
    let reference = Reference { kind, name, optional, path: &path };
    let Some(keyed) = reference.find(near, report) else {
        return Vec::new();
    };
    let variable_of = |key: &Key| {
        let value = variable(&reference, keyed, key, report)?;
        Some(EnvVar { name: format!("{prefix}{}", key.name), value })
    };
    keyed.keys.iter().filter(|key| !key.is_binary).filter_map(variable_of).collect()
}

/// Whether a name of a variable may have these letters, as a cluster takes them.
fn is_name(text: &str) -> bool {
    text.chars().all(|letter| matches!(letter, ' '..='~') && letter != '=')
}

fn refuse_name(name: &str, path: &str, report: &mut Report<'_>) {
    let message = format!("{:?} is no name of a variable", shortened(name));
    report.refuse(path, message, "use letters, digits and underscores");
}

/// The value of a variable, which the kernel wants to be a text without a zero byte.
fn variable(
    reference: &Reference<'_>,
    keyed: &Keyed,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<EnvValue> {
    let content = key.content.expose_secret();
    if key.is_binary || std::str::from_utf8(content).is_err() || content.contains(&0) {
        let message = format!("{:?} of {} {} is no text", shortened(&key.name), reference.kind, keyed.name);
        report.refuse(reference.path, message, "mount it as a file");
        return None;
    }
    let (object, key) = (keyed.name.clone(), key.name.clone());
    Some(EnvValue::Key(KeyRef { kind: reference.kind, object, key }))
}

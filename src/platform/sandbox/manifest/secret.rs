//! Secrets, which containers see as files and variables, and which experiments name.
//!
//! Their values are read from the tree, not by type: a type that refuses a value repeats it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretSlice;

use super::names::LABEL_HINT;
use super::report::Report;
use super::tree::{Entry, Value, shortened};
use crate::experiment::SecretName;
use crate::platform::sandbox::pod_spec::{Secret, SecretKey};

/// A Secret and the namespace that it is in.
pub(super) struct Found {
    pub namespace: String,
    pub secret: Secret,
}

/// Reads the Secret of `report`; what it refuses is in the report.
pub(super) fn read(report: &mut Report<'_>) -> Found {
    let metadata = report.tree.get("metadata");
    let text = |field: &str| metadata.and_then(|metadata| metadata.text_of(field)).map(str::to_owned);
    let (name, namespace) = (text("name").unwrap_or_default(), text("namespace"));
    if SecretName::try_from(name.clone()).is_err() {
        let message = format!("{:?} is no name of a Secret", shortened(&name));
        report.refuse("metadata.name", message, LABEL_HINT);
    }
    let mut keys: Vec<SecretKey> = Vec::new();
    // What is said in both is what `stringData` says, as in a cluster.
    for (field, decode) in [("stringData", plain as Decode), ("data", base64)] {
        for entry in entries(field, report) {
            let path = format!("{field}.{}", shortened(&entry.key));
            if !is_key(&entry.key) {
                let hint =
                    "use letters, digits, dashes, underscores and dots, and do not begin with two dots";
                report.refuse_at(entry.place, &path, "is no key of a Secret", hint);
                continue;
            }
            match decode(&entry.value.value) {
                Ok(_) if keys.iter().any(|key| key.name == entry.key) => {}
                Ok(content) => keys.push(SecretKey { name: entry.key.clone(), content }),
                Err((message, hint)) => report.refuse_at(entry.place, &path, message, hint),
            }
        }
    }
    keys.sort_by(|one, other| one.name.cmp(&other.name));
    Found { namespace: namespace.unwrap_or_else(|| "default".to_owned()), secret: Secret { name, keys } }
}

fn entries<'a>(field: &str, report: &mut Report<'a>) -> &'a [Entry] {
    let Some(node) = report.tree.get(field) else {
        return &[];
    };
    match &node.value {
        Value::Map(entries) => entries,
        Value::Null => &[],
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
            report.refuse(field, "must be a mapping of keys", "write KEY: VALUE");
            &[]
        }
    }
}

type Decode = fn(&Value) -> Result<SecretSlice<u8>, (&'static str, &'static str)>;

fn plain(value: &Value) -> Result<SecretSlice<u8>, (&'static str, &'static str)> {
    match value {
        Value::Text(text) => Ok(text.as_bytes().to_vec().into()),
        Value::Null => Ok(Vec::new().into()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
            Err(("must be a text", "put it in quotes"))
        }
    }
}

fn base64(value: &Value) -> Result<SecretSlice<u8>, (&'static str, &'static str)> {
    const HINT: &str = "write it under stringData as it is, or encode it with `base64 -w0`";
    match value {
        // A block of YAML has line ends, which Kubernetes takes, too.
        Value::Text(text) => {
            let letters: String = text.split_ascii_whitespace().collect();
            STANDARD.decode(letters).map(Into::into).map_err(|_| ("is not base64", HINT))
        }
        Value::Null => Ok(Vec::new().into()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
            Err(("must be a text in base64", HINT))
        }
    }
}

/// Whether this can be a key, and so a name of a file.
fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= 253
        && key != "."
        && !key.starts_with("..")
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

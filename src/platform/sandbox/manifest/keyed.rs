//! Secrets and ConfigMaps, which containers see as files and variables. Experiments name Secrets, too.
//!
//! Their values are read from the tree, not by type: a type that refuses a value repeats it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretSlice;

use super::names::LABEL_HINT;
use super::report::Report;
use super::tree::{Entry, Value, shortened};
use crate::experiment::SecretName;
use crate::platform::sandbox::pod_spec::{Key, Keyed, KeyedKind};

/// A Secret or a ConfigMap, and the namespace that it is in.
pub(super) struct Found {
    pub namespace: String,
    pub kind: KeyedKind,
    pub keyed: Keyed,
}

/// Those that a set can refer to.
#[derive(Debug, Default)]
pub(super) struct Near {
    pub secrets: Vec<Keyed>,
    pub config_maps: Vec<Keyed>,
}

impl Near {
    /// Those of the namespace.
    pub(super) fn in_namespace(namespace: &str, all: &[Found]) -> Self {
        let of = |kind| {
            let near = all.iter().filter(|found| found.kind == kind && found.namespace == namespace);
            near.map(|found| found.keyed.clone()).collect()
        };
        Self { secrets: of(KeyedKind::Secret), config_maps: of(KeyedKind::ConfigMap) }
    }

    /// Those of this kind.
    pub(super) fn of(&self, kind: KeyedKind) -> &[Keyed] {
        match kind {
            KeyedKind::Secret => &self.secrets,
            KeyedKind::ConfigMap => &self.config_maps,
        }
    }
}

/// The fields with content, and how each is written.
fn fields(kind: KeyedKind) -> [(&'static str, Decode); 2] {
    match kind {
        // What is said in both is what `stringData` says, as in a cluster.
        KeyedKind::Secret => [("stringData", plain), ("data", base64_or_plain)],
        KeyedKind::ConfigMap => [("data", plain), ("binaryData", base64)],
    }
}

/// Reads the document of `report`; what it refuses is in the report.
pub(super) fn read(kind: KeyedKind, report: &mut Report<'_>) -> Found {
    let metadata = report.tree.get("metadata");
    let text = |field: &str| metadata.and_then(|metadata| metadata.text_of(field)).map(str::to_owned);
    let (name, namespace) = (text("name").unwrap_or_default(), text("namespace"));
    if SecretName::try_from(name.clone()).is_err() {
        let message = format!("{:?} is no name of a {kind}", shortened(&name));
        report.refuse("metadata.name", message, LABEL_HINT);
    }
    let mut keys: Vec<Key> = Vec::new();
    for (field, decode) in fields(kind) {
        for entry in entries(field, report) {
            let path = format!("{field}.{}", shortened(&entry.key));
            if !is_key(&entry.key) {
                let hint =
                    "use letters, digits, dashes, underscores and dots, and do not begin with two dots";
                report.refuse_at(entry.place, &path, format!("is no key of a {kind}"), hint);
                continue;
            }
            match decode(&entry.value.value) {
                Ok(_) if keys.iter().any(|key| key.name == entry.key) => {
                    if kind == KeyedKind::ConfigMap {
                        let hint = "leave it out of one of them, as a cluster demands";
                        report.refuse_at(entry.place, &path, "is in data as well", hint);
                    }
                }
                Ok(content) => {
                    let is_binary = field == "binaryData";
                    keys.push(Key { name: entry.key.clone(), is_binary, content });
                }
                Err((message, hint)) => report.refuse_at(entry.place, &path, message, hint),
            }
        }
    }
    keys.sort_by(|one, other| one.name.cmp(&other.name));
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    Found { namespace, kind, keyed: Keyed { name, keys } }
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

/// What a value holds, or what is wrong with it and what to do.
type Decoded = Result<SecretSlice<u8>, (&'static str, &'static str)>;

type Decode = fn(&Value) -> Decoded;

fn plain(value: &Value) -> Decoded {
    match value {
        Value::Text(text) => Ok(text.as_bytes().to_vec().into()),
        Value::Null => Ok(Vec::new().into()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
            Err(("must be a text", "put it in quotes"))
        }
    }
}

fn base64(value: &Value) -> Decoded {
    decoded(value, "encode it with `base64 -w0`")
}

fn base64_or_plain(value: &Value) -> Decoded {
    decoded(value, "write it under stringData as it is, or encode it with `base64 -w0`")
}

fn decoded(value: &Value, hint: &'static str) -> Decoded {
    match value {
        // A block of YAML has line ends, which Kubernetes takes, too.
        Value::Text(text) => {
            let letters: String = text.split_ascii_whitespace().collect();
            STANDARD.decode(letters).map(Into::into).map_err(|_| ("is not base64", hint))
        }
        Value::Null => Ok(Vec::new().into()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
            Err(("must be a text in base64", hint))
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

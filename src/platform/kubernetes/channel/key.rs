//! How an Injection of a cluster is called inside a node, where names of all namespaces meet.

use std::fmt;
use std::str::FromStr;

/// `NAMESPACE/NAME`. Neither part can contain a slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// `metadata.namespace`, which is also that of the target.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// It is not of that form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not of the form NAMESPACE/NAME")]
pub struct NotAKey(String);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            Some(_) | None => Err(NotAKey(text.to_owned())),
        }
    }
}

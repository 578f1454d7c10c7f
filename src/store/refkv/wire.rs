//! The documents of refkv's interface, as a client reads and writes them.

use std::collections::BTreeMap;
use std::fmt::Write;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Failure;
use crate::api::Ordinal;

/// The body of a write.
#[derive(Serialize)]
pub(super) struct Put {
    pub(super) value: u64,
}

/// The body of a compare-and-set.
#[derive(Serialize)]
pub(super) struct Cas {
    pub(super) expect: Option<u64>,
    pub(super) value: u64,
}

/// The answer to a read.
#[derive(Deserialize)]
pub(super) struct Found {
    pub(super) value: Option<Value>,
}

/// The answer to a compare-and-set.
#[derive(Deserialize)]
pub(super) struct Done {
    pub(super) swapped: bool,
    pub(super) current: Option<Value>,
}

/// The answer to a listing.
#[derive(Deserialize)]
pub(super) struct Entries {
    pub(super) entries: BTreeMap<String, Value>,
}

/// A member's own view of the group.
#[derive(Deserialize)]
pub(super) struct View {
    pub(super) role: String,
    pub(super) term: u64,
    pub(super) leader: Option<Ordinal>,
    pub(super) applied: Option<u64>,
    pub(super) voter: bool,
}

/// An answer that is no success.
#[derive(Deserialize)]
pub(super) struct Problem {
    error: String,
    applied: Applied,
}

/// Whether a change may have happened.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Applied {
    No,
    Unknown,
}

impl Problem {
    /// The failure that an error answer stands for.
    pub(super) fn classify(status: StatusCode, body: &[u8]) -> Failure {
        match serde_json::from_slice(body) {
            Ok(Self { error, applied: Applied::No }) => Failure::NotApplied(error),
            Ok(Self { error, applied: Applied::Unknown }) => Failure::Unknown(error),
            Err(_) => Failure::Unknown(format!("refkv answered {status}")),
        }
    }
}

/// A request's body.
pub(super) fn json(document: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(document)
        .map_err(|error| Failure::NotApplied(format!("cannot be written as JSON: {error}")))
}

/// A value of the workload.
pub(super) fn number(value: Option<Value>) -> Result<Option<u64>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_u64()
            .map(Some)
            .ok_or_else(|| format!("the value {value} is not a number: somebody else writes to this scope")),
    }
}

/// A key in a path or in a query: everything but letters, digits, `-._~` and `/` is percent-encoded (RFC 3986).
pub(super) fn encoded(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_what_is_special_in_a_url() {
        assert_eq!(encoded("seatrial/r/7"), "seatrial/r/7");
        assert_eq!(encoded("a b?c#d%é"), "a%20b%3Fc%23d%25%C3%A9");
    }

    #[test]
    fn an_error_that_does_not_say_whether_it_was_applied_proves_nothing() {
        let silent = Problem::classify(StatusCode::INTERNAL_SERVER_ERROR, b"{\"error\":\"oops\"}");
        assert_eq!(silent, Failure::Unknown("refkv answered 500 Internal Server Error".into()));
        let refused = Problem::classify(
            StatusCode::SERVICE_UNAVAILABLE,
            br#"{"error":"no leader","applied":"no","leader":null}"#,
        );
        assert_eq!(refused, Failure::NotApplied("no leader".into()));
    }
}

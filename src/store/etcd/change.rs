//! Documents that change one key: put, and the transaction that compares and sets.

use serde::{Deserialize, Serialize};

use super::range::{Range, Ranged};
use super::wire::Octets;

/// `PutRequest`.
#[derive(Serialize)]
pub(super) struct Put {
    key: Octets,
    value: Octets,
}

impl Put {
    /// Sets `key` to the decimal `value`.
    pub(super) fn new(key: &str, value: u64) -> Self {
        Self { key: Octets(key.into()), value: Octets(value.to_string().into()) }
    }
}

/// `TxnRequest` with one condition and one operation either way.
#[derive(Serialize)]
pub(super) struct Txn {
    pub(super) compare: [Compare; 1],
    pub(super) success: [RequestOp; 1],
    pub(super) failure: [RequestOp; 1],
}

/// `Compare`.
#[derive(Serialize)]
pub(super) struct Compare {
    key: Octets,
    result: &'static str,
    target: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Octets>,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_revision: Option<&'static str>,
}

impl Compare {
    /// Whether `key` has the value `expect`, or does not exist where that is `None`.
    pub(super) fn value_is(key: &str, expect: Option<u64>) -> Self {
        let key = Octets(key.into());
        let result = "EQUAL";
        match expect {
            Some(value) => Self {
                key,
                result,
                target: "VALUE",
                value: Some(Octets(value.to_string().into())),
                create_revision: None,
            },
            None => Self { key, result, target: "CREATE", value: None, create_revision: Some("0") },
        }
    }
}

/// `RequestOp`.
#[derive(Serialize)]
pub(super) enum RequestOp {
    #[serde(rename = "request_put")]
    Put(Put),
    #[serde(rename = "request_range")]
    Range(Range),
}

/// `TxnResponse`.
#[derive(Deserialize)]
pub(super) struct TxnDone {
    #[serde(default)]
    pub(super) succeeded: bool,
    #[serde(default)]
    responses: Vec<ResponseOp>,
}

/// `ResponseOp`, of which only a range's matters.
#[derive(Deserialize)]
struct ResponseOp {
    response_range: Option<Ranged>,
}

impl TxnDone {
    /// What the read of the branch taken on a mismatch found.
    pub(super) fn current(&self) -> Result<Option<u64>, String> {
        self.responses
            .first()
            .and_then(|response| response.response_range.as_ref())
            .ok_or_else(|| "etcd's answer to a transaction lacks its read".to_owned())?
            .single()
    }
}

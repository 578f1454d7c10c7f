//! The documents of etcd's JSON gateway, as far as they are needed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::{Listing, ReadMode};

/// An empty document; as an answer: one whose content does not matter.
#[derive(Serialize, Deserialize)]
pub(super) struct Nothing {}

/// Bytes, which are base64 on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Octets(Vec<u8>);

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD
            .decode(text.as_bytes())
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// A 64-bit number, which is a string on the wire.
mod long {
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// `MemberListResponse`.
#[derive(Deserialize)]
pub(super) struct MemberList {
    #[serde(default)]
    pub(super) members: Vec<Listed>,
}

/// `Member`.
#[derive(Deserialize)]
pub(super) struct Listed {
    #[serde(rename = "ID", deserialize_with = "long::deserialize")]
    pub(super) id: u64,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default, rename = "peerURLs")]
    pub(super) peer_urls: Vec<String>,
}

/// `ResponseHeader`.
#[derive(Deserialize)]
pub(super) struct Header {
    #[serde(default, deserialize_with = "long::deserialize")]
    pub(super) member_id: u64,
    #[serde(default, deserialize_with = "long::deserialize")]
    revision: u64,
}

/// `StatusResponse`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) header: Header,
    /// The id of the leader; 0 where there is none.
    #[serde(default, deserialize_with = "long::deserialize")]
    pub(super) leader: u64,
    #[serde(default, deserialize_with = "long::deserialize")]
    pub(super) raft_term: u64,
    /// Since 3.4.
    #[serde(default, deserialize_with = "long::deserialize")]
    pub(super) raft_applied_index: u64,
    #[serde(default)]
    pub(super) is_learner: bool,
}

/// `RangeRequest`.
#[derive(Serialize)]
pub(super) struct Range {
    key: Octets,
    /// Without it only `key` is meant.
    #[serde(rename = "range_end", skip_serializing_if = "Option::is_none")]
    end: Option<Octets>,
    #[serde(skip_serializing_if = "is_zero")]
    limit: u64,
    #[serde(skip_serializing_if = "is_zero")]
    revision: u64,
    serializable: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Range {
    /// One key.
    pub(super) fn key(key: &str, mode: ReadMode) -> Self {
        Self {
            key: Octets(key.into()),
            end: None,
            limit: 0,
            revision: 0,
            serializable: match mode {
                ReadMode::Linearizable => false,
                ReadMode::Local => true,
            },
        }
    }

    /// The first page of the keys that start with `prefix`, as the member holds them.
    pub(super) fn prefix(prefix: &str, page: u64) -> Self {
        Self {
            end: Some(end_of(prefix)),
            limit: page,
            ..Self::key(prefix, ReadMode::Local)
        }
    }
}

/// The first key after all that start with `prefix`. A prefix is never empty and is UTF-8, in which no byte is 0xff, so
/// its last byte can be increased.
fn end_of(prefix: &str) -> Octets {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    Octets(end)
}

/// `KeyValue`.
#[derive(Deserialize)]
struct KeyValue {
    key: Octets,
    #[serde(default)]
    value: Octets,
}

impl KeyValue {
    fn number(&self) -> Option<u64> {
        std::str::from_utf8(&self.value.0).ok()?.parse().ok()
    }
}

/// `RangeResponse`.
#[derive(Deserialize)]
pub(super) struct Ranged {
    header: Header,
    #[serde(default)]
    kvs: Vec<KeyValue>,
    #[serde(default)]
    more: bool,
}

impl Ranged {
    /// The value of the only key that was asked for.
    pub(super) fn single(&self) -> Result<Option<u64>, String> {
        single(&self.kvs)
    }

    /// What to ask for next, at the revision of the first page, so that the pages are one state.
    pub(super) fn next_page(&self, asked: Range) -> Option<Range> {
        let last = self.kvs.last().filter(|_| self.more)?;
        let mut after = last.key.0.clone();
        after.push(0);
        Some(Range {
            key: Octets(after),
            revision: if asked.revision == 0 {
                self.header.revision
            } else {
                asked.revision
            },
            ..asked
        })
    }

    /// Adds what was found.
    pub(super) fn add_to(self, listing: &mut Listing) -> Result<(), String> {
        for pair in self.kvs {
            let value = pair.number();
            let key = String::from_utf8(pair.key.0).map_err(|_| "a key is not UTF-8".to_owned())?;
            match value {
                Some(value) => {
                    listing.values.insert(key, value);
                }
                None => listing.foreign.push(key),
            }
        }
        Ok(())
    }
}

fn single(pairs: &[KeyValue]) -> Result<Option<u64>, String> {
    let Some(pair) = pairs.first() else {
        return Ok(None);
    };
    match pair.number() {
        Some(value) => Ok(Some(value)),
        None => Err(format!(
            "the value of `{}` is not a number: somebody else writes to this scope",
            String::from_utf8_lossy(&pair.key.0)
        )),
    }
}

/// `PutRequest`.
#[derive(Serialize)]
pub(super) struct Put {
    key: Octets,
    value: Octets,
}

impl Put {
    /// Sets `key` to the decimal `value`.
    pub(super) fn new(key: &str, value: u64) -> Self {
        Self {
            key: Octets(key.into()),
            value: Octets(value.to_string().into()),
        }
    }
}

/// `DeleteRangeRequest`.
#[derive(Serialize)]
pub(super) struct DeleteRange {
    key: Octets,
    range_end: Octets,
}

impl DeleteRange {
    /// Every key that starts with `prefix`.
    pub(super) fn prefix(prefix: &str) -> Self {
        Self {
            key: Octets(prefix.into()),
            range_end: end_of(prefix),
        }
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
            None => Self {
                key,
                result,
                target: "CREATE",
                value: None,
                create_revision: Some("0"),
            },
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

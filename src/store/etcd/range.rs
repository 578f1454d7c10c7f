//! Documents about ranges of keys: reading one, listing a prefix page by page, removing a prefix.

use serde::{Deserialize, Serialize};

use super::super::{Listing, ReadMode};
use super::wire::{Header, Octets};

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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
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
        Self { end: Some(end_of(prefix)), limit: page, ..Self::key(prefix, ReadMode::Local) }
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
            revision: if asked.revision == 0 { self.header.revision } else { asked.revision },
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

/// `DeleteRangeRequest`.
#[derive(Serialize)]
pub(super) struct DeleteRange {
    key: Octets,
    range_end: Octets,
}

impl DeleteRange {
    /// Every key that starts with `prefix`.
    pub(super) fn prefix(prefix: &str) -> Self {
        Self { key: Octets(prefix.into()), range_end: end_of(prefix) }
    }
}

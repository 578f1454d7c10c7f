//! What etcd's JSON gateway says about members, and how it spells bytes and numbers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An empty document; as an answer: one whose content does not matter.
#[derive(Serialize, Deserialize)]
pub(super) struct Nothing {}

/// Bytes, which are base64 on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Octets(pub(super) Vec<u8>);

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A 64-bit number, which is a string on the wire.
mod long {
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
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
    pub(super) revision: u64,
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

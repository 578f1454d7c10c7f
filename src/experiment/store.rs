//! How a store's members are asked: which store it is, on which port, and by which Secrets.

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The longest name that Kubernetes gives an object.
const LONGEST_NAME: usize = 253;
/// The longest identifier of PostgreSQL (NAMEDATALEN - 1).
const LONGEST_DATABASE_NAME: usize = 63;

/// A store that Seatrial knows how to ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Store {
    /// etcd 3.4 and later, through its JSON gateway.
    ///
    /// Needs: the port of clients, which every member serves. Where etcd has users, one that may read and write below the
    /// workload's scope: `etcdctl role grant-permission --prefix ROLE readwrite seatrial/`.
    ///
    /// Who has to be there: a majority of those that vote.
    Etcd(SecurePort<2379>),
    /// PostgreSQL 11 and later: a primary and its streaming standbys.
    ///
    /// Needs: a user with a schema of its own, for one table that is dropped in the end: `CREATE ROLE seatrial LOGIN
    /// PASSWORD '…'; CREATE SCHEMA AUTHORIZATION seatrial`, and `GRANT pg_monitor TO seatrial` where somebody promotes
    /// standbys; connections for all clients; standbys whose `application_name` is the name of their pod (`cluster_name`).
    ///
    /// Who has to be there: the primary, and as many standbys as `synchronous_standby_names` makes a write wait for.
    Postgres(Postgres),
    /// The built-in replicated key-value store.
    ///
    /// Needs: the image `seatrial.dev/refkv`, which a sandbox has built in.
    ///
    /// Who has to be there: a majority.
    Refkv(StorePort<7400>),
}

/// The client port of a store, with its usual number as the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StorePort<const USUAL: u16> {
    /// The port.
    #[serde(default = "usual::<USUAL>")]
    pub port: u16,
}

/// The client port of a store that can ask for TLS and for a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecurePort<const USUAL: u16> {
    /// The port.
    #[serde(default = "usual::<USUAL>")]
    pub port: u16,
    /// Whom to trust, and who we are; plain connections where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// As which user; nobody where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
}

/// How PostgreSQL is entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Postgres {
    /// The port.
    #[serde(default = "usual::<5432>")]
    pub port: u16,
    /// The database in which the workload has its table. Default `postgres`.
    #[serde(default)]
    pub database: DatabaseName,
    /// Whom to trust, and who we are; plain connections where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// As which user; `postgres`, without a password, where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
}

/// The name of a database of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseName(String);

impl Default for DatabaseName {
    fn default() -> Self {
        Self("postgres".into())
    }
}

impl JsonSchema for DatabaseName {
    fn schema_name() -> Cow<'static, str> {
        "DatabaseName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": LONGEST_DATABASE_NAME })
    }
}

impl DatabaseName {
    /// As PostgreSQL knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DatabaseName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if (1..=LONGEST_DATABASE_NAME).contains(&name.len()) && !name.contains('\0') {
            return Ok(Self(name));
        }
        Err(format!(
            "cannot be the name of a database, which has 1 to {LONGEST_DATABASE_NAME} bytes: write one that is there, for \
             example postgres"
        ))
    }
}

impl From<DatabaseName> for String {
    fn from(name: DatabaseName) -> Self {
        name.0
    }
}

fn usual<const USUAL: u16>() -> u16 {
    USUAL
}

/// Connections by TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// A Secret of the target's namespace: `ca.crt` is whom to trust; `tls.crt` and `tls.key`, where they are there, are
    /// the client's own certificate and its key.
    pub secret: SecretName,
    /// The name that the members' certificates carry. Left out, it is a name of the pod or of its Service, as
    /// `etcd-0.etcd.NAMESPACE.svc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<ServerName>,
}

/// The user of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// A Secret of the target's namespace with the keys `username` and `password`.
    pub secret: SecretName,
}

/// The name of a Secret: a DNS subdomain (RFC 1123), so that it is a name of a file as well.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(String);

impl JsonSchema for SecretName {
    fn schema_name() -> Cow<'static, str> {
        "SecretName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_NAME,
            "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        })
    }
}

impl SecretName {
    /// As Kubernetes writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that a certificate can carry: a DNS name, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(String);

impl JsonSchema for ServerName {
    fn schema_name() -> Cow<'static, str> {
        "ServerName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": LONGEST_NAME })
    }
}

impl ServerName {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ServerName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        };
        let is_name = name.len() <= LONGEST_NAME && name.split('.').all(is_label);
        if is_name || name.parse::<std::net::IpAddr>().is_ok() {
            return Ok(Self(name));
        }
        Err(format!(
            "`{name}` cannot be the name in a certificate: write a DNS name or an address, without a port"
        ))
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> Self {
        name.0
    }
}

impl std::fmt::Display for SecretName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for SecretName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let is_label = |label: &str| {
            label.starts_with(is_letter)
                && label.ends_with(is_letter)
                && label.chars().all(|c| is_letter(c) || c == '-')
        };
        if name.len() <= LONGEST_NAME && name.split('.').all(is_label) {
            return Ok(Self(name));
        }
        // What stands here by mistake may be the secret itself, so it is not repeated.
        Err("is no name of a Secret: write metadata.name of one, for example etcd-client-tls".into())
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> Self {
        name.0
    }
}

impl Store {
    /// Its name in documents.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Etcd(_) => "etcd",
            Self::Postgres(_) => "postgres",
            Self::Refkv(_) => "refkv",
        }
    }

    /// Whether its members tell who leads.
    pub fn tells_roles(&self) -> bool {
        match self {
            Self::Etcd(_) | Self::Postgres(_) | Self::Refkv(_) => true,
        }
    }

    /// Whether its members vote on who leads; in a store that does not vote, the leader tells what its writes need.
    pub fn votes(&self) -> bool {
        match self {
            Self::Etcd(_) | Self::Refkv(_) => true,
            Self::Postgres(_) => false,
        }
    }

    /// TLS, where it is asked for.
    pub fn tls(&self) -> Option<&Tls> {
        match self {
            Self::Etcd(at) => at.tls.as_ref(),
            Self::Postgres(at) => at.tls.as_ref(),
            Self::Refkv(_) => None,
        }
    }

    /// The user, where there is one.
    pub fn auth(&self) -> Option<&Auth> {
        match self {
            Self::Etcd(at) => at.auth.as_ref(),
            Self::Postgres(at) => at.auth.as_ref(),
            Self::Refkv(_) => None,
        }
    }

    /// Every Secret that it names, once.
    pub fn secrets(&self) -> BTreeSet<&SecretName> {
        self.tls().map(|tls| &tls.secret).into_iter().chain(self.auth().map(|auth| &auth.secret)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_once_each() {
        let read = |json: &str| serde_json::from_str::<Store>(json).expect("a store");
        let both = read(r#"{"etcd":{"tls":{"secret":"a"},"auth":{"secret":"b"}}}"#);
        assert_eq!(both.secrets().into_iter().map(SecretName::as_str).collect::<Vec<_>>(), ["a", "b"]);
        let one = read(r#"{"etcd":{"tls":{"secret":"a"},"auth":{"secret":"a"}}}"#);
        assert_eq!(one.secrets().len(), 1);
        assert_eq!(read(r#"{"etcd":{}}"#).secrets().len(), 0);
    }

    #[test]
    fn a_name_that_is_no_secrets_is_not_repeated() {
        for wrong in ["", "Etcd", "../etc", "a..b", "-a", "a-", "hunter2!", &"a".repeat(254)] {
            let told = SecretName::try_from(wrong.to_owned()).expect_err(wrong);
            assert!(!told.contains("hunter2"), "{told}");
        }
        assert!(SecretName::try_from("etcd-client.tls".to_owned()).is_ok());
    }

    #[test]
    fn a_server_is_named_as_certificates_name_it() {
        for wrong in ["", "https://etcd", "etcd:2379", "*.etcd", "a..b"] {
            assert!(ServerName::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        for name in ["etcd.example.com", "etcd", "10.0.0.7", "fd00::7"] {
            assert!(ServerName::try_from(name.to_owned()).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_was_written_before_there_were_secrets_reads_and_writes_as_it_did() {
        let store: Store = serde_json::from_str(r#"{"etcd":{"port":2379}}"#).expect("a store");
        assert_eq!(serde_json::to_string(&store).expect("JSON"), r#"{"etcd":{"port":2379}}"#);
    }
}

//! What a member is told on its command line or by its environment, and what follows from it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::bugs::Bugs;

/// The options of one member. Every one can come from the environment as well, so that one pod template serves all.
///
/// The variables start with `REFKV_` but avoid the names that Kubernetes injects for a Service called `refkv`
/// (`REFKV_PORT`, `REFKV_SERVICE_HOST`, `REFKV_SERVICE_PORT`).
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// This member's number; taken from the hostname (`refkv-2` is member 2) if left out
    #[arg(long, env = "REFKV_ID")]
    pub id: Option<u64>,
    /// Where clients and peers reach this member
    #[arg(long, env = "REFKV_LISTEN", default_value = "0.0.0.0:7400")]
    pub listen: SocketAddr,
    /// The folder for log, vote and snapshots
    #[arg(long, env = "REFKV_DATA", default_value = "/data")]
    pub data: PathBuf,
    /// All members including this one: `0=host:port,1=host:port,…`
    #[arg(long, env = "REFKV_PEERS", value_delimiter = ',', conflicts_with = "replicas")]
    pub peers: Vec<Peer>,
    /// How many members there are, numbered from 0, where their names follow from --service
    #[arg(long, env = "REFKV_REPLICAS", requires = "service")]
    pub replicas: Option<u64>,
    /// The headless Service under which member N is `NAME-N.SERVICE`; short or fully qualified
    #[arg(long, env = "REFKV_SERVICE")]
    pub service: Option<String>,
    /// Switches a known bug on; may be given more than once
    #[arg(long = "bug", env = "REFKV_BUGS", value_name = "NAME")]
    pub bugs: Vec<Bugs>,
    /// How often the leader is heard of
    #[arg(long, env = "REFKV_HEARTBEAT", default_value = "100ms", value_parser = duration)]
    pub heartbeat: Duration,
    /// The shortest time without a leader after which a member campaigns
    #[arg(long, env = "REFKV_ELECTION_MIN", default_value = "300ms", value_parser = duration)]
    pub election_min: Duration,
    /// The longest such time; also how long a member sticks to a leader that it has heard
    #[arg(long, env = "REFKV_ELECTION_MAX", default_value = "600ms", value_parser = duration)]
    pub election_max: Duration,
    /// After this time a request that is still open is answered with an unknown outcome
    #[arg(long, env = "REFKV_REQUEST_TIMEOUT", default_value = "2s", value_parser = duration)]
    pub request_timeout: Duration,
    /// Log entries between two snapshots
    #[arg(long, env = "REFKV_SNAPSHOT_EVERY", default_value_t = 20_000)]
    pub snapshot_every: u64,
}

fn duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration =
        text.parse().map_err(|error| format!("{error}; write it like 100ms or 2s"))?;
    signed.try_into().map_err(|_| "a time span cannot be negative".to_owned())
}

/// One member's number and address, `NUMBER=HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    id: u64,
    address: String,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not a member; write it like 0=host:7400");
        let (id, address) = text.trim().split_once('=').ok_or_else(wrong)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        if host.is_empty() || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        Ok(Self { id: id.parse().map_err(|_| wrong())?, address: address.to_owned() })
    }
}

/// What is wrong with a set of options.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// Neither way to name the members was used.
    #[error("nobody said who the members are; give --peers 0=host:port,… or --replicas N --service NAME")]
    NoMembers,
    /// The number is not given and the hostname ends in none.
    #[error("the hostname {hostname:?} does not end in -NUMBER; give --id")]
    NoOrdinal {
        /// The name of this host.
        hostname: String,
    },
    /// One number for two members.
    #[error("member {id} is named twice in --peers")]
    NamedTwice {
        /// The number.
        id: u64,
    },
    /// The member is not one of the members.
    #[error("this is member {id}, but the members are {members:?}")]
    NotAMember {
        /// This member.
        id: u64,
        /// Those that were named.
        members: Vec<u64>,
    },
    /// The timers would make members campaign against a healthy leader.
    #[error(
        "--heartbeat < --election-min < --election-max must hold, but they are {heartbeat:?}, {min:?} and {max:?}"
    )]
    Timers {
        /// `--heartbeat`
        heartbeat: Duration,
        /// `--election-min`
        min: Duration,
        /// `--election-max`
        max: Duration,
    },
}

/// Options that fit together.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This member.
    pub id: u64,
    /// All members with their addresses; names, because addresses behind them change.
    pub members: BTreeMap<u64, String>,
    /// The bugs that are on.
    pub bugs: Bugs,
}

impl Options {
    /// Decides who this member is and who the others are; `hostname` is this host's name.
    pub fn settle(&self, hostname: &str) -> Result<Settings, OptionsError> {
        if self.heartbeat >= self.election_min || self.election_min >= self.election_max {
            return Err(OptionsError::Timers {
                heartbeat: self.heartbeat,
                min: self.election_min,
                max: self.election_max,
            });
        }
        let no_ordinal = || OptionsError::NoOrdinal { hostname: hostname.to_owned() };
        let pod = hostname.split('.').next().unwrap_or_default();
        let numbered = pod.rsplit_once('-').and_then(|(name, id)| Some((name, id.parse::<u64>().ok()?)));
        let id = self.id.or(numbered.map(|(_, id)| id)).ok_or_else(no_ordinal)?;

        let mut members = BTreeMap::new();
        if let (Some(replicas), Some(service)) = (self.replicas, &self.service) {
            let (name, _) = numbered.ok_or_else(no_ordinal)?;
            let port = self.listen.port();
            members.extend((0..replicas).map(|n| (n, format!("{name}-{n}.{service}:{port}"))));
        }
        for peer in &self.peers {
            if members.insert(peer.id, peer.address.clone()).is_some() {
                return Err(OptionsError::NamedTwice { id: peer.id });
            }
        }
        if members.is_empty() {
            return Err(OptionsError::NoMembers);
        }
        if !members.contains_key(&id) {
            return Err(OptionsError::NotAMember { id, members: members.into_keys().collect() });
        }
        let bugs = self.bugs.iter().fold(Bugs::default(), Bugs::union);
        Ok(Settings { id, members, bugs })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn settle(arguments: &[&str], hostname: &str) -> Result<Settings, OptionsError> {
        let line = Line::parse_from([&["refkv"], arguments].concat());
        line.options.settle(hostname)
    }

    #[test]
    fn takes_its_number_and_its_peers_from_the_hostname_and_the_service() {
        let settings =
            settle(&["--replicas", "2", "--service", "refkv.default.svc.cluster.local"], "refkv-1");
        let settings = settings.expect("a pod's hostname");
        assert_eq!(settings.id, 1);
        assert_eq!(settings.members[&0], "refkv-0.refkv.default.svc.cluster.local:7400");
    }

    #[test]
    fn reads_named_peers_and_bugs() {
        let arguments =
            ["--id", "7", "--peers", "7=a:1,9=b:2", "--bug", "stale-read", "--bug", "forgotten-vote"];
        let settings = settle(&arguments, "laptop").expect("all is said");
        assert_eq!(settings.members.len(), 2);
        assert_eq!(settings.bugs.to_string(), "stale-read,forgotten-vote");
    }

    #[test]
    fn refuses_to_guess() {
        assert!(matches!(settle(&["--id", "0"], "x"), Err(OptionsError::NoMembers)));
        assert!(matches!(settle(&["--peers", "0=a:1"], "laptop"), Err(OptionsError::NoOrdinal { .. })));
        assert!(matches!(settle(&["--peers", "0=a:1"], "x-1"), Err(OptionsError::NotAMember { .. })));
        let twice = settle(&["--peers", "0=a:1,0=b:1"], "x-0");
        assert!(matches!(twice, Err(OptionsError::NamedTwice { id: 0 })));
        let hasty = settle(&["--peers", "0=a:1", "--heartbeat", "400ms"], "x-0");
        assert!(matches!(hasty, Err(OptionsError::Timers { .. })));
    }
}

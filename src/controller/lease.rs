//! Leases: one leader among controllers, one run per target. Every change names the version it was decided on, so that
//! of two that decide at once one loses and looks again.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use super::trouble::{Answer, Doing, Trouble};

/// How long a leader that went silent stays the leader.
pub const TERM: Duration = Duration::from_secs(15);
/// How often the leader says that it is still there, and others look.
pub const BEAT: Duration = Duration::from_secs(2);
/// A leader that could not say so for this long stops leading, well before anybody else begins to.
pub const GIVE_UP: Duration = Duration::from_secs(10);

/// The Lease of the controllers.
pub const LEADER: &str = "seatrial-controller";

/// One controller's claim to lead.
pub struct Candidate {
    leases: Api<Lease>,
    identity: String,
    /// What others hold is timed by our own clock, from when we first saw it: their clocks may differ.
    seen: Option<(Option<MicroTime>, Option<String>, Timestamp)>,
}

impl Candidate {
    /// A candidate that asks for the Lease in `namespace`.
    pub fn new(client: Client, namespace: &str, identity: String) -> Self {
        Self { leases: Api::namespaced(client, namespace), identity, seen: None }
    }

    /// Takes or renews the Lease; says whether this candidate leads now.
    pub async fn beat(&mut self, now: Timestamp) -> Result<bool, Trouble> {
        let Some(found) = self.leases.get_opt(LEADER).await.doing("read the controllers' Lease")? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(LEADER.into()), ..ObjectMeta::default() },
                spec: Some(self.claim(now, None)),
            };
            return won(self.leases.create(&PostParams::default(), &lease).await);
        };
        let spec = found.spec.clone().unwrap_or_default();
        if !self.may_take(&spec, now) {
            return Ok(false);
        }
        let lease = Lease { spec: Some(self.claim(now, Some(&spec))), ..found };
        won(self.leases.replace(LEADER, &PostParams::default(), &lease).await)
    }

    /// Gives the Lease back, so that the next one need not wait for its end.
    pub async fn resign(&self) -> Result<(), Trouble> {
        let Some(found) = self.leases.get_opt(LEADER).await.doing("read the controllers' Lease")? else {
            return Ok(());
        };
        let spec = found.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(());
        }
        let lease = Lease { spec: Some(LeaseSpec { holder_identity: None, ..spec }), ..found };
        match self.leases.replace(LEADER, &PostParams::default(), &lease).await {
            Err(error) if !error.is_conflict() => Err(error).doing("give the controllers' Lease back"),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether the Lease is ours, nobody's, or was not renewed for a whole term as we saw it.
    fn may_take(&mut self, spec: &LeaseSpec, now: Timestamp) -> bool {
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
        if holder.is_none() || holder.as_deref() == Some(&self.identity) {
            return true;
        }
        let since = match &self.seen {
            Some((renewed, seen, since)) if *renewed == spec.renew_time && *seen == holder => *since,
            Some(_) | None => {
                self.seen = Some((spec.renew_time.clone(), holder, now));
                now
            }
        };
        now.duration_since(since).unsigned_abs() >= TERM
    }

    fn claim(&self, now: Timestamp, before: Option<&LeaseSpec>) -> LeaseSpec {
        let kept = before.filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity));
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(TERM.as_secs()).ok(),
            acquire_time: kept.and_then(|spec| spec.acquire_time.clone()).or(Some(MicroTime(now))),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(if kept.is_some() { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }
    }
}

fn won(answer: Result<Lease, kube::Error>) -> Result<bool, Trouble> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.is_conflict() || error.is_there() => Ok(false),
        Err(error) => Err(error).doing("take the controllers' Lease"),
    }
}

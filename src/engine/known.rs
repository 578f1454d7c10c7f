//! What the engine knows of the target: the newest of what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::limits::after;
use crate::api::{MemberSample, Members, Nanos, Ordinal, Pod, PodPhase, Role, Snapshot};
use crate::experiment::Condition;
use crate::plan::{Standing, View, Writes};

/// The target, as far as it was told.
#[derive(Debug, Default)]
pub(super) struct Known {
    snapshot: Snapshot,
    /// The name by which it is asked for, where the platform's first view is not needed to know that.
    asked_for: Option<String>,
    /// How many views of the platform were told: who has seen this one need not look again.
    views: u64,
    members: Option<Members>,
    members_at: Nanos,
    has_store: bool,
    /// Members whose last answer was that they have no vote.
    learners: BTreeSet<Ordinal>,
    /// What the last leader said that writes need, where the store does not vote.
    writes: Option<Writes>,
    /// The last address of each ordinal; kept while its pod is away.
    addresses: BTreeMap<Ordinal, IpAddr>,
    /// Members that this run took down and that have not been seen healthy since, with the moment and the step.
    healing: BTreeMap<Ordinal, (Nanos, String)>,
    /// Steps that wait for an SLI and may start.
    conditions: BTreeSet<String>,
}

impl Known {
    /// Nothing yet.
    pub(super) fn new(has_store: bool) -> Self {
        Self { has_store, ..Self::default() }
    }

    /// Nothing yet of a StatefulSet whose members nobody asks.
    pub(super) fn named(name: &str) -> Self {
        Self { asked_for: Some(name.into()), ..Self::default() }
    }

    /// The platform's view changed.
    pub(super) fn hear_pods(&mut self, snapshot: &Snapshot) {
        for pod in &snapshot.pods {
            if let Some(ip) = pod.ip {
                self.addresses.retain(|&ordinal, known| ordinal == pod.ordinal || *known != ip);
                self.addresses.insert(pod.ordinal, ip);
            }
        }
        self.snapshot = snapshot.clone();
        self.views += 1;
    }

    /// Tells one view of the platform from the next.
    pub(super) fn views(&self) -> u64 {
        self.views
    }

    /// Every member was asked.
    pub(super) fn hear_members(&mut self, members: &Members, now: Nanos) {
        for member in &members.members {
            match member.sample {
                MemberSample::Answer { voter: true, .. } => {
                    self.learners.remove(&member.ordinal);
                }
                MemberSample::Answer { voter: false, .. } => {
                    self.learners.insert(member.ordinal);
                }
                MemberSample::Unreachable(_) | MemberSample::NotSampled(_) => {}
            }
        }
        self.writes = Writes::told(members).or(self.writes.take());
        self.members = Some(members.clone());
        self.members_at = now;
    }

    /// Which steps' conditions on SLIs are true now.
    pub(super) fn hear_conditions(&mut self, steps: &[String]) {
        self.conditions = steps.iter().cloned().collect();
    }

    /// Whether the condition of a step is true now.
    pub(super) fn is_true(&self, step: &str, condition: &Condition) -> bool {
        match condition {
            Condition::Pod { ordinal: Some(ordinal), is } => is.is_true_of(self.snapshot.pod(*ordinal)),
            Condition::Pod { ordinal: None, is } => {
                self.snapshot.ordinals().any(|ordinal| is.is_true_of(self.snapshot.pod(ordinal)))
            }
            Condition::Role { ordinal, is: Role::Leader } => {
                self.members.as_ref().and_then(Members::leader) == Some(*ordinal)
            }
            Condition::Role { ordinal, is: role @ (Role::Follower | Role::Other) } => self
                .members
                .iter()
                .flat_map(|members| members.with_role(*role))
                .any(|found| found == *ordinal),
            Condition::Sli(_) => self.conditions.contains(step),
        }
    }

    /// Whether a member that this run took down has not been seen healthy since.
    pub(super) fn is_healing(&self, ordinal: Ordinal) -> bool {
        self.healing.contains_key(&ordinal)
    }

    /// The StatefulSet's name and its first ordinal.
    pub(super) fn set(&self) -> (&str, Ordinal) {
        (&self.snapshot.name, self.snapshot.first_ordinal)
    }

    /// This run took the member down for a moment: what is heard within the next moment may be older than that.
    pub(super) fn took_down(&mut self, ordinal: Ordinal, step: &str, now: Nanos) {
        self.healing.insert(ordinal, (now, step.into()));
    }

    /// Strikes off who has been seen healthy long enough after this run took it down.
    pub(super) fn notice_healed(&mut self, now: Nanos, stale: Duration) {
        let healing = std::mem::take(&mut self.healing);
        self.healing = healing
            .into_iter()
            .filter(|&(ordinal, (since, _))| {
                let heard_at = if self.has_store { self.members_at } else { now };
                let ready = self.snapshot.pod(ordinal).is_some_and(|pod| pod.ready);
                heard_at < after(since, stale) || !ready || !self.answers(ordinal)
            })
            .collect();
    }

    /// When a member may be struck off without anything being heard.
    pub(super) fn timers(&self, stale: Duration) -> impl Iterator<Item = Nanos> {
        self.healing.values().map(move |&(since, _)| after(since, stale))
    }

    fn answers(&self, ordinal: Ordinal) -> bool {
        let asked = self.members.iter().flat_map(|members| &members.members);
        !self.has_store
            || asked
                .filter(|member| member.ordinal == ordinal)
                .any(|member| matches!(member.sample, MemberSample::Answer { .. }))
    }

    /// Whether more was heard after `since` about who is away. Pods are told when they change, rounds again and again.
    pub(super) fn is_newer_than(&self, since: Nanos) -> bool {
        !self.has_store || self.members_at > since
    }

    /// For selections.
    pub(super) fn view(&self) -> View<'_> {
        View { snapshot: &self.snapshot, members: self.members.as_ref().filter(|_| self.has_store) }
    }

    /// For the guard: who votes, and who is away.
    pub(super) fn standing(&self) -> Standing {
        let mut standing = Standing::of(self.view(), &self.learners).remembering(self.writes.as_ref());
        for (&ordinal, (_, step)) in &self.healing {
            standing.without(ordinal, &format!("not back yet after step {step}"));
        }
        standing
    }

    /// The pod of `ordinal`, whatever its phase.
    pub(super) fn pod(&self, ordinal: Ordinal) -> Option<&Pod> {
        self.snapshot.pod(ordinal)
    }

    /// The pod of `ordinal` if it runs.
    pub(super) fn running(&self, ordinal: Ordinal) -> Option<&Pod> {
        self.pod(ordinal).filter(|pod| pod.phase == PodPhase::Running)
    }

    /// The name of the pod of `ordinal`.
    pub(super) fn name(&self, ordinal: Ordinal) -> String {
        self.view().name(ordinal)
    }

    /// The newest address of each ordinal.
    pub(super) fn addresses(&self) -> &BTreeMap<Ordinal, IpAddr> {
        &self.addresses
    }

    /// Whether every replica is Ready and, where a store is named, every member answers and one of them leads; else
    /// what is missing.
    pub(super) fn healthy(&self) -> Result<(), String> {
        let (name, replicas) = (&self.snapshot.name, self.snapshot.replicas);
        if name.is_empty() {
            let which = self.asked_for.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
            return Err(format!("the platform has not shown the StatefulSet{which} yet"));
        }
        if replicas == 0 {
            return Err(format!("{name} has no replicas: scale it up"));
        }
        let ready = self.snapshot.ready();
        if ready < replicas as usize {
            let others: Vec<_> = self.snapshot.disturbances.iter().map(|other| other.by.as_str()).collect();
            let because = match others.as_slice() {
                [] => String::new(),
                some => format!("; others break it now: {}", some.join(", ")),
            };
            let why = self.snapshot.why_not_ready().map(|why| format!(": {why}")).unwrap_or_default();
            return Err(format!("{ready} of {replicas} pods of {name} are ready{why}{because}"));
        }
        if !self.has_store {
            return Ok(());
        }
        let silent: Vec<_> = self
            .snapshot
            .ordinals()
            .filter(|&ordinal| !self.answers(ordinal))
            .map(|ordinal| self.name(ordinal))
            .collect();
        if !silent.is_empty() {
            return Err(format!("no answer from {}", silent.join(", ")));
        }
        let members = self.members.iter();
        match members.flat_map(|members| members.with_role(Role::Leader)).count() {
            0 => Err("no member leads".into()),
            1 => Ok(()),
            leaders => Err(format!("{leaders} members lead at once")),
        }
    }
}

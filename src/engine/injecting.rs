//! One Injection, from the first Apply to the verified revert, as seen by the run.
//!
//! Statuses may be late, repeated or out of order: an older one never replaces a newer one, by the node's own times.
//! Once the revert is asked for it is asked for again and again until it is verified.

use std::time::Duration;

use super::hit::Arming;
use super::limits::after;
use super::scene::Scene;
use crate::api::{
    Deadline, Desired, InjectionSpec, InjectionState, InjectionStatus, Nanos, Ordinal, Pod, PodRef,
};
use crate::experiment::{Alternative, Extent, Step, duration};
use crate::fault::Action;
use crate::journal::entry::Effect;

/// An Injection that this run made.
#[derive(Debug)]
pub(super) struct Injecting {
    spec: InjectionSpec,
    action: Action,
    /// When the fault ends by itself.
    deadline: Nanos,
    status: Option<InjectionStatus>,
    /// The last Apply that was not answered.
    asked: Option<u64>,
    /// When it is asked again.
    again: Option<Nanos>,
    is_proven: bool,
    /// Whether what ends by itself has ended.
    is_done: bool,
    failed: Option<String>,
    /// The first moment from which the effect was not proven, and why.
    lost: Option<String>,
    /// For how long the effect was proven according to a node process that is gone: a new one counts from zero.
    proven_earlier: Duration,
    /// The view of the platform that its pod and its peers were last taken from.
    followed: u64,
}

impl Injecting {
    /// Asks the node of the ordinal's running pod for the fault, or the run itself where it is done through the API
    /// server; `None` means the StatefulSet as a whole.
    pub(super) fn start(
        step: &Step,
        what: &Alternative,
        occurrence: u32,
        whom: Option<Ordinal>,
        action: &Action,
        scene: &mut Scene<'_>,
    ) -> Option<Self> {
        let (brief, limits) = (scene.brief, scene.limits());
        let is_api = matches!(action, Action::Api(_));
        let extent = what.extent();
        let lasting = match extent {
            // It is over when it is proven; its deadline only ends the attempt.
            Extent::Once => Duration::ZERO,
            Extent::For(lasting) | Extent::UntilDone(lasting) => lasting,
            Extent::ToTheEnd => brief.experiment.guards.max_duration,
        };
        let within = limits.arming(extent, is_api) + lasting + limits.margin;
        let deadline = after(scene.now, within);
        let (pod, whom) = match whom {
            Some(ordinal) => {
                let pod = reference(scene.known.running(ordinal)?);
                let node = if is_api { String::new() } else { pod.node };
                (PodRef { node, ..pod }, ordinal.to_string())
            }
            None => (whole_set(scene), "set".into()),
        };
        let spec = InjectionSpec {
            name: format!("{}.{}.{occurrence}.{whom}", brief.run, step.name),
            run: brief.run.clone(),
            step: step.name.clone(),
            occurrence,
            pod,
            container: brief.experiment.container_of(step).map(str::to_owned),
            fault: action.on_host(scene.known.addresses())?,
            desired: Desired::Injected,
            deadline: Deadline { at: brief.wall_clock(deadline), within },
            follow: step.follow,
        };
        let mut hit = Self {
            spec,
            action: action.clone(),
            deadline,
            status: None,
            asked: None,
            again: None,
            is_proven: false,
            is_done: false,
            failed: None,
            lost: None,
            proven_earlier: Duration::ZERO,
            followed: scene.known.views(),
        };
        hit.apply(scene);
        Some(hit)
    }

    /// The Injection's name.
    pub(super) fn name(&self) -> &str {
        &self.spec.name
    }

    fn apply(&mut self, scene: &mut Scene<'_>) {
        if let Some(id) = self.asked.take() {
            scene.outbox.ignore(id);
        }
        let effect = Effect::Apply(self.spec.clone());
        self.asked = Some(scene.outbox.ask(effect, scene.now, scene.brief.limits.answer));
        self.again = match self.spec.desired {
            Desired::Injected => None,
            Desired::Reverted => Some(after(scene.now, scene.limits().retry)),
        };
    }

    /// Takes a status in.
    pub(super) fn hear(&mut self, status: &InjectionStatus, scene: &Scene<'_>) {
        if self.status.as_ref().is_some_and(|known| is_older(status, known)) && !self.ends_it(status) {
            return;
        }
        if let Some(known) = &self.status
            && status.effective_for < known.effective_for
        {
            self.proven_earlier += known.effective_for;
        }
        let brief = scene.brief;
        let why = status.error.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        match (status.state, self.spec.desired) {
            (InjectionState::Injected, Desired::Injected) => match &status.proof {
                Some(proof) if proof.holds => self.is_proven = true,
                Some(proof) => {
                    let lost = format!("the proof was lost {}: {}", brief.moment(proof.at), proof.observed);
                    self.lost.get_or_insert(lost);
                }
                None => {}
            },
            (InjectionState::Lost, _) => {
                let lost = format!("the proof was lost {}{why}", brief.moment(status.since));
                self.lost.get_or_insert(lost);
            }
            (InjectionState::Reverted, Desired::Injected) if self.spec.fault.ends_by_itself() => {
                // Its proof may have been overtaken by its end.
                self.is_proven |= status.proof.as_ref().is_some_and(|proof| proof.holds);
                self.is_done = true;
            }
            (InjectionState::Reverted, Desired::Injected) => {
                let lost = format!("it ended by itself {}{why}", brief.moment(status.since));
                self.failed.get_or_insert_with(|| lost.clone());
                self.lost.get_or_insert(lost);
            }
            (InjectionState::Failed, Desired::Injected) => {
                let lost = format!("it failed {}{why}", brief.moment(status.since));
                self.failed.get_or_insert_with(|| lost.clone());
                self.lost.get_or_insert(lost);
            }
            (InjectionState::Pending | InjectionState::RevertFailed, _)
            | (
                InjectionState::Injected | InjectionState::Reverted | InjectionState::Failed,
                Desired::Reverted,
            ) => {}
        }
        self.status = Some(status.clone());
    }

    /// Whether a status says that nothing is left, after that was asked for: true whatever the node's clock did.
    fn ends_it(&self, status: &InjectionStatus) -> bool {
        self.spec.desired == Desired::Reverted && is_clean(status)
    }

    /// Follows the pod and its peers' addresses while injected; asks again for the revert afterwards.
    pub(super) fn advance(&mut self, scene: &mut Scene<'_>) {
        match (self.asked.and_then(|id| scene.outbox.take(id)), self.spec.desired) {
            (Some(Err(error)), Desired::Injected) => {
                self.asked = None;
                let why = format!("{} was not asked for: {error}", self.spec.name);
                if self.is_proven {
                    self.again = Some(after(scene.now, scene.limits().retry));
                    self.lost.get_or_insert(why);
                } else {
                    self.failed.get_or_insert(why);
                }
            }
            (Some(Ok(())), _) | (Some(Err(_)), Desired::Reverted) => self.asked = None,
            (None, _) => {}
        }
        let is_due = self.again.is_some_and(|again| again <= scene.now);
        match self.spec.desired {
            Desired::Injected if scene.now >= self.deadline => self.again = None,
            Desired::Injected => {
                let has_moved = self.follow(scene);
                if has_moved || is_due {
                    self.apply(scene);
                }
            }
            Desired::Reverted if self.is_reverted() => self.again = None,
            // Also where a revert that was verified is denied later.
            Desired::Reverted if is_due || self.again.is_none() => self.apply(scene),
            Desired::Reverted => {}
        }
    }

    /// Brings the spec up to date with the pod and its peers' addresses. True where it changed.
    fn follow(&mut self, scene: &Scene<'_>) -> bool {
        // What is done through the API server is not about one pod's processes.
        if matches!(self.action, Action::Api(_)) {
            return false;
        }
        if std::mem::replace(&mut self.followed, scene.known.views()) == scene.known.views() {
            return false;
        }
        let ordinal = self.spec.pod.ordinal;
        let before = self.spec.clone();
        match scene.known.pod(ordinal) {
            Some(pod) if pod.uid != self.spec.pod.uid => {
                if !self.spec.follow {
                    let lost = format!(
                        "{} was re-created {}, and the step does not follow",
                        pod.name,
                        scene.brief.moment(scene.brief.wall_clock(scene.now))
                    );
                    self.lost.get_or_insert(lost);
                    return false;
                }
                let Some(pod) = scene.known.running(ordinal) else {
                    return false;
                };
                self.spec.pod = reference(pod);
                // What the node said was about the old pod, and must not be taken for the end of the new one.
                if let Some(status) = self.status.as_mut().filter(|status| is_clean(status)) {
                    status.state = InjectionState::Pending;
                }
            }
            Some(_) | None => {}
        }
        // What ended by itself is not brought back by a peer's new address.
        let is_over = self.status.as_ref().is_some_and(is_clean);
        if let Some(fault) = self.action.on_host(scene.known.addresses()).filter(|_| !is_over) {
            self.spec.fault = fault;
        }
        self.spec != before
    }

    /// See [`Arming`].
    pub(super) fn arming(&self) -> Arming {
        match (&self.failed, self.is_proven) {
            (_, true) => Arming::Proven,
            (Some(why), false) => Arming::Failed(why.clone()),
            (None, false) => Arming::Pending,
        }
    }

    /// Whether it goes on until it is done, and is not done yet.
    pub(super) fn is_still_going_on(&self) -> bool {
        self.spec.fault.ends_by_itself() && !self.is_done && self.failed.is_none()
    }

    /// Asks for the revert.
    pub(super) fn revert(&mut self, scene: &mut Scene<'_>) {
        if self.spec.desired == Desired::Injected {
            self.spec.desired = Desired::Reverted;
            self.apply(scene);
        }
    }

    /// Whether the node says that nothing of it is left.
    pub(super) fn is_reverted(&self) -> bool {
        self.spec.desired == Desired::Reverted && self.status.as_ref().is_some_and(is_clean)
    }

    /// What the node says of a fault that is not in force yet, where it says why.
    pub(super) fn excuse(&self) -> Option<String> {
        let is_told = self.status.as_ref().is_some_and(|status| status.error.is_some());
        (is_told && !self.is_proven).then(|| self.complaint())
    }

    /// What the node says of what it has not done.
    pub(super) fn complaint(&self) -> String {
        let teller = if self.spec.pod.node.is_empty() { "the runner" } else { "its node" };
        let said = self.status.as_ref().map_or_else(
            || format!("{teller} says nothing"),
            |status| {
                let why = status.error.as_deref().unwrap_or("no error is told");
                format!("{teller} says {:?}: {why}", status.state)
            },
        );
        match self.spec.pod.node.as_str() {
            "" => format!("{}: {said}", self.spec.name),
            node => format!("{} on {node}: {said}", self.spec.name),
        }
    }

    /// Why its effect does not count as proven for nine tenths of `asked`, if so.
    pub(super) fn shortfall(&self, asked: Duration) -> Option<String> {
        let proven =
            self.proven_earlier + self.status.as_ref().map_or(Duration::ZERO, |status| status.effective_for);
        if self.is_proven && self.is_still_going_on() {
            return Some(format!("{} was not done after {}", self.spec.name, duration::format(asked)));
        }
        let happens_once = self.spec.fault.happens_once();
        let is_enough = self.is_proven && (happens_once || proven * 10 >= asked * 9);
        let why = match (&self.failed, &self.lost) {
            _ if is_enough => return None,
            (_, Some(lost)) => format!("; {lost}"),
            (Some(failed), None) => format!("; {failed}"),
            (None, None) => String::new(),
        };
        Some(format!(
            "{} was proven for {} of {}{why}",
            self.spec.name,
            duration::format(Duration::from_millis(proven.as_millis() as u64)),
            duration::format(asked),
        ))
    }

    /// When it is asked again.
    pub(super) fn timer(&self) -> Option<Nanos> {
        self.again
    }

    /// When the revert counts as failed: soon after the deadline, or, where that is far, some time after it was asked.
    pub(super) fn latest_revert(&self, asked_at: Nanos, scene: &Scene<'_>) -> Nanos {
        let limits = scene.limits();
        after(asked_at, limits.revert).min(after(self.deadline.max(asked_at), limits.overdue))
    }
}

/// The StatefulSet where a pod would be named.
fn whole_set(scene: &Scene<'_>) -> PodRef {
    let (name, ordinal) = scene.known.set();
    PodRef { name: name.into(), ordinal, uid: String::new(), node: String::new() }
}

fn reference(pod: &Pod) -> PodRef {
    PodRef { name: pod.name.clone(), ordinal: pod.ordinal, uid: pod.uid.clone(), node: pod.node.clone() }
}

/// Whether nothing of the fault is left.
fn is_clean(status: &InjectionStatus) -> bool {
    match status.state {
        InjectionState::Reverted | InjectionState::Failed => true,
        InjectionState::Pending
        | InjectionState::Injected
        | InjectionState::Lost
        | InjectionState::RevertFailed => false,
    }
}

/// Whether the node wrote `one` before `other`.
fn is_older(one: &InjectionStatus, other: &InjectionStatus) -> bool {
    let written = |status: &InjectionStatus| (status.since, status.proof.as_ref().map(|proof| proof.at));
    written(one) < written(other)
}

//! A pod that is deleted through the platform, once or, when it is followed, again and again. Its effect is seen when
//! the pod is gone or going, and proven when the ordinal has a pod with a new UID. There is nothing to revert.

use std::time::Duration;

use super::hit::Arming;
use super::limits::after;
use super::scene::Scene;
use super::sets::Which;
use crate::api::{Nanos, Ordinal, PodPhase};
use crate::journal::entry::Effect;

/// The deletion of one ordinal's pods.
#[derive(Debug)]
pub(super) struct Deletion {
    set: Which,
    ordinal: Ordinal,
    pod: String,
    grace: Option<Duration>,
    follow: bool,
    /// The pod that was deleted last.
    uid: String,
    /// Whether somebody else had deleted it before.
    was_going: bool,
    asked: Option<u64>,
    seen: Seen,
    failed: Option<String>,
    ending_since: Option<Nanos>,
}

/// What was seen of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Nothing,
    /// The pod is gone or going.
    End,
    /// The ordinal has another one.
    Successor,
}

impl Deletion {
    /// Asks for the deletion of the pod that is there.
    pub(super) fn start(
        set: Which,
        ordinal: Ordinal,
        grace: Option<Duration>,
        follow: bool,
        scene: &mut Scene<'_>,
    ) -> Option<Self> {
        let pod = scene.known.pod(ordinal)?;
        let mut deletion = Self {
            set,
            ordinal,
            pod: pod.name.clone(),
            grace,
            follow,
            uid: pod.uid.clone(),
            was_going: pod.phase == PodPhase::Terminating,
            asked: None,
            seen: Seen::Nothing,
            failed: None,
            ending_since: None,
        };
        deletion.ask(scene);
        Some(deletion)
    }

    fn ask(&mut self, scene: &mut Scene<'_>) {
        let effect = Effect::DeletePod { set: self.set.clone(), ordinal: self.ordinal, grace: self.grace };
        self.asked = Some(scene.outbox.ask(effect, scene.now, scene.brief.limits.answer));
    }

    /// Looks at the ordinal's pod, and deletes the next one while it is followed.
    pub(super) fn advance(&mut self, scene: &mut Scene<'_>) {
        if let Some(Err(error)) = self.asked.and_then(|id| scene.outbox.take(id)) {
            self.asked = None;
            self.failed.get_or_insert(error);
        }
        match scene.known.pod(self.ordinal) {
            None => self.seen = self.seen.max(Seen::End),
            Some(pod) if pod.uid == self.uid => {
                if pod.phase == PodPhase::Terminating && !self.was_going {
                    self.seen = self.seen.max(Seen::End);
                }
            }
            Some(pod) => {
                self.seen = Seen::Successor;
                if self.follow && self.ending_since.is_none() && pod.phase == PodPhase::Running {
                    self.uid.clone_from(&pod.uid);
                    self.was_going = false;
                    self.seen = Seen::End;
                    self.ask(scene);
                }
            }
        }
    }

    /// See [`Arming`].
    pub(super) fn arming(&self) -> Arming {
        match &self.failed {
            _ if self.seen > Seen::Nothing => Arming::Proven,
            Some(error) => Arming::Failed(format!("{} was not deleted: {error}", self.pod)),
            None => Arming::Pending,
        }
    }

    /// Deletes no further pod.
    pub(super) fn end(&mut self, scene: &Scene<'_>) {
        self.ending_since = Some(scene.now);
    }

    /// Whether the ordinal has its new pod, or nobody waits for it any more.
    pub(super) fn is_over(&self, scene: &Scene<'_>) -> bool {
        let gave_up = self.ending_since.is_some_and(|since| scene.passed(since, scene.limits().replace));
        gave_up || self.seen != Seen::End
    }

    /// Why it does not count as proven.
    pub(super) fn shortfall(&self) -> Option<String> {
        match (&self.failed, self.seen) {
            // Whatever was said of the request: that pod is gone. Of one that is followed others may be left.
            (_, Seen::Successor) if !self.follow => None,
            (Some(error), _) => Some(format!("{} was not deleted: {error}", self.pod)),
            (None, Seen::Nothing | Seen::End) => Some(format!("{} has no new pod", self.pod)),
            (None, Seen::Successor) => None,
        }
    }

    /// When it stops waiting.
    pub(super) fn timer(&self, replace: Duration) -> Option<Nanos> {
        self.ending_since.map(|since| after(since, replace))
    }
}

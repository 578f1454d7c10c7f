//! One occurrence of one step: arm, hold, end. Whatever happens in between, every hit that was asked for is asked to
//! end, and the occurrence is over only when nothing of it is left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::decide::Decision;
use super::hit::{Arming, Hit};
use super::injecting::Injecting;
use super::limits::{after, between};
use super::scene::{Brief, Scene};
use super::sequence::{Outcome, Sequence};
use super::sets::Which;
use crate::api::{Desired, InjectionStatus, Nanos, Ordinal};
use crate::experiment::{Alternative, Extent, Step};
use crate::fault::{Action, Damage};
use crate::journal::entry::{Effect, Picked};
use crate::plan::draw;

/// A fault that is on its way, in force, or on its way out.
#[derive(Debug)]
pub(super) struct Occurrence {
    step: String,
    number: u32,
    extent: Extent,
    /// Whether it is done through the API server.
    is_api: bool,
    hits: Vec<Hit>,
    /// Whom it was decided for.
    members: BTreeSet<Ordinal>,
    /// Whom it hits later, one after the other.
    sequence: Sequence,
    /// Where it acts.
    set: Which,
    /// What each StatefulSet of the run loses by it.
    losses: BTreeMap<Which, Damage>,
    asked_at: Nanos,
    stage: Stage,
    /// Why it never came into force.
    doubt: Option<String>,
}

/// Where it is.
#[derive(Debug)]
enum Stage {
    /// Asked for; some hit is not proven yet.
    Arming,
    /// Every hit was proven.
    Holding { since: Nanos, until: Nanos },
    /// Every hit was asked to end.
    Ending {
        since: Nanos,
        /// For how long the effect had to be there.
        held: Duration,
        is_overdue: bool,
    },
    /// Nothing of it is left.
    Over,
}

impl Occurrence {
    /// Tells what was decided and asks for every hit.
    pub(super) fn start(
        step: &Step,
        what: &Alternative,
        number: u32,
        picked: Option<Picked>,
        Decision { resolved, losses }: Decision,
        scene: &mut Scene<'_>,
    ) -> Self {
        let set = scene.brief.which(step);
        scene.outbox.say(Effect::Chosen {
            step: step.name.clone(),
            occurrence: number,
            picked,
            set: set.clone(),
            members: resolved.hits.keys().copied().collect(),
            damage: resolved.damage.clone(),
            along: match (&set, losses.get(&None)) {
                (Some(_), Some(loss)) => loss.down.iter().copied().collect(),
                (Some(_), None) | (None, _) => Vec::new(),
            },
        });
        let is_api =
            resolved.hits.values().chain(&resolved.set).any(|action| matches!(action, Action::Api(_)));
        let members = resolved.members();
        let mut sequence = Sequence::default();
        let mut hits = Vec::new();
        if let Some(action) = &resolved.set {
            hits.extend(Hit::start(step, what, number, None, action, scene));
        }
        if resolved.one_by_one {
            sequence = Sequence::of(resolved.hits);
            hits.extend(sequence.start_next(step, what, number, scene));
        } else {
            let all = resolved.hits.iter();
            hits.extend(all.filter_map(|(&ordinal, action)| {
                Hit::start(step, what, number, Some(ordinal), action, scene)
            }));
        }
        Self {
            step: step.name.clone(),
            number,
            extent: what.extent(),
            is_api,
            hits,
            members,
            sequence,
            set,
            losses,
            asked_at: scene.now,
            stage: Stage::Arming,
            doubt: None,
        }
    }

    /// Takes a status in, if it is about one of its hits.
    pub(super) fn hear(&mut self, name: &str, status: &InjectionStatus, scene: &Scene<'_>) {
        for hit in &mut self.hits {
            hit.hear(name, status, scene);
        }
    }

    /// Goes on as far as it can now. True where it changed its stage.
    pub(super) fn advance(&mut self, scene: &mut Scene<'_>) -> bool {
        for hit in &mut self.hits {
            hit.advance(scene);
        }
        match self.stage {
            Stage::Arming => self.arm(scene),
            Stage::Holding { since, .. } if self.is_done() => {
                self.end(between(since, scene.now), scene);
                true
            }
            Stage::Holding { since, until } if scene.now >= until => {
                let asked = match self.extent {
                    Extent::Once => Duration::ZERO,
                    Extent::For(lasting) | Extent::UntilDone(lasting) => lasting,
                    Extent::ToTheEnd => between(since, scene.now),
                };
                self.end(asked, scene);
                true
            }
            Stage::Holding { .. } | Stage::Over => false,
            Stage::Ending { since, held, is_overdue } => self.finish(since, held, is_overdue, scene),
        }
    }

    fn arm(&mut self, scene: &mut Scene<'_>) -> bool {
        let mut pending = 0;
        let mut failed = None;
        for hit in &self.hits {
            match hit.arming() {
                Arming::Proven => {}
                Arming::Pending => pending += 1,
                Arming::Failed(why) => failed = failed.or(Some(why)),
            }
        }
        let limit = scene.limits().arming(self.extent, self.is_api);
        if failed.is_none() && pending > 0 && scene.passed(self.asked_at, limit) {
            let limit = crate::experiment::duration::format(limit);
            let count = format!("{pending} of {} hits were not proven within {limit}", self.hits.len());
            let excuses = self.hits.iter().filter_map(Hit::excuse);
            failed = Some(std::iter::once(count).chain(excuses).collect::<Vec<_>>().join("; "));
        }
        if let Some(why) = failed {
            let reason = format!("step {} did not come into force: {why}", self.step);
            scene.outbox.say(Effect::Doubt { reason: reason.clone() });
            self.doubt = Some(reason);
            self.end(Duration::ZERO, scene);
            return true;
        }
        if pending > 0 {
            return false;
        }
        if !self.sequence.is_empty() {
            return self.go_on(scene);
        }
        scene.outbox.say(Effect::Began { step: self.step.clone(), occurrence: self.number });
        let until = match self.extent {
            Extent::Once => scene.now,
            Extent::For(lasting) => after(scene.now, lasting),
            Extent::UntilDone(limit) => after(self.asked_at, limit).max(scene.now),
            Extent::ToTheEnd => Nanos::MAX,
        };
        self.stage = Stage::Holding { since: scene.now, until };
        true
    }

    /// Every hit so far is proven: hits the next member once the last one is back.
    fn go_on(&mut self, scene: &mut Scene<'_>) -> bool {
        let brief = scene.brief;
        let Some(step) = brief.experiment.steps.iter().find(|step| step.name == self.step) else {
            return false;
        };
        let is_over = self.hits.last().is_none_or(|hit| hit.is_replaced(scene));
        match self.sequence.go_on(is_over, scene) {
            Outcome::Waits => false,
            Outcome::Moved => true,
            Outcome::Next => {
                let what = draw::alternative(step, brief.seed, self.number).1;
                let next = self.sequence.start_next(step, what, self.number, scene);
                self.asked_at = scene.now;
                self.hits.extend(next);
                true
            }
            Outcome::Stuck(why) => {
                let reason = format!("step {} did not go on: {why}", self.step);
                scene.outbox.say(Effect::Doubt { reason: reason.clone() });
                self.doubt = Some(reason);
                self.end(Duration::ZERO, scene);
                true
            }
        }
    }

    /// Whether what goes on until it is done is done.
    fn is_done(&self) -> bool {
        matches!(self.extent, Extent::UntilDone(_)) && !self.hits.iter().any(Hit::is_still_going_on)
    }

    /// Ends it if it stays to the end and is in force. True where it did.
    pub(super) fn end_rest(&mut self, scene: &mut Scene<'_>) -> bool {
        let Stage::Holding { since, .. } = self.stage else {
            return false;
        };
        let is_rest = self.extent == Extent::ToTheEnd;
        if is_rest {
            self.end(between(since, scene.now), scene);
        }
        is_rest
    }

    /// Ends it early; what is ending already goes on ending.
    pub(super) fn cut_short(&mut self, scene: &mut Scene<'_>) {
        match self.stage {
            Stage::Arming => {
                self.doubt = Some("it was stopped before it was proven".into());
                self.end(Duration::ZERO, scene);
            }
            Stage::Holding { since, .. } => self.end(between(since, scene.now), scene),
            Stage::Ending { .. } | Stage::Over => {}
        }
    }

    fn end(&mut self, held: Duration, scene: &mut Scene<'_>) {
        self.sequence.stop();
        for hit in &mut self.hits {
            hit.end(scene);
        }
        self.stage = Stage::Ending { since: scene.now, held, is_overdue: false };
    }

    fn finish(&mut self, since: Nanos, held: Duration, is_overdue: bool, scene: &mut Scene<'_>) -> bool {
        if self.hits.iter().all(|hit| hit.is_over(scene)) {
            let shortfalls: Vec<_> = self.hits.iter().filter_map(|hit| hit.shortfall(held)).collect();
            let unproven =
                self.doubt.take().or_else(|| (!shortfalls.is_empty()).then(|| shortfalls.join("; ")));
            for hit in &self.hits {
                if let Hit::Node(hit) = hit {
                    let name = hit.name().to_string();
                    scene.outbox.say(Effect::Forget { name });
                }
            }
            scene.outbox.say(Effect::Ended { step: self.step.clone(), occurrence: self.number, unproven });
            self.stage = Stage::Over;
            return true;
        }
        let late: Vec<_> = self
            .open_reverts(since, scene)
            .filter(|&(limit, _)| scene.now >= limit)
            .map(|(_, hit)| hit.complaint())
            .collect();
        if is_overdue || late.is_empty() {
            return false;
        }
        scene.outbox.say(Effect::RevertFailed { reason: late.join("; ") });
        self.stage = Stage::Ending { since, held, is_overdue: true };
        true
    }

    /// Reverts that are not verified yet, and until when they may take.
    fn open_reverts<'a>(
        &'a self,
        since: Nanos,
        scene: &'a Scene<'_>,
    ) -> impl Iterator<Item = (Nanos, &'a Injecting)> + 'a {
        self.hits.iter().filter_map(move |hit| match hit {
            Hit::Node(hit) if !hit.is_reverted() => Some((hit.latest_revert(since, scene), &**hit)),
            Hit::Node(_) | Hit::Platform(_) => None,
        })
    }

    /// What it does.
    pub(super) fn what<'a>(&self, brief: &'a Brief) -> Option<&'a Alternative> {
        let step = brief.experiment.steps.iter().find(|step| step.name == self.step)?;
        Some(draw::alternative(step, brief.seed, self.number).1)
    }

    /// What a StatefulSet of the run loses by it, if anything.
    pub(super) fn loss(&self, which: &Which) -> Option<&Damage> {
        self.losses.get(which)
    }

    /// Where it acts.
    pub(super) fn set(&self) -> &Which {
        &self.set
    }

    /// Whom it was decided for.
    pub(super) fn members(&self) -> &BTreeSet<Ordinal> {
        &self.members
    }

    /// Whether the fault shall be there.
    pub(super) fn desired(&self) -> Desired {
        match self.stage {
            Stage::Arming | Stage::Holding { .. } => Desired::Injected,
            Stage::Ending { .. } | Stage::Over => Desired::Reverted,
        }
    }

    /// Whether nothing of it is left.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// Whether its revert did not succeed in time; it is still being asked for.
    pub(super) fn is_overdue(&self) -> bool {
        matches!(self.stage, Stage::Ending { is_overdue: true, .. })
    }

    /// Members that it took down for a moment and that are not its own any more, once each.
    pub(super) fn took_down(&mut self) -> Vec<(Which, Ordinal)> {
        let lost = self.losses.iter().filter(|_| matches!(self.stage, Stage::Over));
        let down =
            lost.flat_map(|(set, damage)| damage.down.iter().map(move |&ordinal| (set.clone(), ordinal)));
        let one_of_many = self.sequence.took_down().map(|ordinal| (self.set.clone(), ordinal));
        down.chain(one_of_many).collect()
    }

    /// What it is waiting for, for a person.
    pub(super) fn waiting_for(&self) -> String {
        match self.stage {
            Stage::Arming => format!("the proof of step {}", self.step),
            Stage::Holding { .. } => format!("the end of step {}", self.step),
            Stage::Ending { .. } | Stage::Over => format!("step {} to be reverted", self.step),
        }
    }

    /// Moments at which it has to be looked at.
    pub(super) fn timers<'a>(&'a self, scene: &'a Scene<'_>) -> impl Iterator<Item = Nanos> + 'a {
        let own: Vec<Nanos> = match self.stage {
            Stage::Arming => {
                std::iter::once(after(self.asked_at, scene.limits().arming(self.extent, self.is_api)))
                    .chain(self.sequence.timer(scene.limits().replace))
                    .collect()
            }
            Stage::Holding { until, .. } if until < Nanos::MAX => vec![until],
            Stage::Ending { since, .. } => self.open_reverts(since, scene).map(|(limit, _)| limit).collect(),
            Stage::Holding { .. } | Stage::Over => Vec::new(),
        };
        let replace = scene.limits().replace;
        own.into_iter().chain(self.hits.iter().filter_map(move |hit| hit.timer(replace)))
    }
}

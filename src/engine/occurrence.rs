//! One occurrence of one step: arm, hold, end. Whatever happens in between, every hit that was asked for is asked to
//! end, and the occurrence is over only when nothing of it is left.

use std::time::Duration;

use super::hit::{Arming, Hit};
use super::limits::{after, between};
use super::scene::Scene;
use crate::api::{Desired, InjectionStatus, Nanos, Ordinal};
use crate::experiment::Step;
use crate::fault::{Damage, Resolved};
use crate::journal::entry::Effect;

/// A fault that is on its way, in force, or on its way out.
#[derive(Debug)]
pub(super) struct Occurrence {
    step: String,
    number: u32,
    lasting: Duration,
    hits: Vec<Hit>,
    damage: Damage,
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
    pub(super) fn start(step: &Step, number: u32, resolved: Resolved, scene: &mut Scene<'_>) -> Self {
        scene.outbox.say(Effect::Chosen {
            step: step.name.clone(),
            occurrence: number,
            members: resolved.hits.keys().copied().collect(),
            damage: resolved.damage.clone(),
        });
        let hits = resolved
            .hits
            .iter()
            .filter_map(|(&ordinal, action)| Hit::start(step, number, ordinal, action, scene))
            .collect();
        Self {
            step: step.name.clone(),
            number,
            lasting: step.lasting,
            hits,
            damage: resolved.damage,
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
            Stage::Holding { until, .. } if scene.now >= until => {
                // A fault that took long to arm is held shorter than asked; that counts against its proof.
                self.end(self.lasting, scene);
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
        let limit = self.arming_limit(scene);
        if failed.is_none() && pending > 0 && scene.passed(self.asked_at, limit) {
            let limit = crate::experiment::duration::format(limit);
            failed = Some(format!("{pending} of {} hits were not proven within {limit}", self.hits.len()));
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
        scene.outbox.say(Effect::Began { step: self.step.clone(), occurrence: self.number });
        let latest = after(after(self.asked_at, self.lasting), scene.limits().margin / 2);
        self.stage = Stage::Holding {
            since: scene.now,
            until: after(scene.now, self.lasting).min(latest).max(scene.now),
        };
        true
    }

    fn arming_limit(&self, scene: &Scene<'_>) -> Duration {
        if self.lasting.is_zero() { scene.limits().once } else { scene.limits().inject }
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
            .late_reverts(since, scene)
            .filter(|&(limit, _)| scene.now >= limit)
            .map(|(_, complaint)| complaint)
            .collect();
        if is_overdue || late.is_empty() {
            return false;
        }
        scene.outbox.say(Effect::RevertFailed { reason: late.join("; ") });
        self.stage = Stage::Ending { since, held, is_overdue: true };
        true
    }

    /// Reverts that are not verified yet: until when they may take, and what there is to say.
    fn late_reverts<'a>(
        &'a self,
        since: Nanos,
        scene: &'a Scene<'_>,
    ) -> impl Iterator<Item = (Nanos, String)> + 'a {
        self.hits.iter().filter_map(move |hit| match hit {
            Hit::Node(hit) if !hit.is_reverted() => Some((hit.latest_revert(since, scene), hit.complaint())),
            Hit::Node(_) | Hit::Platform(_) => None,
        })
    }

    /// What the group loses by it.
    pub(super) fn damage(&self) -> &Damage {
        &self.damage
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

    /// The step's name.
    pub(super) fn step(&self) -> &str {
        &self.step
    }

    /// Members that it took down for a moment.
    pub(super) fn took_down(&self) -> impl Iterator<Item = Ordinal> {
        self.damage.down.iter().copied()
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
            Stage::Arming => vec![after(self.asked_at, self.arming_limit(scene))],
            Stage::Holding { until, .. } => vec![until],
            Stage::Ending { since, .. } => self.late_reverts(since, scene).map(|(limit, _)| limit).collect(),
            Stage::Over => Vec::new(),
        };
        let replace = scene.limits().replace;
        own.into_iter().chain(self.hits.iter().filter_map(move |hit| hit.timer(replace)))
    }
}

//! All steps of the experiment: when each occurrence is due, which are there, and which are over.

use std::collections::BTreeMap;

use super::decide::{Decision, Obstacle, decide};
use super::known::Known;
use super::limits::after;
use super::occurrence::Occurrence;
use super::progress::{Progress, given_up, next, unrecovered};
use super::scene::{Brief, Scene};
use super::sets::{Sets, Which};
use crate::api::{Desired, InjectionStatus, Nanos, Ordinal};
use crate::experiment::{Extent, Start, Step, Work, duration};
use crate::fault::Damage;
use crate::journal::entry::{Effect, Picked};
use crate::plan::guard::Asked;
use crate::plan::{draw, guard};

/// The steps of a run, each with how far it is.
#[derive(Debug, Default)]
pub(super) struct Faults {
    begun_at: Nanos,
    progress: Vec<Progress>,
    active: Vec<(usize, Occurrence)>,
    took_down: Vec<(Which, Ordinal, String)>,
    /// Whether nothing more is to be broken.
    is_rest_left_out: bool,
    /// Members whose data was destroyed: they may be up, and are not to be relied on.
    destroyed: BTreeMap<Which, Damage>,
}

/// What came of the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing more can happen at this moment.
    Quiet,
    /// Something changed: look again.
    Moved,
    /// The guard refused a step, which was told.
    Refused,
    /// The target did not recover between two occurrences, which was told.
    Unrecovered,
}

impl Faults {
    /// The steps begin now.
    pub(super) fn begin(steps: usize, now: Nanos) -> Self {
        Self { begun_at: now, progress: vec![Progress::Waiting; steps], ..Self::default() }
    }

    /// Takes a status in.
    pub(super) fn hear(&mut self, name: &str, status: &InjectionStatus, scene: &Scene<'_>) {
        for (_, occurrence) in &mut self.active {
            occurrence.hear(name, status, scene);
        }
    }

    /// Goes on with what is there; starts nothing new.
    pub(super) fn carry_on(&mut self, scene: &mut Scene<'_>) -> Outcome {
        let mut has_moved = false;
        for (place, occurrence) in &mut self.active {
            let step = &scene.brief.experiment.steps[*place];
            has_moved |= occurrence.advance(&mut scene.at(step));
            for (set, ordinal) in occurrence.took_down() {
                self.took_down.push((set, ordinal, step.name.clone()));
            }
            if occurrence.is_over()
                && let Progress::Running { due, number } = self.progress[*place]
            {
                self.progress[*place] = if self.is_rest_left_out {
                    Progress::Over { at: scene.now }
                } else {
                    next(step, due, number, scene)
                };
            }
        }
        self.active.retain(|(_, occurrence)| !occurrence.is_over());
        if has_moved { Outcome::Moved } else { Outcome::Quiet }
    }

    /// Starts at most one occurrence whose time has come.
    pub(super) fn start_due(&mut self, scene: &mut Scene<'_>) -> Outcome {
        let steps = &scene.brief.experiment.steps;
        for (place, step) in steps.iter().enumerate() {
            match self.progress[place] {
                Progress::Waiting => {
                    if let Some(at) = self.base(steps, step, scene) {
                        self.progress[place] =
                            Progress::Due { at, next: 0, since: None, undecided_since: None };
                        return Outcome::Moved;
                    }
                    if let Start::When(when) = &step.start
                        && scene.passed(self.begun_at, when.within)
                    {
                        let within = duration::format(when.within);
                        let reason = format!(
                            "step {} was left out after {within}: never was it true that {}",
                            step.name,
                            step.condition().unwrap_or_default()
                        );
                        scene.outbox.say(Effect::Doubt { reason });
                        self.progress[place] = Progress::Over { at: scene.now };
                        return Outcome::Moved;
                    }
                }
                due @ Progress::Due { at, next, .. } if scene.now >= at => {
                    match unrecovered(step, due, scene) {
                        Some((until, _)) if scene.now < until => continue,
                        Some((_, why)) => {
                            let reason = given_up(step, next, &why);
                            scene.outbox.say(Effect::Doubt { reason });
                            return Outcome::Unrecovered;
                        }
                        None => {}
                    }
                    let outcome = self.try_start(place, step, due, scene);
                    if outcome != Outcome::Quiet {
                        return outcome;
                    }
                }
                Progress::Due { .. } | Progress::Running { .. } | Progress::Over { .. } => {}
            }
        }
        Outcome::Quiet
    }

    fn try_start(&mut self, place: usize, step: &Step, progress: Progress, scene: &mut Scene<'_>) -> Outcome {
        let Progress::Due { at: due, next: number, since: over_since, undecided_since } = progress else {
            return Outcome::Quiet;
        };
        let (place_of_it, what) = draw::alternative(step, scene.brief.seed, number);
        let work = &what.work;
        let decided = decide(
            step,
            work,
            number,
            |set| self.damages(set).chain(self.destroyed.get(set)).collect(),
            (scene.brief, scene.sets),
        );
        let decided = decided.and_then(|decision| {
            self.in_the_way(step, work, &decision, scene)
                .map_or(Ok(decision), |why| Err(Obstacle::Undecided(why)))
        });
        let obstacle = match decided {
            Ok(decision) => {
                if work.destroys() {
                    for (set, damage) in &decision.losses {
                        self.destroyed.entry(set.clone()).or_default().down.extend(&damage.down);
                    }
                }
                let picked = step.has_choice().then(|| Picked::of(place_of_it, work));
                let occurrence = Occurrence::start(step, what, number, picked, decision, &mut scene.at(step));
                self.active.push((place, occurrence));
                self.progress[place] = Progress::Running { due, number };
                return Outcome::Moved;
            }
            Err(obstacle) => obstacle,
        };
        let since = undecided_since.unwrap_or(scene.now);
        self.progress[place] =
            Progress::Due { at: due, next: number, since: over_since, undecided_since: Some(since) };
        let limit = scene.limits().decide;
        let is_late = scene.passed(since, limit);
        match obstacle {
            Obstacle::Undecided(_) | Obstacle::Endangers(_) if !is_late => Outcome::Quiet,
            Obstacle::Undecided(why) => {
                let limit = duration::format(limit);
                let reason = format!("step {} was left out after {limit}: {why}", step.name);
                scene.outbox.say(Effect::Doubt { reason });
                self.progress[place] = next(step, due, number, scene);
                Outcome::Moved
            }
            Obstacle::Endangers(reason) | Obstacle::Refused(reason) => {
                scene.outbox.say(Effect::Refused { step: step.name.clone(), reason });
                Outcome::Refused
            }
        }
    }

    /// A step that is not over yet, as one is that took long to come into force, and keeps a member in a state that this one
    /// contradicts.
    fn in_the_way(&self, step: &Step, work: &Work, decision: &Decision, scene: &Scene<'_>) -> Option<String> {
        let set = scene.brief.which(step);
        self.active.iter().filter(|(_, occurrence)| *occurrence.set() == set).find_map(
            |(place, occurrence)| {
                let other = &scene.brief.experiment.steps[*place];
                let why = occurrence.what(scene.brief)?.work.contradicts(work)?;
                let members = decision.resolved.members();
                let ordinal = occurrence.members().intersection(&members).next()?;
                Some(format!(
                    "step {} still holds {}: {why}",
                    other.name,
                    scene.sets.get(&set).name(*ordinal)
                ))
            },
        )
    }

    /// When the first occurrence of a step is due, once that is known.
    fn base(&self, steps: &[Step], step: &Step, scene: &Scene<'_>) -> Option<Nanos> {
        match &step.start {
            Start::At(at) => Some(after(self.begun_at, *at)),
            Start::After(name) => {
                let other = steps.iter().position(|other| &other.name == name)?;
                match self.progress[other] {
                    Progress::Over { at } => Some(at),
                    Progress::Waiting | Progress::Due { .. } | Progress::Running { .. } => None,
                }
            }
            Start::When(when) => {
                let set = scene.brief.which(step);
                scene.sets.is_true(&set, &step.name, &when.condition).then_some(scene.now)
            }
        }
    }

    /// Ends what stays until every other step is over, once they are. True where something changed.
    pub(super) fn end_rest(&mut self, scene: &mut Scene<'_>) -> bool {
        let mut steps = self.progress.iter().zip(&scene.brief.experiment.steps);
        let are_others_over = steps.all(|(progress, step)| match progress {
            Progress::Over { .. } => true,
            Progress::Running { number, .. } => {
                draw::alternative(step, scene.brief.seed, *number).1.extent() == Extent::ToTheEnd
            }
            Progress::Waiting | Progress::Due { .. } => false,
        });
        let mut has_ended = false;
        if are_others_over {
            for (_, occurrence) in &mut self.active {
                has_ended |= occurrence.end_rest(scene);
            }
        }
        has_ended
    }

    /// Ends everything that is there, and starts nothing any more.
    pub(super) fn leave_out_rest(&mut self, scene: &mut Scene<'_>) {
        self.is_rest_left_out = true;
        for progress in &mut self.progress {
            match progress {
                Progress::Waiting | Progress::Due { .. } => *progress = Progress::Over { at: scene.now },
                Progress::Running { .. } | Progress::Over { .. } => {}
            }
        }
        self.cut_short(scene);
    }

    /// Ends everything that is there.
    pub(super) fn cut_short(&mut self, scene: &mut Scene<'_>) {
        for (_, occurrence) in &mut self.active {
            occurrence.cut_short(scene);
        }
    }

    /// What a StatefulSet loses now by everything that is there.
    fn damages(&self, set: &Which) -> impl Iterator<Item = &Damage> {
        self.active.iter().filter_map(|(_, occurrence)| occurrence.loss(set))
    }

    /// Whether each StatefulSet that loses something keeps its majority and its budgets meanwhile; nothing to say of one
    /// where no fault is in force. Budgets that one of the steps ignores are not asked.
    pub(super) fn still_hold(&self, sets: &Sets, brief: &Brief) -> Result<(), String> {
        sets.iter().try_for_each(|(set, known)| self.still_holds(set, known, brief))
    }

    fn still_holds(&self, set: &Which, known: &Known, brief: &Brief) -> Result<(), String> {
        let guards = &brief.experiment.guards;
        let there = self.active.iter().filter(|(_, occurrence)| {
            occurrence.desired() == Desired::Injected && occurrence.loss(set).is_some()
        });
        let asked = there.filter_map(|(place, occurrence)| {
            let work = &occurrence.what(brief)?.work;
            Some(Asked::of(guards, &brief.experiment.steps[*place], work))
        });
        let Some(asked) = asked.reduce(|one, other| Asked {
            quorum: one.quorum && other.quorum,
            budgets: one.budgets && other.budgets,
        }) else {
            return Ok(());
        };
        let held: Vec<&Damage> = self.damages(set).collect();
        guard::still_holds(&known.standing(), &held, asked)
    }

    /// Members that faults have taken down since the last call and that are not there any more.
    pub(super) fn take_down(&mut self) -> Vec<(Which, Ordinal, String)> {
        std::mem::take(&mut self.took_down)
    }

    /// Whether every step is over.
    pub(super) fn are_over(&self) -> bool {
        self.progress.iter().all(|progress| matches!(progress, Progress::Over { .. }))
    }

    /// Whether nothing is left, or only what could not be reverted in time.
    pub(super) fn is_rest_overdue(&self) -> bool {
        self.active.iter().all(|(_, occurrence)| occurrence.is_overdue())
    }

    /// Whether something could not be reverted in time.
    pub(super) fn is_any_overdue(&self) -> bool {
        self.active.iter().any(|(_, occurrence)| occurrence.is_overdue())
    }

    /// Whether an occurrence is still to come.
    pub(super) fn are_more_to_come(&self, steps: &[Step]) -> bool {
        self.progress.iter().zip(steps).any(|(progress, step)| match progress {
            Progress::Waiting | Progress::Due { .. } => true,
            Progress::Running { number, .. } => !self.is_rest_left_out && number + 1 < step.repeat.times,
            Progress::Over { .. } => false,
        })
    }

    /// What is being waited for, for a person.
    pub(super) fn waiting_for(&self, scene: &Scene<'_>) -> Option<String> {
        if let Some((_, occurrence)) = self.active.first() {
            return Some(occurrence.waiting_for());
        }
        let steps = &scene.brief.experiment.steps;
        let work = |step, occurrence| &draw::alternative(step, scene.brief.seed, occurrence).1.work;
        self.progress.iter().zip(steps).find_map(|(progress, step)| match progress {
            due @ Progress::Due { at, .. }
                if scene.now >= *at && unrecovered(step, *due, scene).is_some() =>
            {
                let why = unrecovered(step, *due, scene).map(|(_, why)| why).unwrap_or_default();
                Some(format!("the target to recover, so that step {} can go on: {why}", step.name))
            }
            Progress::Due { next, undecided_since, .. } => Some(match undecided_since {
                Some(_) => {
                    match decide(step, work(step, *next), *next, |_| Vec::new(), (scene.brief, scene.sets)) {
                        Ok(_) => format!("the start of step {}", step.name),
                        Err(Obstacle::Undecided(why) | Obstacle::Endangers(why) | Obstacle::Refused(why)) => {
                            format!("step {} to become possible: {why}", step.name)
                        }
                    }
                }
                None => format!("the start of step {}", step.name),
            }),
            Progress::Waiting => match &step.start {
                Start::When(_) => Some(format!(
                    "the start of step {}, when {}",
                    step.name,
                    step.condition().unwrap_or_default()
                )),
                Start::At(_) | Start::After(_) => None,
            },
            Progress::Running { .. } | Progress::Over { .. } => None,
        })
    }

    /// Moments at which it has to be looked at.
    pub(super) fn timers(&self, scene: &Scene<'_>) -> Vec<Nanos> {
        let mut timers = Vec::new();
        for (_, occurrence) in &self.active {
            timers.extend(occurrence.timers(scene));
        }
        for (progress, step) in self.progress.iter().zip(&scene.brief.experiment.steps) {
            if let (Progress::Waiting, Start::When(when)) = (progress, &step.start) {
                timers.push(after(self.begun_at, when.within));
            }
            if let Progress::Due { at, since, undecided_since, .. } = *progress {
                timers.push(at);
                if let (Some(since), Some(limit)) = (since, step.repeat.recover_between) {
                    let held = scene.claims.held_after(since);
                    timers.extend(held.map(|held| after(held, scene.limits().stable)));
                    timers.push(after(at.max(since), limit));
                }
                timers.extend(undecided_since.map(|since| after(since, scene.limits().decide)));
            }
        }
        timers
    }
}

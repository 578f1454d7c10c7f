//! When each occurrence is meant to happen, counted from the end of the baseline. Injecting and reverting take no time
//! here; in a run they do, and what starts `after` a step starts that much later. An occurrence never starts before the one
//! before it ends; the later ones are not moved by that.
//! Nobody knows how long `recoverBetween` will wait: nothing, here.

use std::time::Duration;

use super::draw;
use crate::experiment::{Alternative, Extent, Start, Step};

/// One occurrence of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// The step's place in the experiment.
    pub(super) step: usize,
    /// From 0.
    pub(super) occurrence: u32,
    /// Which of the step's alternatives it is.
    pub(super) alternative: usize,
    /// From the end of the baseline.
    pub(super) start: Duration,
    /// The same as `start` for a fault that happens once.
    pub(super) end: Duration,
}

impl Slot {
    /// What happens in it.
    pub(super) fn what<'a>(&self, steps: &'a [Step]) -> &'a Alternative {
        &steps[self.step].alternatives()[self.alternative]
    }

    /// Whether nobody relies on whom it takes for the rest of the run: whose data is destroyed, or whom an action has that
    /// stays.
    pub(super) fn is_lasting(&self, steps: &[Step]) -> bool {
        let what = self.what(steps);
        what.work.destroys() || what.extent() == Extent::ToTheEnd
    }
}

/// Every occurrence by its start, and the steps that never start, because what they wait for never ends.
pub(super) fn slots(steps: &[Step], seed: u64) -> (Vec<Slot>, Vec<usize>) {
    let courses: Vec<Vec<Slot>> =
        steps.iter().enumerate().map(|(place, step)| course(place, step, seed)).collect();
    let starts = starts(steps, &courses);
    let mut slots = Vec::new();
    for (course, first) in courses.into_iter().zip(&starts) {
        let Some(first) = *first else { continue };
        slots.extend(course.into_iter().map(|slot| Slot {
            start: first + slot.start,
            end: first + slot.end,
            ..slot
        }));
    }
    slots.sort_by_key(|slot| (slot.start, slot.step, slot.occurrence));
    let never = (0..steps.len()).filter(|&place| starts[place].is_none()).collect();
    (slots, never)
}

/// The occurrences of a step, counted from the start of the first.
fn course(place: usize, step: &Step, seed: u64) -> Vec<Slot> {
    let (mut due, mut free) = (Duration::ZERO, Duration::ZERO);
    let mut course = Vec::new();
    for occurrence in 0..step.repeat.times {
        if occurrence > 0 {
            due = due.saturating_add(draw::gap(step, seed, occurrence));
        }
        let (alternative, what) = draw::alternative(step, seed, occurrence);
        let start = due.max(free);
        free = start.saturating_add(what.lasting);
        course.push(Slot { step: place, occurrence, alternative, start, end: free });
    }
    course
}

/// The first start of each step. A chain of `after` is at most as long as there are steps.
fn starts(steps: &[Step], courses: &[Vec<Slot>]) -> Vec<Option<Duration>> {
    let mut starts: Vec<Option<Duration>> = vec![None; steps.len()];
    for _ in steps {
        for (place, step) in steps.iter().enumerate() {
            starts[place] = match &step.start {
                // Nobody knows when: shown as if it were at once.
                Start::At(at) => Some(*at),
                Start::When(_) => Some(Duration::ZERO),
                Start::After(name) => steps
                    .iter()
                    .position(|other| &other.name == name)
                    .and_then(|other| starts[other].map(|start| start + last_end(&courses[other]))),
            };
        }
    }
    starts
}

/// From the start of the first occurrence to the end of the last.
fn last_end(course: &[Slot]) -> Duration {
    course.last().map_or(Duration::ZERO, |slot| slot.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(json: &str) -> Vec<Step> {
        serde_json::from_str(json).expect("steps")
    }

    #[test]
    fn what_comes_after_starts_when_the_last_occurrence_ends() {
        let steps = steps(
            r#"[{"name":"b","after":"a","for":"2s","fault":{"processPause":{"members":{"count":1}}}},
                {"name":"a","at":"1s","for":"3s","every":"10s","times":2,
                 "fault":{"processPause":{"members":{"count":1}}}}]"#,
        );
        let (slots, never) = slots(&steps, 1);
        assert!(never.is_empty());
        let seconds: Vec<_> =
            slots.iter().map(|slot| (slot.step, slot.start.as_secs(), slot.end.as_secs())).collect();
        assert_eq!(seconds, [(1, 1, 4), (1, 11, 14), (0, 14, 16)]);
    }

    #[test]
    fn steps_that_wait_for_each_other_never_start() {
        let steps = steps(
            r#"[{"name":"a","after":"b","fault":{"podKill":{"members":{"count":1}}}},
                {"name":"b","after":"a","fault":{"podKill":{"members":{"count":1}}}},
                {"name":"c","after":"nobody","fault":{"podKill":{"members":{"count":1}}}}]"#,
        );
        assert_eq!(slots(&steps, 1), (vec![], vec![0, 1, 2]));
    }

    #[test]
    fn what_is_drawn_too_soon_starts_when_the_one_before_ends_and_moves_nobody_else() {
        let steps = steps(
            r#"[{"name":"a","for":"30s","every":{"mean":"40s","jitter":"exponential"},"times":40,
                 "fault":{"processPause":{"members":{"count":1}}}}]"#,
        );
        let (slots, _) = slots(&steps, 3);
        let mut due = Duration::ZERO;
        let mut pushed = 0;
        for pair in slots.windows(2) {
            due += draw::gap(&steps[0], 3, pair[1].occurrence);
            assert_eq!(pair[1].start, due.max(pair[0].end));
            pushed += usize::from(pair[1].start == pair[0].end);
        }
        assert!((1..39).contains(&pushed), "{pushed} of 39 start when the one before ends");
    }
}

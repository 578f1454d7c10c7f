//! When each occurrence is meant to happen, counted from the end of the baseline. Injecting and reverting take no time
//! here; in a run they do, and what starts `after` a step starts that much later.

use std::time::Duration;

use crate::experiment::{Start, Step};

/// One occurrence of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// The step's place in the experiment.
    pub(super) step: usize,
    /// From 0.
    pub(super) occurrence: u32,
    /// From the end of the baseline.
    pub(super) start: Duration,
    /// The same as `start` for a fault that happens once.
    pub(super) end: Duration,
}

/// Every occurrence by its start, and the steps that never start, because what they wait for never ends.
pub(super) fn slots(steps: &[Step]) -> (Vec<Slot>, Vec<usize>) {
    let starts = starts(steps);
    let mut slots = Vec::new();
    for (place, (step, start)) in steps.iter().zip(&starts).enumerate() {
        for occurrence in 0..start.map_or(0, |_| step.repeat.times) {
            let start = start.unwrap_or_default() + step.repeat.every * occurrence;
            slots.push(Slot { step: place, occurrence, start, end: start + step.lasting });
        }
    }
    slots.sort_by_key(|slot| (slot.start, slot.step, slot.occurrence));
    let never = (0..steps.len()).filter(|&place| starts[place].is_none()).collect();
    (slots, never)
}

/// The first start of each step. A chain of `after` is at most as long as there are steps.
fn starts(steps: &[Step]) -> Vec<Option<Duration>> {
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
                    .and_then(|other| starts[other].map(|start| start + extent(&steps[other]))),
            };
        }
    }
    starts
}

/// From the start of the first occurrence to the end of the last.
fn extent(step: &Step) -> Duration {
    step.repeat.every * (step.repeat.times - 1) + step.lasting
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
        let (slots, never) = slots(&steps);
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
        assert_eq!(slots(&steps), (vec![], vec![0, 1, 2]));
    }
}

//! `snapshotSuccess` and `restoreTime`: what became of the snapshots that the run itself takes and restores.
//!
//! A step is good when its Injection says that all of it was done; one that was taken back before, or failed, is not. Both
//! belong to the moment at which they were asked for.

use crate::api::{ApiFault, Desired, HostFault, InjectionSpec, InjectionState, InjectionStatus, Nanos};
use crate::judge::judgement::Outage;
use crate::judge::series::{Measure, Window};
use crate::judge::signals::ALL;

/// Steps that take snapshots, and those that restore them.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshots {
    taken: Vec<Work>,
    restored: Vec<Work>,
}

#[derive(Debug, Clone)]
struct Work {
    name: String,
    from: Nanos,
    /// When it was over, and whether all of it was done.
    over: Option<(Nanos, bool)>,
    /// What its Injection said last.
    said: String,
}

impl Work {
    /// How long it took; without an end where it was not done.
    fn took(&self) -> Option<u64> {
        self.over.map(|(to, is_done)| if is_done { to - self.from } else { u64::MAX })
    }

    fn outage(&self) -> Outage {
        let to = self.over.map_or(self.from, |(to, _)| to);
        Outage { from: self.from, to, why: format!("{}: {}", self.name, self.said) }
    }
}

/// Those that were asked for in some windows and are over.
fn within<'a>(all: &'a [Work], windows: &[Window]) -> impl Iterator<Item = &'a Work> {
    all.iter().filter(|work| work.over.is_some() && windows.iter().any(|window| window.contains(work.from)))
}

impl Snapshots {
    pub(super) fn asked(&mut self, time: Nanos, spec: &InjectionSpec) {
        let works = match &spec.fault {
            HostFault::Api(ApiFault::TakeSnapshot { .. }) => &mut self.taken,
            HostFault::Api(ApiFault::RestoreSnapshot { .. }) => &mut self.restored,
            _ => return,
        };
        if spec.desired == Desired::Injected && works.iter().all(|work| work.name != spec.name) {
            let said = "nothing was heard of it".into();
            works.push(Work { name: spec.name.clone(), from: time, over: None, said });
        }
    }

    pub(super) fn heard(&mut self, time: Nanos, name: &str, status: &InjectionStatus) {
        let all = self.taken.iter_mut().chain(&mut self.restored);
        for work in all.filter(|work| work.name == name && work.over.is_none()) {
            let proof = status.proof.as_ref().map(|proof| &proof.observed);
            if let Some(said) = status.error.as_ref().or(proof) {
                work.said.clone_from(said);
            }
            work.over = match status.state {
                InjectionState::Reverted | InjectionState::Failed => Some((time, status.done)),
                InjectionState::Pending
                | InjectionState::Injected
                | InjectionState::Lost
                | InjectionState::RevertFailed => None,
            };
        }
    }

    /// The run stops early: what is not over is taken back by that, and says nothing about snapshots.
    pub(super) fn cut_short(&mut self) {
        for works in [&mut self.taken, &mut self.restored] {
            works.retain(|work| work.over.is_some());
        }
    }

    pub(super) fn forget(&mut self, before: Nanos) {
        for works in [&mut self.taken, &mut self.restored] {
            works.retain(|work| work.over.is_none() || work.from >= before);
        }
    }

    pub(super) fn success(&self, windows: &[Window]) -> Measure {
        let samples = within(&self.taken, windows).count() as u64;
        let good = within(&self.taken, windows).filter(|work| work.took() != Some(u64::MAX)).count() as u64;
        Measure { samples, value: (good * ALL).checked_div(samples), ..Measure::default() }
    }

    pub(super) fn failures(&self, windows: &[Window]) -> Vec<Outage> {
        within(&self.taken, windows).filter(|work| work.took() == Some(u64::MAX)).map(Work::outage).collect()
    }

    pub(super) fn restore_time(&self, windows: &[Window]) -> Measure {
        let took: Vec<u64> = within(&self.restored, windows).filter_map(Work::took).collect();
        Measure {
            samples: took.len() as u64,
            value: took.iter().copied().max(),
            lowest: took.iter().copied().min(),
            highest: took.iter().copied().max(),
            ..Measure::default()
        }
    }

    /// Restores that took too long.
    pub(super) fn slow(&self, windows: &[Window], bad: &dyn Fn(u64) -> bool) -> Vec<Outage> {
        within(&self.restored, windows)
            .filter(|work| work.took().is_some_and(bad))
            .map(Work::outage)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(name: &str, fault: &serde_json::Value) -> InjectionSpec {
        let mut spec = json!({
            "name": name, "run": "r", "step": "s", "occurrence": 0, "pod": {"name": "db-0", "uid": "u", "node": "n", "ordinal": 0},
            "container": null, "follow": false, "desired": "Injected",
            "deadline": {"at": "2026-01-01T00:00:00Z", "within": "1m"},
        });
        spec["fault"] = json!({ "api": fault });
        serde_json::from_value(spec).expect("a spec")
    }

    fn status(state: InjectionState, done: bool) -> InjectionStatus {
        let since = "2026-01-01T00:00:00Z".parse().expect("a moment");
        let effective_for = std::time::Duration::ZERO;
        InjectionStatus {
            state,
            since,
            proof: None,
            effective_for,
            error: Some("the disk is busy".into()),
            done,
            measured: None,
        }
    }

    #[test]
    fn what_was_done_counts_with_its_time_and_what_was_not_has_no_end() {
        let mut snapshots = Snapshots::default();
        let all = [Window::new(0, 100)];
        snapshots.asked(
            10,
            &spec("take", &json!({ "takeSnapshot": { "ordinals": [0], "claims": [], "class": null } })),
        );
        snapshots.asked(20, &spec("back", &json!({ "restoreSnapshot": { "from": "take", "read": true } })));
        assert_eq!(snapshots.success(&all).value, None, "it is not over");
        snapshots.heard(15, "take", &status(InjectionState::Injected, false));
        snapshots.heard(18, "take", &status(InjectionState::Reverted, true));
        snapshots.heard(29, "back", &status(InjectionState::Reverted, true));
        assert_eq!(snapshots.success(&all).value, Some(ALL));
        assert_eq!(snapshots.restore_time(&all).value, Some(9));
        assert_eq!(snapshots.slow(&all, &|took| took > 8)[0].why, "back: the disk is busy");
        snapshots.asked(
            30,
            &spec("late", &json!({ "takeSnapshot": { "ordinals": [0], "claims": [], "class": null } })),
        );
        snapshots.asked(31, &spec("lost", &json!({ "restoreSnapshot": { "from": "take", "read": true } })));
        snapshots.heard(40, "late", &status(InjectionState::Reverted, false));
        snapshots.heard(40, "lost", &status(InjectionState::Failed, false));
        assert_eq!(snapshots.success(&all).value, Some(ALL / 2));
        assert_eq!(snapshots.failures(&all)[0].why, "late: the disk is busy");
        assert_eq!(snapshots.restore_time(&all).value, Some(u64::MAX));
        assert_eq!(snapshots.success(&[Window::new(0, 30)]).value, Some(ALL));
    }

    #[test]
    fn what_an_abort_takes_back_is_no_failure_and_what_failed_before_is_one() {
        let mut snapshots = Snapshots::default();
        let all = [Window::new(0, 100)];
        let take = json!({ "takeSnapshot": { "ordinals": [0], "claims": [], "class": null } });
        snapshots.asked(10, &spec("early", &take));
        snapshots.heard(20, "early", &status(InjectionState::Failed, false));
        snapshots.asked(30, &spec("take", &take));
        snapshots.asked(30, &spec("back", &json!({ "restoreSnapshot": { "from": "take", "read": true } })));
        snapshots.cut_short();
        snapshots.heard(40, "take", &status(InjectionState::Reverted, false));
        snapshots.heard(40, "back", &status(InjectionState::Reverted, false));
        assert_eq!(snapshots.restore_time(&all).value, None);
        assert_eq!(snapshots.failures(&all).len(), 1);
    }
}

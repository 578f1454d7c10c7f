//! What a look says of a target that ends while it is looked at.

use serde_json::json;

use super::*;
use crate::fault::host::Target;
use crate::fault::process_pause::host::{By, Paused, Target as Pause};
use crate::host::process::ProcessId;
use crate::host::process::tree::Tree;

/// An effect that is not seen any more, and what its target may have ended of.
struct Unseen(Option<&'static str>);

impl Effect for Unseen {
    fn look(&mut self, _: Option<&LocatedPod>) -> Look {
        Look::Fails("it is not held".into())
    }

    fn ended_of_it(&mut self) -> Option<String> {
        self.0.map(str::to_owned)
    }
}

fn record(first: ProcessId) -> Record {
    let spec: InjectionSpec = serde_json::from_value(json!({
        "name": "r.s.0.0", "run": "r", "step": "s", "occurrence": 0,
        "pod": {"name": "db-0", "uid": "u", "node": "n", "ordinal": 0},
        "container": null, "fault": {"pause": {}}, "desired": "Injected", "follow": false,
        "deadline": {"at": "2026-01-01T00:00:00Z", "within": "1m"},
    }))
    .expect("a spec");
    let paused = Paused { name: "db".into(), first, by: By::Signal(Tree::below(first)) };
    Record {
        schema: Record::SCHEMA,
        generation: 1,
        written: Timestamp::now(),
        began: Duration::ZERO,
        era: Era::current().expect("readable"),
        pod: "u".into(),
        expires: Expiry::new(&spec.deadline, Duration::ZERO),
        target: Target::Pause(Pause { containers: vec![paused] }),
        guardian: None,
        twin: None,
        spec,
    }
}

#[test]
fn a_look_that_fails_because_the_target_has_just_ended_says_so_and_what_it_may_have_ended_of() {
    let living = ProcessId::of(std::process::id().cast_signed()).expect("readable").expect("it lives");
    let ended = ProcessId { start: living.start + 1, ..living };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("r.1.undo.json");
    let seen = |first: ProcessId, ended_of, is_lost| {
        let record = record(first);
        drop(Store::write(&path, &record).expect("writable"));
        let (effect, guardians) = (Box::new(Unseen(ended_of)), Vec::new());
        let path = path.clone();
        match (Standing { path, record, effect, is_taken_back: false, is_lost, guardians }).look() {
            Look::Holds(told) => (true, told),
            Look::Fails(told) => (false, told),
            Look::NotYet => (false, String::new()),
        }
    };
    assert_eq!(seen(living, Some("a call failed"), false), (false, "it is not held".to_owned()));
    assert_eq!(seen(ended, None, false), (false, ENDED.to_owned()));
    assert_eq!(seen(ended, Some("a call failed"), false), (true, "a call failed".to_owned()));
    // Nothing was done to it any more.
    assert_eq!(seen(ended, Some("a call failed"), true), (false, ENDED.to_owned()));
}

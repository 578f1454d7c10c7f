use std::time::{Duration, Instant};

use crate::platform::sandbox::pod_spec::{Container, Limits, Probe, ProbeCheck, Rights};
use crate::platform::sandbox::probe::{Change, Kind, ProbeState, Probes};

const YES: Result<(), ()> = Ok(());
const NO: Result<(), ()> = Err(());

fn probe(success_threshold: u32, failure_threshold: u32) -> Probe {
    Probe {
        check: ProbeCheck::Tcp { host: None, port: 1 },
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        success_threshold,
        failure_threshold,
    }
}

fn container() -> Container {
    Container {
        name: "db".into(),
        image: None,
        argv: vec!["/bin/true".into()],
        working_dir: None,
        env: Vec::new(),
        mounts: Vec::new(),
        run_as_user: None,
        run_as_group: None,
        ports: std::collections::BTreeMap::new(),
        readiness: None,
        liveness: None,
        startup: None,
        rights: Rights::default(),
        limits: Limits::default(),
        is_sidecar: false,
        post_start: None,
        pre_stop: None,
        stop_signal: None,
    }
}

/// What each answer changes, one after the other.
fn changes(kind: Kind, probe: &Probe, answers: &[Result<(), ()>]) -> Vec<Option<Change>> {
    let now = Instant::now();
    let mut state = ProbeState::new(kind, probe, now);
    answers.iter().map(|answer| state.observe(answer, now)).collect()
}

#[test]
fn is_ready_only_after_as_many_successes_in_a_row() {
    assert_eq!(
        changes(Kind::Readiness, &probe(2, 1), &[YES, NO, YES, YES, YES]),
        [None, None, None, Some(Change::Ready), None]
    );
}

#[test]
fn stays_ready_until_as_many_failures_in_a_row() {
    assert_eq!(
        changes(Kind::Readiness, &probe(1, 3), &[YES, NO, NO, YES, NO, NO, NO, NO]),
        [Some(Change::Ready), None, None, None, None, None, Some(Change::NotReady), None]
    );
}

#[test]
fn restarts_after_as_many_failures_of_liveness_and_only_once() {
    assert_eq!(
        changes(Kind::Liveness, &probe(1, 2), &[NO, YES, NO, NO, NO]),
        [None, None, None, Some(Change::Restart), None]
    );
}

#[test]
fn restarts_what_does_not_start() {
    assert_eq!(changes(Kind::Startup, &probe(1, 3), &[NO, NO, NO]), [None, None, Some(Change::Restart)]);
    assert_eq!(changes(Kind::Startup, &probe(1, 3), &[NO, NO, YES]), [None, None, Some(Change::Started)]);
}

#[test]
fn waits_with_the_others_until_startup_has_succeeded() {
    let started = Instant::now();
    let mut probes = Probes::new(
        &Container {
            startup: Some(probe(1, 3)),
            readiness: Some(probe(1, 3)),
            liveness: Some(probe(1, 3)),
            ..container()
        },
        started,
    );
    assert_eq!(probes.take_due(started), [Kind::Startup]);
    assert_eq!(probes.take_due(started), []);
    assert_eq!(probes.wake_at(), None);
    assert!(!probes.is_ready() && !probes.is_started());

    assert_eq!(probes.observe(Kind::Startup, &NO, started), None);
    let again = started + Duration::from_secs(10);
    assert_eq!(probes.wake_at(), Some(again));
    assert_eq!(probes.take_due(again), [Kind::Startup]);
    assert_eq!(probes.observe(Kind::Startup, &YES, again), Some(Change::Started));
    assert!(probes.is_started() && !probes.is_ready());

    assert_eq!(probes.take_due(again), [Kind::Readiness, Kind::Liveness]);
    assert_eq!(probes.observe(Kind::Readiness, &YES, again), Some(Change::Ready));
    assert!(probes.is_ready());
}

#[test]
fn asks_for_the_first_time_after_the_initial_delay_and_then_by_period() {
    let started = Instant::now();
    let second = |number| started + Duration::from_secs(number);
    let readiness = Probe { initial_delay: Duration::from_secs(5), ..probe(1, 1) };
    let mut probes = Probes::new(&Container { readiness: Some(readiness), ..container() }, started);
    assert_eq!(probes.wake_at(), Some(second(5)));
    assert_eq!(probes.take_due(second(4)), []);
    assert_eq!(probes.take_due(second(5)), [Kind::Readiness]);
    probes.observe(Kind::Readiness, &YES, second(7));
    assert_eq!(probes.wake_at(), Some(second(15)));
    assert_eq!(probes.take_due(second(15)), [Kind::Readiness]);
    // An answer that takes longer than the period is followed at once, never overtaken.
    probes.observe(Kind::Readiness, &YES, second(40));
    assert_eq!(probes.wake_at(), Some(second(40)));
}

#[test]
fn is_ready_at_once_without_probes() {
    let now = Instant::now();
    let mut probes = Probes::new(&container(), now);
    assert!(probes.is_started() && probes.is_ready());
    assert_eq!(probes.take_due(now), []);
    assert_eq!(probes.wake_at(), None);
    assert_eq!(probes.observe(Kind::Liveness, &NO, now), None);
}

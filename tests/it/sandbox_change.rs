//! Actions that change a StatefulSet in a sandbox: what is asked for is there, in processes that run, and is put back.

use std::time::Duration;

use nix::unistd::Pid;
use seatrial::api::{
    ApiFault, Deadline, Desired, HostFault, InjectionSpec, InjectionState, InjectionStatus, Ordinal,
};
use seatrial::platform::sandbox::pod_spec::{EnvValue, EnvVar, StartOrder};
use seatrial::platform::{Cluster as _, Nodes};

use crate::sandbox_fixture::{Fixture, LIMIT, shell_set, wait_until, with_claim};
use crate::sandbox_platform::injection;

/// Far longer than any of this takes.
const LONG: Duration = Duration::from_mins(10);

fn change(name: &str, fault: ApiFault, within: Duration) -> InjectionSpec {
    let deadline = Deadline { at: jiff::Timestamp::now(), within };
    InjectionSpec { fault: HostFault::Api(fault), deadline, ..injection(name) }
}

fn apply(fixture: &Fixture, spec: &InjectionSpec) {
    fixture.runtime.block_on(fixture.client.apply(spec.clone())).expect("init takes it");
}

fn revert(fixture: &Fixture, spec: InjectionSpec) {
    let name = spec.name.clone();
    apply(fixture, &InjectionSpec { desired: Desired::Reverted, ..spec });
    status(fixture, &name, InjectionState::Reverted);
}

/// Waits until an Injection is in a state.
fn status(fixture: &Fixture, name: &str, wanted: InjectionState) -> InjectionStatus {
    let found = async {
        let mut all = fixture.client.statuses().await.expect("the watch opens");
        loop {
            let injection = all.recv().await.expect("the watch is open");
            let is_it = injection.spec.name == name;
            if let Some(status) = injection.status.filter(|status| is_it && status.state == wanted) {
                return status;
            }
        }
    };
    let found = fixture.runtime.block_on(async { tokio::time::timeout(LIMIT, found).await });
    assert!(found.is_ok(), "{name} is not {wanted:?} within {LIMIT:?}\n{}", fixture.all_logs());
    found.expect("it was just looked at")
}

/// The environment of the process of a pod's container, as the kernel shows it.
fn environment(fixture: &Fixture, ordinal: Ordinal) -> Vec<String> {
    let pid = process(fixture, ordinal);
    let text = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    String::from_utf8_lossy(&text).split('\0').map(ToOwned::to_owned).collect()
}

fn process(fixture: &Fixture, ordinal: Ordinal) -> Pid {
    let pod = fixture.locate(ordinal);
    fixture.pid_outside(pod.containers[0].pid)
}

fn set(replicas: u32, order: StartOrder, script: &str) -> seatrial::platform::sandbox::pod_spec::SetSpec {
    let mut spec = shell_set(replicas, script);
    spec.start = order;
    spec
}

#[test]
fn a_scale_is_there_while_it_is_asked_for_and_is_put_back() {
    for (name, order) in [("scale-one", StartOrder::Ordered), ("scale-all", StartOrder::Parallel)] {
        let fixture = Fixture::up(name, set(1, order, "exec sleep 1000"));
        fixture.wait_ready();
        let first = fixture.pod(0).uid;
        let scale = change("more", ApiFault::Scale { replicas: 3 }, LONG);
        apply(&fixture, &scale);
        let proof = status(&fixture, "more", InjectionState::Injected).proof.expect("it is proven");
        assert!(proof.holds && proof.observed.starts_with("3 replicas are asked for, "), "{proof:?}");
        fixture.wait_for("three are ready", |now| now.replicas == 3 && now.ready() == 3);
        let added = process(&fixture, 2);
        assert_ne!(environment(&fixture, 2).iter().find(|line| line.starts_with("POD_IP=10.")), None);
        revert(&fixture, scale);
        fixture.wait_for("one is left", |now| now.replicas == 1 && now.pods.len() == 1);
        wait_until("its process is gone", || !std::path::Path::new(&format!("/proc/{added}")).exists());
        assert_eq!(fixture.pod(0).uid, first, "the others are not touched");
    }
}

#[test]
fn members_that_are_scaled_away_end_from_the_highest_on_and_find_their_claims_again() {
    let script = "[ -e /data/mark ] && echo found the mark; touch /data/mark; exec sleep 1000";
    let fixture = Fixture::up("scale-down", with_claim(set(3, StartOrder::Ordered, script)));
    fixture.wait_ready();
    let less = change("less", ApiFault::Scale { replicas: 1 }, LONG);
    let mut snapshots = fixture.client.snapshots();
    apply(&fixture, &less);
    let seen = fixture.runtime.block_on(async {
        let mut seen = Vec::new();
        let watched = async {
            loop {
                let there: Vec<Ordinal> =
                    snapshots.borrow_and_update().pods.iter().map(|pod| pod.ordinal).collect();
                if seen.last() != Some(&there) {
                    seen.push(there.clone());
                }
                if there == [0] {
                    return;
                }
                snapshots.changed().await.expect("init lives");
            }
        };
        tokio::time::timeout(LIMIT, watched).await.expect("they end");
        seen
    });
    assert_eq!(seen, [vec![0, 1, 2], vec![0, 1], vec![0]]);
    revert(&fixture, less);
    fixture.wait_for("all are back", |now| now.replicas == 3 && now.ready() == 3);
    fixture.wait_log("web-2", "main", "found the mark");
}

#[test]
fn a_variable_is_in_every_process_while_it_is_asked_for_and_what_was_there_before_afterwards() {
    let mut spec = set(2, StartOrder::Ordered, "exec sleep 1000");
    let text =
        |name: &str, value: &str| EnvVar { name: name.to_owned(), value: EnvValue::Text(value.to_owned()) };
    let words = text("WORDS", "$(COLOUR) it is");
    spec.pod.containers[0].env.extend([text("SHAPE", "round"), text("COLOUR", "blue"), words]);
    let fixture = Fixture::up("set-env", spec);
    fixture.wait_ready();
    let has = |colour: &str| {
        let line = format!("COLOUR={colour}");
        move |fixture: &Fixture| (0..2).all(|ordinal| environment(fixture, ordinal).contains(&line))
    };
    assert!(has("blue")(&fixture));
    let before = fixture.pod(0).uid;
    let fault = ApiFault::SetEnv {
        container: "main".to_owned(),
        name: "COLOUR".to_owned(),
        value: "green and $(SHAPE)".to_owned(),
    };
    let paint = change("paint", fault, LONG);
    apply(&fixture, &paint);
    let proof = status(&fixture, "paint", InjectionState::Injected).proof.expect("it is proven");
    assert!(proof.observed.starts_with("revision web-2 is asked for, "), "{proof:?}");
    let is_rolled = |revision: &'static str| {
        move |now: &seatrial::api::Snapshot| {
            now.ready() == 2 && now.pods.iter().all(|pod| pod.revision.as_deref() == Some(revision))
        }
    };
    fixture.wait_for("all have the new template", is_rolled("web-2"));
    assert!(has("green and round")(&fixture), "{:?}", environment(&fixture, 0));
    let whole = environment(&fixture, 1);
    assert!(whole.contains(&"SHAPE=round".to_owned()), "the others are what they were");
    assert!(
        whole.contains(&"WORDS=green and round it is".to_owned()),
        "but those that refer to it: {whole:?}"
    );
    assert_ne!(fixture.pod(0).uid, before, "it is another pod");
    // A container that is started again in its pod has what the pod's template says.
    let ended = process(&fixture, 0);
    nix::sys::signal::kill(ended, nix::sys::signal::Signal::SIGKILL).expect("it runs");
    fixture.wait_for("it runs again", |now| {
        now.pod(0).is_some_and(|pod| pod.ready && pod.containers[0].restarts == 1)
    });
    assert!(has("green and round")(&fixture));
    revert(&fixture, paint);
    fixture.wait_for("all have the old template", is_rolled("web-3"));
    assert!(has("blue")(&fixture), "{:?}", environment(&fixture, 0));
}

#[test]
fn one_change_is_there_at_a_time_and_lapses_at_its_deadline() {
    let fixture = Fixture::up("changes", set(1, StartOrder::Parallel, "exec sleep 1000"));
    fixture.wait_ready();
    apply(&fixture, &change("first", ApiFault::Scale { replicas: 2 }, Duration::from_secs(15)));
    status(&fixture, "first", InjectionState::Injected);
    apply(&fixture, &change("second", ApiFault::Scale { replicas: 4 }, LONG));
    let why = status(&fixture, "second", InjectionState::Failed).error.expect("it says why");
    assert_eq!(why, "web was changed already by first: one change at a time");
    fixture.wait_for("nobody asked it back", |now| now.replicas == 1 && now.pods.len() == 1);
    status(&fixture, "first", InjectionState::Reverted);
}

//! Pods come, serve, die and come back as in Kubernetes.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use seatrial::api::PodPhase;
use seatrial::platform::Cluster;
use seatrial::platform::sandbox::pod_spec::{ProbeCheck, StartOrder};

use crate::sandbox_fixture::{Fixture, probe, shell_set, wait_until};

const SERVE: &str =
    "mkdir -p /srv/www; hostname > /srv/www/index.html; exec busybox httpd -f -p 8080 -h /srv/www";

#[test]
fn pods_know_their_names_and_reach_each_other_by_them() {
    let mut spec = shell_set(3, SERVE);
    spec.pod.containers[0].argv[2] = format!(
        "echo I am $(hostname -f); ({SERVE}) & \
         until busybox wget -q -O - http://web-2.web:8080/ && busybox wget -q -O - \
         http://web-0.web.default.svc.cluster.local:8080; do sleep 0.1; done; wait"
    );
    spec.pod.containers[0].readiness = Some(probe(ProbeCheck::Tcp { host: None, port: 8080 }));
    let fixture = Fixture::up("names", spec);
    fixture.wait_ready();
    fixture.wait_log("web-1", "main", "I am web-1.web.default.svc.cluster.local");
    fixture.wait_log("web-1", "main", "web-2\nweb-0\n");
}

#[test]
fn starts_ordered_pods_only_when_those_before_them_are_ready() {
    let mut spec = shell_set(3, SERVE);
    spec.start = StartOrder::Ordered;
    spec.pod.containers[0].readiness = Some(probe(ProbeCheck::Tcp { host: None, port: 8080 }));
    let fixture = Fixture::up("ordered", spec);
    let mut most = 0;
    fixture.wait_for("all ready", |now| {
        for pod in &now.pods {
            let before_are_ready =
                now.pods.iter().filter(|other| other.ordinal < pod.ordinal).all(|other| other.ready);
            assert!(before_are_ready, "{now:#?}");
        }
        most = most.max(now.pods.len());
        now.ready() == 3
    });
    assert_eq!(most, 3);
}

#[test]
fn deleted_pod_gets_its_grace_and_comes_back_as_another() {
    let script = "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.05; done";
    let fixture = Fixture::up("delete", shell_set(2, script));
    fixture.wait_ready();
    fixture.wait_log("web-1", "main", "hello");
    let before = fixture.pod(1);
    fixture.runtime.block_on(fixture.client.delete_pod(1, None)).expect("there is such a pod");
    let after = fixture
        .wait_for("another pod", |now| now.pod(1).is_some_and(|pod| pod.uid != before.uid && pod.ready));
    let after = after.pod(1).expect("it was just seen");
    assert_eq!(after.name, before.name);
    assert_ne!(after.ip, before.ip);
    assert_eq!(after.containers[0].restarts, 0);
    fixture.wait_log("web-1", "main", "bye");
}

/// A pod that does not end when it is asked to, and has so long to do it.
fn stubborn(grace: Duration) -> Fixture {
    let mut spec = shell_set(1, "trap '' TERM; echo up; while :; do sleep 0.05; done");
    spec.pod.grace = grace;
    let fixture = Fixture::up("stubborn", spec);
    fixture.wait_ready();
    fixture.wait_log("web-0", "main", "up\n");
    fixture
}

#[test]
fn pod_that_ignores_sigterm_is_killed_after_its_grace() {
    let fixture = stubborn(Duration::from_secs(3));
    let before = fixture.pod(0);
    let asked = Instant::now();
    fixture.runtime.block_on(fixture.client.delete_pod(0, None)).expect("there is such a pod");
    fixture.wait_for("terminating", |now| now.pod(0).is_some_and(|pod| pod.phase == PodPhase::Terminating));
    fixture.wait_for("another pod", |now| now.pod(0).is_some_and(|pod| pod.uid != before.uid));
    assert!(asked.elapsed() >= Duration::from_millis(2900), "{:?}", asked.elapsed());
}

#[test]
fn pod_whose_deletion_gives_it_no_grace_is_killed_at_once() {
    // Nobody would wait here for what it has by its manifest.
    let fixture = stubborn(Duration::from_hours(1));
    let before = fixture.pod(0);
    let at_once = fixture.client.delete_pod(0, Some(Duration::ZERO));
    fixture.runtime.block_on(at_once).expect("there is such a pod");
    fixture.wait_for("another pod", |now| now.pod(0).is_some_and(|pod| pod.uid != before.uid));
}

#[test]
fn refuses_to_delete_a_pod_that_is_not_there() {
    let fixture = Fixture::up("absent", shell_set(1, "sleep 1000"));
    let refused = fixture.runtime.block_on(fixture.client.delete_pod(7, None));
    assert!(refused.expect_err("there is no ordinal 7").to_string().contains("ordinal 7"));
}

#[test]
fn crashed_container_restarts_at_once_and_then_backs_off() {
    let fixture = Fixture::up("crash", shell_set(1, "exit 3"));
    let seen = fixture.wait_for("back-off", |now| {
        now.pod(0)
            .is_some_and(|pod| pod.containers[0].waiting.as_deref() == Some("CrashLoopBackOff (exit code 3)"))
    });
    assert_eq!(seen.pod(0).expect("it was just seen").containers[0].restarts, 1);
    assert_eq!(fixture.log("web-0", "main").matches("--- start").count(), 2);
}

#[test]
fn says_what_a_container_wrote_before_it_ended() {
    let fixture = Fixture::up("words", shell_set(1, "echo to work; echo no such table >&2; exit 134"));
    fixture.wait_for("its last words", |now| {
        let waiting = now.pod(0).and_then(|pod| pod.containers[0].waiting.clone()).unwrap_or_default();
        waiting == "CrashLoopBackOff (exit code 134 (SIGABRT): to work | no such table)"
    });
}

#[test]
fn says_which_program_is_missing() {
    let mut spec = shell_set(1, "");
    spec.pod.containers[0].argv = vec!["no-such-program".to_owned()];
    let fixture = Fixture::up("missing", spec);
    fixture.wait_for("the reason", |now| {
        let waiting = now.pod(0).and_then(|pod| pod.containers[0].waiting.clone()).unwrap_or_default();
        waiting.contains("no program named `no-such-program` in PATH")
    });
}

#[test]
fn pod_whose_first_process_dies_keeps_its_uid_and_starts_again() {
    let fixture = Fixture::up("holder", shell_set(1, "sleep 1000"));
    fixture.wait_ready();
    let (before, located) = (fixture.pod(0), fixture.locate(0));
    kill(fixture.pid_outside(located.holder), Signal::SIGKILL).expect("the holder lives");
    let after = fixture.wait_for("the restart", |now| {
        now.pod(0).is_some_and(|pod| pod.ready && pod.containers[0].restarts == 1)
    });
    let after = after.pod(0).expect("it was just seen");
    assert_eq!(after.uid, before.uid);
    assert_ne!(after.ip, before.ip);
    assert_ne!(fixture.locate(0).containers[0].pid, located.containers[0].pid);
}

#[test]
fn frozen_container_does_not_keep_its_restart_frozen() {
    let fixture = Fixture::up("frozen", shell_set(1, "sleep 1000"));
    fixture.wait_ready();
    let located = fixture.locate(0);
    let Some(cgroup) = located.containers[0].cgroup.clone() else {
        return;
    };
    std::fs::write(cgroup.join("cgroup.freeze"), "1").expect("it can be frozen");
    kill(fixture.pid_outside(located.containers[0].pid), Signal::SIGKILL).expect("the container lives");
    fixture.wait_for("the restart", |now| {
        now.pod(0).is_some_and(|pod| pod.ready && pod.containers[0].restarts == 1)
    });
    let frozen =
        || std::fs::read_to_string(cgroup.join("cgroup.freeze")).is_ok_and(|state| state.trim() == "0");
    wait_until("the new cgroup is thawed", frozen);
}

#[test]
fn every_start_of_a_container_has_a_new_cgroup_in_which_its_io_can_be_limited() {
    if !std::path::Path::new("/sys/fs/cgroup/blkio/cgroup.procs").exists() {
        return;
    }
    let fixture = Fixture::up("limited", shell_set(1, "sleep 1000"));
    fixture.wait_ready();
    let look = || {
        let container = fixture.locate(0).containers[0].clone();
        let cgroup = container.throttle.expect("cgroups are writable for root");
        let members = std::fs::read_to_string(cgroup.join("cgroup.procs")).expect("readable");
        let first = fixture.pid_outside(container.pid);
        assert!(members.lines().any(|pid| pid == first.to_string()), "{first} is not in {members}");
        (first, std::fs::metadata(&cgroup).expect("there").ino())
    };
    let (first, before) = look();
    kill(first, Signal::SIGKILL).expect("the container lives");
    fixture.wait_for("the restart", |now| {
        now.pod(0).is_some_and(|pod| pod.ready && pod.containers[0].restarts == 1)
    });
    assert_ne!(look().1, before, "no limit of the one before is left");
}

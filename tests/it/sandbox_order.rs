//! In which order the containers of a pod start and end, and what is done then.

use std::time::{Duration, Instant};

use seatrial::platform::Cluster as _;
use seatrial::platform::sandbox::pod_spec::{ClaimTemplate, EmptyDir, Hook, Mount, ProbeCheck, SetSpec};

use crate::sandbox_fixture::{Fixture, mount, probe, shell, shell_set};

fn exec(script: &str) -> ProbeCheck {
    ProbeCheck::Exec { argv: ["sh", "-c", script].map(str::to_owned).to_vec() }
}

fn shared() -> Mount {
    mount("shared", "/shared")
}

/// A set whose containers all write into the file `/shared/order`.
fn sharing(mut spec: SetSpec) -> SetSpec {
    spec.pod.empty_dirs = vec![EmptyDir { name: "shared".to_owned(), in_memory: false, size: None }];
    let pod = &mut spec.pod;
    for container in pod.init_containers.iter_mut().chain(&mut pod.containers) {
        container.mounts = vec![shared()];
    }
    spec
}

/// With a long grace. The next pod has another emptyDir; what one leaves is read from a volume that stays.
fn lasting(mut spec: SetSpec) -> SetSpec {
    spec.pod.empty_dirs.clear();
    spec.claims.push(ClaimTemplate { name: "shared".to_owned(), size: 64 << 20 });
    spec.pod.grace = Duration::from_secs(20);
    spec
}

/// Deletes the pod, and reads in the next one what was written.
fn order_of_the_pod_before(fixture: &Fixture) -> String {
    let before = fixture.pod(0);
    fixture.runtime.block_on(fixture.client.delete_pod(0, None)).expect("there is such a pod");
    fixture.wait_for("another pod", |now| now.pod(0).is_some_and(|pod| pod.uid != before.uid && pod.ready));
    let read = fixture.locate(0);
    let pid = fixture.pid_outside(read.containers[0].pid);
    std::fs::read_to_string(format!("/proc/{pid}/root/shared/order")).expect("root may look")
}

/// Says in the pod's order what happens to a container: that it starts, and that it is asked to end. There is a file
/// `/tmp/up` from when it listens to that: the kernel keeps from a container's first process what it has no handler for.
fn told(name: &str) -> String {
    format!(
        "trap 'echo {name} ends >> /shared/order; exit 0' TERM; echo {name} >> /shared/order; touch /tmp/up; \
         while :; do sleep 0.05; done"
    )
}

#[test]
fn init_container_that_fails_is_started_again_before_the_next() {
    let mut spec = shell_set(1, "echo main >> /shared/order; cat /shared/order; exec sleep 1000");
    let flaky = "echo flaky >> /shared/order; test $(grep -c flaky /shared/order) = 2";
    spec.pod.init_containers = vec![shell("flaky", flaky), shell("next", "echo next >> /shared/order")];
    let fixture = Fixture::up("order-init", sharing(spec));
    fixture.wait_ready();
    fixture.wait_log("web-0", "main", "flaky\nflaky\nnext\nmain\n");
}

#[test]
fn sidecar_starts_before_what_comes_after_it_and_ends_after_the_others() {
    let mut spec = shell_set(1, &told("main"));
    spec.pod.containers[0].readiness = Some(probe(exec("test -e /tmp/up")));
    let sidecar = |name: &str| {
        let mut sidecar = shell(name, &format!("sleep 0.5; {}", told(name)));
        sidecar.is_sidecar = true;
        sidecar.startup = Some(probe(exec("test -e /tmp/up")));
        sidecar
    };
    spec.pod.init_containers =
        vec![sidecar("sidecar"), shell("once", "echo once >> /shared/order"), sidecar("second")];
    let fixture = Fixture::up("order-sidecar", lasting(sharing(spec)));
    fixture.wait_ready();
    let before = fixture.pod(0);
    let names: Vec<_> = before.containers.iter().map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["main", "sidecar", "second"]);
    let told = order_of_the_pod_before(&fixture);
    let first: Vec<_> = told.lines().take(7).collect();
    assert_eq!(
        first,
        ["sidecar", "once", "second", "main", "main ends", "second ends", "sidecar ends"],
        "{told}"
    );
}

#[test]
fn hook_of_a_sidecar_runs_as_soon_as_its_pod_is_going() {
    let mut spec = shell_set(
        1,
        "trap 'until test -e /shared/left; do sleep 0.05; done; echo main ends >> /shared/order; exit 0' TERM; \
         touch /tmp/up; while :; do sleep 0.05; done",
    );
    spec.pod.containers[0].readiness = Some(probe(exec("test -e /tmp/up")));
    let mut sidecar = shell("sidecar", &told("sidecar"));
    sidecar.is_sidecar = true;
    sidecar.startup = Some(probe(exec("test -e /tmp/up")));
    sidecar.pre_stop = Some(Hook::Check(exec("echo sidecar leaves >> /shared/order; touch /shared/left")));
    spec.pod.init_containers = vec![sidecar];
    let fixture = Fixture::up("order-leaves", lasting(sharing(spec)));
    fixture.wait_ready();
    let told = order_of_the_pod_before(&fixture);
    let first: Vec<_> = told.lines().take(4).collect();
    assert_eq!(first, ["sidecar", "sidecar leaves", "main ends", "sidecar ends"], "{told}");
}

#[test]
fn sidecar_that_dies_is_started_again_and_counts_for_readiness() {
    let mut spec = shell_set(1, "exec sleep 1000");
    let mut sidecar = shell("sidecar", "touch /tmp/ready; sleep 8; exit 1");
    sidecar.is_sidecar = true;
    sidecar.readiness = Some(probe(exec("test -e /tmp/ready")));
    spec.pod.init_containers = vec![sidecar];
    let fixture = Fixture::up("order-dies", spec);
    fixture.wait_ready();
    fixture.wait_for("not ready without it", |now| now.pod(0).is_some_and(|pod| !pod.ready));
    let seen = fixture.wait_for("ready with it", |now| {
        now.pod(0).is_some_and(|pod| pod.ready && pod.containers[1].restarts > 0)
    });
    assert_eq!(seen.pod(0).expect("it was just seen").containers[0].restarts, 0);
}

#[test]
fn hooks_run_after_the_start_and_before_the_end() {
    let mut spec = shell_set(1, "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.05; done");
    spec.pod.grace = Duration::from_secs(20);
    let container = &mut spec.pod.containers[0];
    container.post_start = Some(Hook::Check(exec("sleep 1; echo hooked >> /proc/1/fd/1")));
    container.pre_stop = Some(Hook::Check(exec("echo leaving >> /proc/1/fd/1; sleep 0.3")));
    let fixture = Fixture::up("hooks", spec);
    fixture.wait_ready();
    fixture.wait_log("web-0", "main", "up\n");
    assert!(fixture.log("web-0", "main").contains("hooked"), "ready only after the hook");
    let before = fixture.pod(0);
    fixture.runtime.block_on(fixture.client.delete_pod(0, None)).expect("there is such a pod");
    fixture.wait_for("another pod", |now| now.pod(0).is_some_and(|pod| pod.uid != before.uid));
    let log = fixture.log("web-0", "main");
    let place = |text: &str| log.find(text).unwrap_or_else(|| unreachable!("no {text} in {log}"));
    assert!(place("leaving") < place("asked"), "{log}");
}

#[test]
fn start_whose_hook_fails_is_ended_and_made_again() {
    let mut spec = shell_set(1, "echo up; exec sleep 1000");
    spec.pod.grace = Duration::from_millis(100);
    spec.pod.containers[0].post_start = Some(Hook::Check(exec("exit 3")));
    let fixture = Fixture::up("hook-fails", spec);
    fixture.wait_for("the reason", |now| {
        let waiting = now.pod(0).and_then(|pod| pod.containers[0].waiting.clone()).unwrap_or_default();
        waiting.starts_with("CrashLoopBackOff (postStart hook failed: \"sh\" ended with exit code 3")
    });
    assert!(!fixture.pod(0).ready);
}

#[test]
fn hook_that_takes_longer_than_the_grace_leaves_the_program_a_moment() {
    let mut spec = shell_set(1, "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.05; done");
    spec.pod.grace = Duration::from_secs(1);
    spec.pod.containers[0].pre_stop = Some(Hook::Sleep(Duration::from_secs(1000)));
    let fixture = Fixture::up("hook-long", spec);
    fixture.wait_ready();
    fixture.wait_log("web-0", "main", "up\n");
    let before = fixture.pod(0);
    let asked = Instant::now();
    fixture.runtime.block_on(fixture.client.delete_pod(0, None)).expect("there is such a pod");
    fixture.wait_for("another pod", |now| now.pod(0).is_some_and(|pod| pod.uid != before.uid));
    assert!(asked.elapsed() >= Duration::from_millis(900), "{:?}", asked.elapsed());
    assert!(fixture.log("web-0", "main").contains("asked"), "{}", fixture.all_logs());
}

#[test]
fn hooks_reach_the_pod_over_http_and_the_end_is_asked_for_by_the_signal_of_the_manifest() {
    let script = "trap 'echo quit; exit 0' QUIT; trap 'echo term' TERM; mkdir /srv/www; echo > /srv/www/leave; \
                  busybox httpd -vv -f -p 80 -h /srv/www & while :; do sleep 0.05; done";
    let mut spec = shell_set(1, script);
    spec.pod.grace = Duration::from_secs(20);
    let container = &mut spec.pod.containers[0];
    container.pre_stop = Some(Hook::Check(ProbeCheck::Http {
        host: None,
        port: 80,
        path: "/leave".to_owned(),
        headers: Vec::new(),
    }));
    container.stop_signal = Some(3);
    container.readiness = Some(probe(ProbeCheck::Tcp { host: None, port: 80 }));
    let fixture = Fixture::up("hook-http", spec);
    fixture.wait_ready();
    let before = fixture.pod(0);
    fixture.runtime.block_on(fixture.client.delete_pod(0, None)).expect("there is such a pod");
    fixture.wait_for("another pod", |now| now.pod(0).is_some_and(|pod| pod.uid != before.uid));
    let log = fixture.log("web-0", "main");
    assert!(log.contains("/leave") && log.contains("quit") && !log.contains("term\n"), "{log}");
}

//! What the processes of a pod may do, and how much they may take.

use seatrial::host::cgroup::limits::Available;
use seatrial::platform::Cluster as _;
use seatrial::platform::sandbox::pod_spec::{EmptyDir, Limits, Rights};

use crate::sandbox_fixture::{Fixture, mount, shell_set, with_claim};

#[test]
fn read_only_root_leaves_volumes_writable() {
    let script = "for at in / /etc /run /tmp /usr/bin /work; do touch $at/new && echo wrote to $at; done; \
                  touch /data/new /scratch/new /tmp/mine/new /dev/shm/new && echo volumes are fine; pwd; exec sleep 1000";
    let mut spec = with_claim(shell_set(1, script));
    spec.pod.empty_dirs = ["scratch", "mine"]
        .map(|name| EmptyDir { name: name.to_owned(), in_memory: false, size: None })
        .to_vec();
    let container = &mut spec.pod.containers[0];
    container.mounts.extend([mount("scratch", "/scratch"), mount("mine", "/tmp/mine")]);
    container.rights.read_only_root = true;
    container.working_dir = Some("/work/place".into());
    let fixture = Fixture::up("rights-root", spec);
    fixture.wait_log("web-0", "main", "volumes are fine\n/work/place\n");
    let log = fixture.log("web-0", "main");
    assert!(!log.contains("wrote to"), "{log}");
    assert_eq!(log.matches("Read-only file system").count(), 6, "{log}");
}

#[test]
fn read_only_root_can_have_a_volume_in_the_place_of_its_own_folders() {
    let mut spec =
        shell_set(1, "touch /tmp/new && echo wrote; touch /run/new || echo refused; exec sleep 1000");
    spec.pod.empty_dirs = vec![EmptyDir { name: "tmp".to_owned(), in_memory: true, size: Some(1 << 20) }];
    spec.pod.containers[0].mounts = vec![mount("tmp", "/tmp")];
    spec.pod.containers[0].rights.read_only_root = true;
    let fixture = Fixture::up("rights-tmp", spec);
    fixture.wait_log("web-0", "main", "wrote\n");
    fixture.wait_log("web-0", "main", "refused\n");
}

#[test]
fn capabilities_and_privileges_are_those_of_the_manifest() {
    let script = "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; touch /tmp/a; chown 1 /tmp/a || echo no chown; exec sleep 1000";
    let mut spec = shell_set(1, script);
    spec.pod.containers[0].rights =
        Rights { read_only_root: false, no_new_privileges: true, capabilities: Some([10, 14].into()) };
    let fixture = Fixture::up("rights-caps", spec);
    fixture.wait_log("web-0", "main", "no chown");
    let log = fixture.log("web-0", "main");
    for expected in ["CapEff:\t0000000000004400", "CapBnd:\t0000000000004400", "NoNewPrivs:\t1"] {
        assert!(log.contains(expected), "{expected} is not in {log}");
    }
}

#[test]
fn volumes_become_the_groups_again_with_every_pod_unless_their_root_is_trusted() {
    let script = "stat -c '%a %g' /data/mine; echo x > /data/mine; chgrp 7 /data/mine; chmod 600 /data/mine; sync; \
                  echo made; exec sleep 1000";
    for (trusts_root, expected) in [(false, "660 3456\n"), (true, "600 7\n")] {
        let mut spec = with_claim(shell_set(1, script));
        spec.pod.fs_group = Some(3456);
        spec.pod.fs_group_of_root = trusts_root;
        let fixture = Fixture::up("rights-group", spec);
        fixture.wait_log("web-0", "main", "made\n");
        let before = fixture.pod(0);
        fixture.runtime.block_on(fixture.client.delete_pod(0, None)).expect("there is such a pod");
        fixture
            .wait_for("another pod", |now| now.pod(0).is_some_and(|pod| pod.uid != before.uid && pod.ready));
        fixture.wait_log("web-0", "main", expected);
    }
}

#[test]
fn container_that_takes_more_memory_than_its_limit_is_killed_for_it() {
    if !Available::here().memory {
        return;
    }
    // What is written below /dev/shm is memory of the container.
    let mut spec = shell_set(
        1,
        "sleep 1; head -c 200m /dev/zero | tail -c 200m > /dev/null || exit 1; echo survived; exec sleep 1000",
    );
    spec.pod.containers[0].limits = Limits { memory: Some(64 << 20), cpu: None };
    let fixture = Fixture::up("limit-memory", spec);
    fixture.wait_for("it is killed", |now| {
        let waiting = now.pod(0).and_then(|pod| pod.containers[0].waiting.clone()).unwrap_or_default();
        waiting.contains("OOMKilled") || now.pod(0).is_some_and(|pod| pod.containers[0].restarts > 0)
    });
    assert!(!fixture.log("web-0", "main").contains("survived"), "{}", fixture.all_logs());
}

#[test]
fn container_gets_no_more_of_the_processors_than_its_limit() {
    if !Available::here().cpu {
        return;
    }
    let script = "sleep 0.5; cat /proc/1/cgroup; busybox timeout 4 sh -c 'while :; do :; done'; times; exec sleep 1000";
    let mut spec = shell_set(1, script);
    spec.pod.containers[0].limits = Limits { memory: None, cpu: Some(100) };
    let fixture = Fixture::up("limit-cpu", spec);
    fixture.wait_log("web-0", "main", "s\n");
    let throttled = || {
        let pid = fixture.pid_outside(fixture.locate(0).containers[0].pid);
        let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        cgroups.lines().any(|line| {
            let Some((controllers, path)) = line.split_once(':').and_then(|(_, rest)| rest.split_once(':'))
            else {
                return false;
            };
            let root = if controllers.is_empty() {
                "/sys/fs/cgroup".to_owned()
            } else {
                format!("/sys/fs/cgroup/{controllers}")
            };
            let told = std::fs::read_to_string(format!("{root}{path}/cpu.stat")).unwrap_or_default();
            let times = told.lines().find_map(|line| line.strip_prefix("nr_throttled "));
            times.and_then(|times| times.trim().parse::<u64>().ok()).is_some_and(|times| times > 5)
        })
    };
    crate::sandbox_fixture::wait_until("the kernel has held it back", throttled);
}

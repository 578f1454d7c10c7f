use serde_json::json;

use super::*;
use crate::host::process::ProcessId;

const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

fn id(letter: char) -> String {
    String::from(letter).repeat(64)
}

/// A pod of two containers, one of which was restarted, and an init container.
fn wanted() -> Wanted {
    let running = json!({ "running": { "startedAt": "2026-01-02T03:04:05Z" } });
    let status = |name: &str, id: String, state: &serde_json::Value| {
        json!({ "name": name, "containerID": format!("containerd://{id}"), "state": state, "ready": true,
            "restartCount": 0, "image": "x", "imageID": "x" })
    };
    let mut restarted = status("db", id('b'), &running);
    restarted["lastState"] =
        json!({ "terminated": { "containerID": format!("containerd://{}", id('a')), "exitCode": 137 } });
    let ended = json!({ "terminated": { "exitCode": 0 } });
    let pod = json!({
        "metadata": { "name": "db-0", "uid": UID },
        "status": {
            "containerStatuses": [restarted, status("sidecar", id('c'), &running)],
            "initContainerStatuses": [status("init", id('d'), &ended)],
        },
    });
    Wanted::of(&serde_json::from_value(pod).expect("a pod"))
}

fn process(pid: i32, start: u64, container: char) -> Found {
    let path = format!("/kubepods/burstable/pod{UID}/{}", id(container));
    let cgroups = format!("7:blkio:{path}\n6:freezer:{path}\n4:memory:{path}\n0::/");
    Found::new(ProcessId { pid, start }, &cgroups, UID).expect("in the pod")
}

fn legacy() -> Hierarchies {
    // Wherever this test runs: the paths below do not depend on what is mounted.
    Hierarchies::default()
}

#[test]
fn the_oldest_process_of_a_container_is_its_first() {
    let found = [process(12, 50, 'b'), process(11, 40, 'b'), process(30, 60, 'c'), process(5, 10, 'e')];
    let pod = located(&wanted(), &found, &legacy()).expect("usable").expect("here");
    let pids: Vec<(&str, i32)> =
        pod.containers.iter().map(|container| (container.name.as_str(), container.pid)).collect();
    assert_eq!(pids, [("db", 11), ("sidecar", 30)]);
}

#[test]
fn what_no_container_claims_holds_the_pod() {
    // The process of the container's last incarnation is older than the sandbox's own id is unknown.
    let found = [process(9, 5, 'a'), process(11, 40, 'b'), process(5, 10, 'e')];
    assert_eq!(located(&wanted(), &found, &legacy()).expect("usable").expect("here").holder, 5);
}

#[test]
fn what_was_just_started_is_told_from_what_is_known() {
    let found = [process(11, 40, 'b'), process(5, 10, 'e'), process(70, 90, 'f'), process(71, 95, 'f')];
    let pod = located(&wanted(), &found, &legacy()).expect("usable").expect("here");
    assert_eq!(pod.unnamed.iter().map(|process| process.pid).collect::<Vec<_>>(), [5, 70, 71]);
}

#[test]
fn without_a_sandbox_the_oldest_process_stands_for_it() {
    let found = [process(30, 60, 'c'), process(11, 40, 'b')];
    assert_eq!(located(&wanted(), &found, &legacy()).expect("usable").expect("here").holder, 11);
}

#[test]
fn a_pod_whose_processes_are_hidden_is_refused_with_the_reason() {
    let error =
        located(&wanted(), &[process(5, 10, 'e')], &legacy()).expect_err("no container has a process");
    assert!(error.to_string().contains("sandboxed runtime"), "{error}");
}

#[test]
fn a_process_of_another_pod_is_nobody_here() {
    let cgroups = format!("0::/kubepods/burstable/pod{}/{}", UID.replace('0', "1"), id('b'));
    assert_eq!(Found::new(ProcessId { pid: 1, start: 1 }, &cgroups, UID), None);
}

#[test]
fn a_container_without_a_cgroup_of_its_own_in_version_2_is_frozen_by_version_1() {
    let found = process(11, 40, 'b');
    assert_eq!(found.unified, None, "the line `0::/` names no container");
    assert_eq!(found.freezer, Some(format!("/kubepods/burstable/pod{UID}/{}", id('b'))));
    assert_eq!(found.blkio, found.freezer);
    let shared = format!("6:freezer,blkio:/kubepods/burstable/pod{UID}/{}\n5:cpu:/", id('b'));
    let shared = Found::new(ProcessId { pid: 1, start: 1 }, &shared, UID).expect("in the pod");
    assert_eq!((&shared.freezer, &shared.blkio), (&found.freezer, &found.blkio));
    let path = format!("/kubepods.slice/kubepods-pod{}.slice/crio-{}.scope", UID.replace('-', "_"), id('b'));
    let unified = Found::new(ProcessId { pid: 1, start: 1 }, &format!("0::{path}/container"), UID);
    assert_eq!(unified.and_then(|found| found.unified), Some(path));
}

#[test]
fn a_claim_that_no_running_container_leads_to_is_told_with_the_reason_unless_it_is_at_rest() {
    let status = |name: &str, id: char, state: serde_json::Value| {
        json!({ "name": name, "containerID": format!("containerd://{}", self::id(id)), "state": state, "ready": true,
            "restartCount": 0, "image": "x", "imageID": "x" })
    };
    let running = json!({ "running": {} });
    let mount = |name: &str| json!([{ "name": name, "mountPath": format!("/{name}") }]);
    let claim = |name: &str| json!({ "name": name, "persistentVolumeClaim": { "claimName": format!("{name}-db-0") } });
    let pod = json!({
        "metadata": { "name": "db-0", "uid": UID },
        "spec": {
            "volumes": [claim("data"), claim("wal"), claim("raw"), claim("log"), claim("spare"), { "name": "tmp", "emptyDir": {} }],
            "containers": [
                { "name": "db", "volumeMounts": mount("data"), "volumeDevices": [{ "name": "raw", "devicePath": "/dev/x" }] },
                { "name": "archiver", "volumeMounts": mount("wal") },
            ],
            "initContainers": [{ "name": "shipper", "restartPolicy": "Always", "volumeMounts": mount("log") }],
        },
        "status": {
            "containerStatuses": [status("db", 'b', running.clone()), status("archiver", 'c', json!({ "waiting": {} }))],
            "initContainerStatuses": [status("shipper", 'd', running)],
        },
    });
    let wanted = Wanted::of(&serde_json::from_value(pod).expect("a pod"));
    let found = [process(5, 10, 'e'), process(11, 40, 'b'), process(12, 30, 'd')];
    let pod = located(&wanted, &found, &legacy()).expect("usable").expect("here");
    let paths: Vec<(&str, &str)> = pod
        .volumes
        .iter()
        .map(|volume| (volume.claim.as_str(), volume.path.to_str().expect("text")))
        .collect();
    assert_eq!(paths, [("data", "/proc/11/root/data")]);
    let whys: Vec<(&str, Option<&str>)> =
        pod.unreached.iter().map(|volume| (volume.claim.as_str(), volume.why.as_deref())).collect();
    assert_eq!(
        whys,
        [
            ("log", Some("volume log is mounted by the init container shipper alone")),
            ("raw", Some("volume raw is a block device without a filesystem")),
            ("spare", Some("volume spare is mounted by no container")),
            ("wal", None),
        ]
    );
}

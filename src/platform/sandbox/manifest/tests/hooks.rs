//! Sidecars and hooks.

use std::time::Duration;

use super::*;
use crate::platform::sandbox::pod_spec::{Hook, ProbeCheck};

#[test]
fn reads_hooks_and_the_signal_for_the_end() {
    let set = with_container(
        "ports: [{name: http, containerPort: 8080}]\nlifecycle:\n  postStart: {exec: {command: [/bin/sh, -c, 'true']}}\n  preStop: {httpGet: {port: http, path: /leave}}\n  stopSignal: SIGQUIT",
    );
    let set = read_set(&set).unwrap_or_else(|problems| unreachable!("{:#?}", told(&problems))).set;
    let container = &set.pod.containers[0];
    let argv = ["/usr/bin/sh", "-c", "true"].map(str::to_owned).to_vec();
    assert_eq!(container.post_start, Some(Hook::Check(ProbeCheck::Exec { argv })));
    let get = ProbeCheck::Http { host: None, port: 8080, path: "/leave".into(), headers: Vec::new() };
    assert_eq!((&container.pre_stop, container.stop_signal), (&Some(Hook::Check(get)), Some(3)));
    let set = read_set(&with_container("lifecycle: {preStop: {sleep: {seconds: 3}}}")).expect("accepted").set;
    assert_eq!(set.pod.containers[0].pre_stop, Some(Hook::Sleep(Duration::from_secs(3))));
}

#[test]
fn init_containers_that_are_always_restarted_are_sidecars() {
    let init = |more: &str| with_pod(&format!("initContainers: [{{name: a, image: busybox{more}}}]"));
    let read = |more: &str| read_set(&init(more)).expect("accepted").set.pod;
    assert!(!read("").init_containers[0].is_sidecar);
    let pod = read(", restartPolicy: Always, startupProbe: {exec: {command: [sh]}}");
    assert!(pod.init_containers[0].is_sidecar && pod.init_containers[0].startup.is_some());
    let names: Vec<_> = pod.lasting().map(|container| container.name.as_str()).collect();
    assert_eq!(names, ["db", "a"]);
}

#[test]
fn refuses_what_no_kubelet_runs() {
    for (set, told) in [
        (
            with_pod("initContainers: [{name: a, image: busybox, readinessProbe: {tcpSocket: {port: 1}}}]"),
            "initContainers[0].readinessProbe: an init container that runs to its end has none (write restartPolicy: Always",
        ),
        (
            with_pod("initContainers: [{name: a, image: busybox, restartPolicy: Never}]"),
            "initContainers[0].restartPolicy: \"Never\" is not supported in the sandbox (write Always",
        ),
        (
            with_container("lifecycle: {preStop: {tcpSocket: {port: 1}}}"),
            "lifecycle.preStop.tcpSocket: no kubelet runs such a hook",
        ),
        (
            with_container("lifecycle: {preStop: {sleep: {seconds: 1}, exec: {command: [sh]}}}"),
            "lifecycle.preStop: must do exactly one thing",
        ),
        (
            with_container("lifecycle: {stopSignal: SIGSTOPP}"),
            "lifecycle.stopSignal: \"SIGSTOPP\" is no signal that the sandbox sends",
        ),
        (
            with_container("lifecycle: {preStop: {exec: {command: [no-such]}}}"),
            "lifecycle.preStop.exec.command[0]: there is no program no-such on this machine",
        ),
    ] {
        let only = only_problem(&set);
        assert!(only.contains(told), "{only}");
    }
}

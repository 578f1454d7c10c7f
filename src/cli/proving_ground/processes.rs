//! Pods' processes, where they are processes of this machine.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::host::process::{ProcessId, all};
use crate::platform::kubernetes::locate::on_this_machine;
use crate::undo::guardian;

/// The first process of a pod's only container; `None` where this machine shows none of the pod.
pub(in super::super) fn container_process(pod: &Pod) -> Option<ProcessId> {
    let located = on_this_machine(pod).ok().flatten()?;
    ProcessId::of(located.containers.first()?.pid).ok().flatten()
}

/// What is said where a pod's processes cannot be seen.
pub(in super::super) fn invisible(pod: &Pod) -> String {
    format!(
        "this machine does not show the processes of pod {}: run it as root on the machine that the nodes share, as those of kind do",
        pod.name_any()
    )
}

/// The guardians of faults in a namespace that this machine shows: the names of their records begin with it.
pub(in super::super) fn guardians_of(namespace: &str) -> Vec<ProcessId> {
    let marker = format!("/{namespace}_");
    let is_one = |pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        let mut words = words.split('\0').skip(1);
        words.next() == Some(guardian::SUBCOMMAND) && words.next().is_some_and(|path| path.contains(&marker))
    };
    // A process that ends meanwhile is none any more.
    let all = all().unwrap_or_default();
    let living = all.into_iter().filter(|(_, stat)| !stat.has_ended());
    living.filter(|(pid, _)| is_one(pid)).map(|(pid, stat)| ProcessId { pid, start: stat.start }).collect()
}

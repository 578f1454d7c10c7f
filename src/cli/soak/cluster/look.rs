//! What is left of a fault in a pod and on its node, as this machine's kernel tells.

use std::fs;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::super::super::proving_ground::{container_process, guardians_of, invisible};
use crate::host::freezer::CgroupId;
use crate::host::nftables;
use crate::host::process::ProcessId;
use crate::platform::kubernetes::locate::on_this_machine;

/// Where agents keep undo records on their node.
const RECORDS: &str = "var/lib/seatrial/undo";

/// A pod that is broken.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pod: Pod,
    /// Its container's first process, which a fault of these kinds does not restart.
    process: ProcessId,
    /// The folder of undo records of its node, through a process that lives in the node's mounts: its container's parent.
    records: PathBuf,
}

impl Target {
    pub(super) fn new(pod: Pod) -> Result<Self, String> {
        let process = container_process(&pod).ok_or_else(|| invisible(&pod))?;
        let shim = process.stat().ok().flatten().ok_or_else(|| invisible(&pod))?.parent;
        Ok(Self { pod, process, records: PathBuf::from(format!("/proc/{shim}/root")).join(RECORDS) })
    }

    /// Undo records of Injections of the pod's namespace.
    pub(super) fn records(&self) -> Vec<String> {
        let ours = format!("{}_", self.pod.namespace().unwrap_or_default());
        let entries = fs::read_dir(&self.records).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(&ours)).collect()
    }

    /// What is not as it was before the fault, one thing each; nothing where all is well.
    pub(super) fn left(&self) -> Vec<String> {
        let name = self.pod.name_any();
        let mut left = match self.left_in_processes() {
            Ok(left) => left,
            Err(error) => vec![format!("cannot look: {error}")],
        };
        left.extend(self.records().into_iter().map(|record| format!("undo record {record}")));
        let guardians = guardians_of(&self.pod.namespace().unwrap_or_default());
        left.extend(guardians.into_iter().map(|guardian| format!("guardian: {guardian}")));
        left.into_iter().map(|what| format!("{name}: {what}")).collect()
    }

    fn left_in_processes(&self) -> std::io::Result<Vec<String>> {
        let mut left = Vec::new();
        let Some(located) = on_this_machine(&self.pod)? else {
            return Ok(vec!["it has no processes".into()]);
        };
        let holder = ProcessId::of(located.holder)?;
        if let Some(holder) = holder {
            let tables = nftables::tables_of(&holder)?;
            left.extend(tables.into_iter().map(|table| format!("packet filter table {table}")));
        }
        for container in &located.containers {
            let freezer = container.cgroup.as_deref().map(CgroupId::at).transpose()?;
            if let Some(freezer) = freezer.map(|cgroup| cgroup.open()).transpose()?.flatten()
                && (freezer.is_frozen()? || freezer.is_asked_to_freeze()?)
            {
                left.push("frozen".to_owned());
            }
        }
        match self.process.stat()? {
            Some(stat) if stat.is_stopped() => left.push("stopped".to_owned()),
            Some(_) => {}
            None => left.push(format!("it was restarted: {} is gone", self.process)),
        }
        Ok(left)
    }
}

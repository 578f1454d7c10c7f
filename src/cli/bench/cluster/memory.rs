//! Resident memory of what is installed.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::Value;

use super::super::super::proving_ground::{ProvingGround, container_process, guardians_of, node_of, told};
use super::super::against_budget;
use crate::host::process::memory::Memory;

/// What one process takes, and who has measured it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    memory: Memory,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// `/proc/PID/smaps_rollup`.
    Kernel,
    /// The kubelet's summary: the working set of the container, which is a little old.
    Kubelet,
}

/// A line of the table.
pub(super) struct Row {
    what: String,
    size: Option<Size>,
    budget: Option<u64>,
}

impl Row {
    /// The largest of these.
    pub(super) fn of(what: impl Into<String>, sizes: Vec<Size>, budget: Option<u64>) -> Self {
        let largest = sizes.into_iter().max_by_key(|size| size.memory);
        Self { what: what.into(), size: largest, budget }
    }

    /// Something else than memory.
    pub(super) fn cells(self) -> Vec<String> {
        let Some(size) = self.size else {
            return vec![
                self.what,
                "not measurable here".into(),
                String::new(),
                String::new(),
                String::new(),
            ];
        };
        let what = match size.source {
            Source::Kernel => self.what,
            Source::Kubelet => format!("{} (by its kubelet)", self.what),
        };
        let budget = self.budget.map(|budget| format!("≤ {} MiB", budget >> 20));
        let stands = self.budget.map(|budget| against_budget(size.memory.resident <= budget).to_owned());
        vec![
            what,
            mebibytes(size.memory.resident),
            mebibytes(size.memory.anonymous),
            budget.unwrap_or_default(),
            stands.unwrap_or_default(),
        ]
    }
}

pub(super) fn table(rows: Vec<Row>) -> Vec<Vec<String>> {
    let headings = ["MEMORY", "RESIDENT", "ITS OWN", "BUDGET", ""].map(str::to_owned).to_vec();
    std::iter::once(headings).chain(rows.into_iter().map(Row::cells)).collect()
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// The sizes of the only containers of these pods, of those that can be measured.
pub(super) async fn sizes(ground: &ProvingGround, pods: &[Pod]) -> Result<Vec<Size>, String> {
    let mut found = Vec::new();
    for pod in pods {
        let seen = container_process(pod).and_then(|process| process.memory().ok().flatten());
        match seen {
            Some(memory) => found.push(Size { memory, source: Source::Kernel }),
            None => found.extend(by_kubelet(ground, pod).await?),
        }
    }
    Ok(found)
}

/// The guardians of faults in a namespace; nothing where this machine shows none.
pub(super) fn guardians(namespace: &str) -> Option<Vec<Size>> {
    let sizes: Vec<Size> = guardians_of(namespace)
        .into_iter()
        .filter_map(|guardian| guardian.memory().ok().flatten())
        .map(|memory| Size { memory, source: Source::Kernel })
        .collect();
    (!sizes.is_empty()).then_some(sizes)
}

/// What the kubelet says through the API server, where it may be asked.
async fn by_kubelet(ground: &ProvingGround, pod: &Pod) -> Result<Option<Size>, String> {
    let path = format!("/api/v1/nodes/{}/proxy/stats/summary", node_of(pod));
    let request = hyper::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    let summary: Value = match ground.client().request(request).await {
        Ok(summary) => summary,
        // Not everybody may ask kubelets.
        Err(kube::Error::Api(status)) if status.code == 403 => return Ok(None),
        Err(error) => return Err(told("ask a kubelet how large its containers are")(error)),
    };
    Ok(size_in(&summary, &pod.uid().unwrap_or_default()))
}

fn size_in(summary: &Value, uid: &str) -> Option<Size> {
    let pods = summary["pods"].as_array()?;
    let pod = pods.iter().find(|pod| pod["podRef"]["uid"] == uid)?;
    let memory = &pod["containers"].as_array()?.first()?["memory"];
    let memory =
        Memory { resident: memory["workingSetBytes"].as_u64()?, anonymous: memory["rssBytes"].as_u64()? };
    Some(Size { memory, source: Source::Kubelet })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelets_summary_is_told_apart_and_one_without_the_pod_is_no_zero() {
        let summary = serde_json::json!({ "pods": [{
            "podRef": { "uid": "u" },
            "containers": [{ "name": "agent", "memory": { "workingSetBytes": 9 << 20, "rssBytes": 4 << 20 } }],
        }] });
        let row = Row::of("agent", size_in(&summary, "u").into_iter().collect(), Some(8 << 20));
        assert_eq!(row.cells(), ["agent (by its kubelet)", "9.0 MiB", "4.0 MiB", "≤ 8 MiB", "OVER"]);
        assert_eq!(size_in(&summary, "other"), None);
        let row = Row::of("agent", Vec::new(), Some(8 << 20));
        assert_eq!(row.cells()[1], "not measurable here");
    }
}

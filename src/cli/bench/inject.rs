//! `seatrial bench inject`: from a wish to its proof, and from its end to the proof of that.
//!
//! What is measured is one Injection on one pod, from the moment at which the platform is asked until its status says
//! that the kernel was read back: `Injected` with a proof that holds, or `Reverted`.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::super::console;
use super::super::exit::Exit;
use super::super::quickstart;
use super::super::runtime::{block_on, interrupts};
use super::super::sandbox::{self, READY_LIMIT};
use super::{against_budget, table};
use crate::api::{
    Deadline, Desired, HostFault, Injection, InjectionSpec, InjectionState, InjectionStatus, Peer, Pod,
    PodRef, Snapshot,
};
use crate::platform::sandbox::Sandbox;
use crate::platform::sandbox::client::Client;
use crate::platform::{Cluster, Nodes};

/// How long one status may take to come.
const LIMIT: Duration = Duration::from_secs(10);

const MS: Duration = Duration::from_millis(1);
/// What the median and the slowest of a hundred may take.
const INJECT: (Duration, Duration) = (MS.saturating_mul(50), MS.saturating_mul(250));
const REVERT: (Duration, Duration) = (MS.saturating_mul(30), MS.saturating_mul(150));

/// A fault's name, and what it is for one pod of the target.
type Measured = (&'static str, fn(&Snapshot, &Pod) -> HostFault);

const FAULTS: [Measured; 2] = [("networkPartition", isolation), ("processPause", |_, _| HostFault::Pause {})];

/// What the rounds of one fault took.
#[derive(Default)]
struct Timings {
    inject: Vec<Duration>,
    revert: Vec<Duration>,
}

pub(super) fn inject(rounds: u32) -> Exit {
    if rounds == 0 {
        return console::error("nothing can be measured in 0 rounds", Exit::Usage);
    }
    let name = format!("bench-{}", std::process::id());
    let sandbox = match sandbox::start(quickstart::stateful_set(), name, false) {
        Ok(sandbox) => sandbox,
        Err(error) => return console::failure(&error, Exit::PreflightUnmet),
    };
    let done = block_on(async {
        let mut interrupts = interrupts();
        tokio::select! {
            done = measure(&sandbox, rounds) => done,
            Some(_) = interrupts.recv() => Err("interrupted".into()),
        }
    });
    let exit = match done {
        Ok(table) => {
            console::data(table);
            Exit::Pass
        }
        Err(why) => console::error(why, Exit::Unexpected),
    };
    match sandbox.stop() {
        Ok(()) => exit,
        Err(error) => console::failure(&error, Exit::Unexpected),
    }
}

async fn measure(sandbox: &Sandbox, rounds: u32) -> Result<String, String> {
    let client = Client::connect(sandbox.dir()).await.map_err(|error| error.to_string())?;
    client.wait_ready(READY_LIMIT).await.map_err(|error| error.to_string())?;
    let target = client.snapshots().borrow().clone();
    let mut statuses = client.statuses().await.map_err(|error| error.to_string())?;
    let mut rows = headings();
    for (name, fault) in FAULTS {
        let mut timings = Timings::default();
        for round in 0..rounds {
            let pod = &target.pods[round as usize % target.pods.len()];
            let spec = wish(&format!("bench.{name}.{round}"), pod, fault(&target, pod));
            let took = time(&client, &mut statuses, spec.clone()).await?;
            timings.inject.push(took);
            let spec = InjectionSpec { desired: Desired::Reverted, ..spec };
            let took = time(&client, &mut statuses, spec.clone()).await?;
            timings.revert.push(took);
            client.forget(&spec.name).await.map_err(|error| error.to_string())?;
        }
        rows.extend(timings.rows(name));
    }
    Ok(table::render(&rows))
}

/// Cuts a member off from all others, at its own end.
fn isolation(target: &Snapshot, pod: &Pod) -> HostFault {
    let others = target.pods.iter().filter(|other| other.ordinal != pod.ordinal);
    HostFault::Partition {
        peers: others
            .map(|other| Peer {
                ordinal: other.ordinal,
                addresses: other.ip.into_iter().collect(),
                drop_from: true,
                drop_to: true,
            })
            .collect(),
        ports: Vec::new(),
        clients: false,
    }
}

fn wish(name: &str, pod: &Pod, fault: HostFault) -> InjectionSpec {
    const LASTING: Duration = Duration::from_mins(1);
    InjectionSpec {
        name: name.to_owned(),
        run: "bench".to_owned(),
        step: "bench".to_owned(),
        occurrence: 0,
        pod: PodRef {
            name: pod.name.clone(),
            ordinal: pod.ordinal,
            uid: pod.uid.clone(),
            node: pod.node.clone(),
        },
        container: None,
        fault,
        desired: Desired::Injected,
        deadline: Deadline {
            at: Timestamp::now() + SignedDuration::try_from(LASTING).unwrap_or(SignedDuration::ZERO),
            within: LASTING,
        },
        follow: false,
    }
}

/// Asks for something and waits until it is proven; how long that took.
async fn time(
    client: &Client,
    statuses: &mut mpsc::Receiver<Injection>,
    spec: InjectionSpec,
) -> Result<Duration, String> {
    let (name, desired) = (spec.name.clone(), spec.desired);
    let began = Instant::now();
    client.apply(spec).await.map_err(|error| error.to_string())?;
    let proven = async {
        while let Some(injection) = statuses.recv().await {
            if let Some(status) = injection.status.filter(|_| injection.spec.name == name)
                && is_proven(&status, desired).map_err(|why| format!("{name}: {why}"))?
            {
                return Ok(began.elapsed());
            }
        }
        Err("the sandbox is gone".to_owned())
    };
    match tokio::time::timeout(LIMIT, proven).await {
        Ok(took) => took,
        Err(_) => Err(format!("{name}: not proven within {} s", LIMIT.as_secs())),
    }
}

/// Whether a status proves what was asked for, or why it never will.
fn is_proven(status: &InjectionStatus, desired: Desired) -> Result<bool, String> {
    match (status.state, desired) {
        (InjectionState::Injected, Desired::Injected) => {
            Ok(status.proof.as_ref().is_some_and(|proof| proof.holds))
        }
        (InjectionState::Reverted, Desired::Reverted) => Ok(true),
        (InjectionState::Pending, _) | (InjectionState::Injected, Desired::Reverted) => Ok(false),
        (
            state @ (InjectionState::Lost
            | InjectionState::Failed
            | InjectionState::Reverted
            | InjectionState::RevertFailed),
            _,
        ) => {
            let why = status.error.as_deref().unwrap_or("no reason given");
            Err(format!("it is {state:?} instead: {why}"))
        }
    }
}

fn headings() -> Vec<Vec<String>> {
    let words = ["FAULT", "ROUNDS", "P50", "BUDGET", "", "P99", "BUDGET", ""];
    vec![words.map(str::to_owned).to_vec()]
}

impl Timings {
    fn rows(mut self, fault: &str) -> [Vec<String>; 2] {
        [
            row(&format!("{fault}, inject → verified"), &mut self.inject, INJECT),
            row(&format!("{fault}, revert → verified"), &mut self.revert, REVERT),
        ]
    }
}

fn row(what: &str, took: &mut [Duration], (median, slowest): (Duration, Duration)) -> Vec<String> {
    took.sort_unstable();
    let mut cells = vec![what.to_owned(), took.len().to_string()];
    for (percent, budget) in [(50, median), (99, slowest)] {
        let measured = percentile(took, percent);
        cells.extend([
            milliseconds(measured),
            format!("≤ {} ms", budget.as_millis()),
            against_budget(measured <= budget).to_owned(),
        ]);
    }
    cells
}

/// The nearest rank: the smallest that so many percent do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measurements_and_not_between_them() {
        let sorted: Vec<Duration> = (1..=200).map(|n| MS * n).collect();
        assert_eq!(percentile(&sorted, 50), MS * 100);
        assert_eq!(percentile(&sorted, 99), MS * 198);
        assert_eq!(percentile(&sorted[..1], 99), MS);
    }
}

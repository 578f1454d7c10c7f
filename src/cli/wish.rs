//! Injections that a command makes without a run, and the statuses that prove them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use crate::api::{
    Deadline, Desired, HostFault, Injection, InjectionSpec, InjectionState, InjectionStatus, Peer, Pod,
    PodRef, Snapshot,
};

/// How long one status may take to come.
const LIMIT: Duration = Duration::from_secs(20);

/// A fault that stays, for one pod of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The pod is cut off from all others, at its own end.
    Cut,
    /// Its processes stand still.
    Pause,
}

impl Fault {
    pub(super) const ALL: [Self; 2] = [Self::Cut, Self::Pause];

    /// As experiments call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cut => "networkPartition",
            Self::Pause => "processPause",
        }
    }

    fn step(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Pause => "pause",
        }
    }

    fn on(self, target: &Snapshot, pod: &Pod) -> HostFault {
        match self {
            Self::Pause => HostFault::Pause {},
            Self::Cut => {
                let others = target.pods.iter().filter(|other| other.ordinal != pod.ordinal);
                let peer = |other: &Pod| Peer {
                    ordinal: other.ordinal,
                    addresses: other.ip.into_iter().collect(),
                    drop_from: true,
                    drop_to: true,
                };
                HostFault::Partition { peers: others.map(peer).collect(), ports: Vec::new(), clients: false }
            }
        }
    }
}

/// The wish for a fault on a pod of the target, in the name of `run`. `round` makes its name unique.
pub(super) fn wish(
    run: &str,
    round: u32,
    fault: Fault,
    target: &Snapshot,
    pod: &Pod,
    lasting: Duration,
) -> InjectionSpec {
    InjectionSpec {
        name: format!("{run}.{}.{round}.{}", fault.step(), pod.ordinal),
        run: run.to_owned(),
        step: fault.step().to_owned(),
        occurrence: round,
        pod: PodRef {
            name: pod.name.clone(),
            ordinal: pod.ordinal,
            uid: pod.uid.clone(),
            node: pod.node.clone(),
        },
        container: None,
        fault: fault.on(target, pod),
        desired: Desired::Injected,
        deadline: Deadline {
            at: Timestamp::now() + SignedDuration::try_from(lasting).unwrap_or(SignedDuration::ZERO),
            within: lasting,
        },
        follow: false,
    }
}

/// The same wish, taken back.
pub(super) fn taken_back(spec: &InjectionSpec) -> InjectionSpec {
    InjectionSpec { desired: Desired::Reverted, ..spec.clone() }
}

/// Waits until a status proves what `spec` asks for.
pub(super) async fn proven(
    statuses: &mut mpsc::Receiver<Injection>,
    spec: &InjectionSpec,
) -> Result<(), String> {
    let name = &spec.name;
    let proven = async {
        while let Some(injection) = statuses.recv().await {
            if let Some(status) = injection.status.filter(|_| injection.spec.name == *name)
                && is_proven(&status, spec.desired).map_err(|why| format!("{name}: {why}"))?
            {
                return Ok(());
            }
        }
        Err("the statuses have ended".to_owned())
    };
    match tokio::time::timeout(LIMIT, proven).await {
        Ok(done) => done,
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

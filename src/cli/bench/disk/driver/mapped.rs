//! Device mapper, as a node asks it: with an undo record and a guardian, because a table outlives whoever exchanged it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::runtime::Handle;

use super::Holding;
use crate::api::{
    Deadline, Delay, Desired, DiskOperation, HostFault, InjectionSpec, LatencyDriver, PodRef, SlowDisk,
};
use crate::node::{Locate, LocatedContainer, LocatedPod, LocatedVolume, Options, Rig};
use crate::undo::guardian::Launch;

/// For how long syncs are slow at most, whatever becomes of this process.
const LIMIT: Duration = Duration::from_mins(10);
/// What everything is called.
const BENCH: &str = "bench";

struct Mapped {
    rig: Rig,
    spec: InjectionSpec,
    undo_dir: PathBuf,
}

/// Slows syncs of the volume down that is mounted where the bench's folder is made.
pub(super) fn hold(folder: &Path, by: Duration) -> Result<Box<dyn Holding>, String> {
    let volume = folder.parent().unwrap_or(folder).to_owned();
    let undo_dir = std::env::temp_dir().join(format!("seatrial-bench-undo-{}", std::process::id()));
    let options = Options {
        undo_dir: undo_dir.clone(),
        guardian: Launch::Beside { program: PathBuf::from("/proc/self/exe"), cgroup: None },
        adopt_within: Duration::ZERO,
    };
    let slow = SlowDisk {
        claims: Vec::new(),
        paths: Vec::new(),
        operations: vec![DiskOperation::Sync],
        delay: Delay::Fixed(by),
        percent: 100,
        seed: 0,
        driver: LatencyDriver::DmDelay,
    };
    let spec = InjectionSpec {
        name: format!("{BENCH}.{}ms", by.as_millis()),
        run: BENCH.to_owned(),
        step: BENCH.to_owned(),
        occurrence: 0,
        pod: PodRef { name: BENCH.to_owned(), ordinal: 0, uid: BENCH.to_owned(), node: String::new() },
        container: None,
        fault: HostFault::DiskLatency(Box::new(slow)),
        desired: Desired::Injected,
        deadline: Deadline { at: Timestamp::now() + LIMIT, within: LIMIT },
        follow: false,
    };
    Handle::current().block_on(async {
        let mut rig = Rig::start(Here(volume), options);
        let held = rig.order(&spec).await;
        held.map_err(|error| format!("{error}; --folder must be where a volume of its own is mounted"))?;
        Ok(Box::new(Mapped { rig, spec, undo_dir }) as Box<dyn Holding>)
    })
}

impl Holding for Mapped {
    fn mean(&mut self) -> Result<Option<Duration>, String> {
        Ok(None)
    }

    fn end(self: Box<Self>) -> Result<(), String> {
        let Self { mut rig, mut spec, undo_dir } = *self;
        spec.desired = Desired::Reverted;
        let reverted = Handle::current().block_on(async {
            rig.order(&spec).await?;
            rig.end().await
        });
        reverted.map_err(|error| format!("cannot take back: {error}"))?;
        std::fs::remove_dir_all(&undo_dir).map_err(|error| format!("{} is left: {error}", undo_dir.display()))
    }
}

/// This process and what it has started, as a pod with one volume.
struct Here(PathBuf);

#[async_trait]
impl Locate for Here {
    async fn pod(&self, _: &InjectionSpec) -> io::Result<Option<LocatedPod>> {
        let pid = std::process::id().cast_signed();
        let volume = LocatedVolume { claim: BENCH.to_owned(), path: self.0.clone(), device: None };
        let container = LocatedContainer { name: BENCH.to_owned(), pid, cgroup: None, throttle: None };
        Ok(Some(LocatedPod {
            uid: BENCH.to_owned(),
            holder: pid,
            containers: vec![container],
            unnamed: Vec::new(),
            volumes: vec![volume],
            unreached: Vec::new(),
        }))
    }
}

//! What a record says.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::api::{Deadline, InjectionSpec};
use crate::fault::host::Target;
use crate::host::process::boot::{Era, uptime};
use crate::host::process::held::Held;
use crate::host::process::{PidFd, ProcessId};

/// For how long a guardian may take to end after SIGKILL.
const PATIENCE: Duration = Duration::from_secs(2);

/// How to take back one fault from one incarnation of one pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The version of this layout.
    pub schema: u32,
    /// Distinguishes the records of one Injection that follows its ordinal from pod to pod.
    pub generation: u64,
    /// When it was written.
    pub written: Timestamp,
    /// When the Injection began, in time since boot: its duration counts from here, however often it is made anew.
    pub began: Duration,
    /// In which boot and pid namespace its pids mean something.
    pub era: Era,
    /// What was asked for.
    pub spec: InjectionSpec,
    /// The pod that was hit.
    pub pod: String,
    /// When the fault must be over.
    pub expires: Expiry,
    /// What was done to whom.
    pub target: Target,
    /// Who ends it when nobody else does. None where nothing stays that would have to be ended.
    pub guardian: Option<Guardian>,
    /// Who ends it as well, where one is not enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<Guardian>,
}

impl Record {
    /// The layout that this version writes and reads.
    pub const SCHEMA: u32 = 1;

    /// Everybody who ends it when nobody else does.
    pub fn guardians(&self) -> impl Iterator<Item = &Guardian> {
        self.guardian.iter().chain(&self.twin)
    }

    /// What one of the guardians holds; nothing where none of them lives any more.
    pub fn held(&self) -> Held {
        self.guardians().map(Guardian::held).find(|held| !held.is_empty()).unwrap_or_default()
    }
}

/// A [`Deadline`] as two points in time; the earlier counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expiry {
    /// By the wall clock.
    pub at: Timestamp,
    /// By the time since boot.
    pub uptime: Duration,
}

impl Expiry {
    /// When a fault ends that begins at `began`, in time since boot.
    pub fn new(deadline: &Deadline, began: Duration) -> Self {
        Self { at: deadline.at, uptime: began.saturating_add(deadline.within) }
    }

    /// How much of it is left; zero when it is over.
    pub fn left(&self) -> Duration {
        let by_wall_clock = Duration::try_from(self.at.duration_since(Timestamp::now())).unwrap_or_default();
        by_wall_clock.min(self.uptime.saturating_sub(uptime()))
    }

    /// How much is left until `later` than it.
    pub fn left_after(&self, later: Duration) -> Duration {
        let at =
            self.at.checked_add(jiff::SignedDuration::try_from(later).unwrap_or_default()).unwrap_or(self.at);
        Self { at, uptime: self.uptime.saturating_add(later) }.left()
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

/// A guardian process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Guardian {
    /// Who it is.
    pub process: ProcessId,
    /// The descriptors that it holds for the fault: of a partition, the socket that owns the table and one to read; of a
    /// volume, the volume.
    pub descriptors: Vec<i32>,
}

impl Guardian {
    /// What it holds; nothing where it does not live any more.
    pub fn held(&self) -> Held {
        let handle = self.process.open().ok().flatten();
        handle.and_then(|handle| Held::from_holder(&handle, &self.descriptors).ok()).unwrap_or_default()
    }

    /// A handle to it, if it lives.
    pub fn open(&self) -> io::Result<Option<PidFd>> {
        self.process.open()
    }

    /// Ends it, without letting it act any more. One that is gone is no error, and neither is ending oneself: a
    /// guardian that takes a fault back ends right afterwards.
    pub fn end(&self) -> io::Result<()> {
        if self.process.pid == std::process::id().cast_signed() {
            return Ok(());
        }
        let Some(handle) = self.process.open()? else {
            return Ok(());
        };
        handle.signal(Signal::SIGKILL)?;
        if handle.wait(PATIENCE)? { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

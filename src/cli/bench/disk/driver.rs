//! The drivers that can be measured here, each held against the same calls.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::super::super::console;
use crate::fault::mapped_disk;
use crate::host::block_device::Device;
use crate::host::gate;
use crate::host::process::ProcessId;
use crate::host::tracer::Operation;

mod gated;
mod mapped;
mod traced;

/// What slows calls down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    /// The tracer (ptrace(2)).
    Syscall,
    /// Whoever the kernel asks before reads and writes (fanotify(7)).
    Fanotify,
    /// Device mapper, which holds the requests of everybody (dm-delay).
    DmDelay,
}

/// Which calls are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meant {
    /// None at all.
    Nothing,
    /// Those that do this, on another filesystem.
    OnAnotherVolume(Operation),
    /// Those that do this, on files at another path of the same filesystem.
    AtAnotherPath(Operation),
    /// Those that do this.
    All(Operation),
}

/// A driver at work.
pub(super) trait Holding: Send {
    /// How long calls were held in the mean, where the driver itself measures that.
    fn mean(&mut self) -> Result<Option<Duration>, String>;

    /// Lets calls go on as before.
    fn end(self: Box<Self>) -> Result<(), String> {
        Ok(())
    }
}

impl Driver {
    /// Those that work on files of a folder; why another one does not is said.
    pub(super) fn of(folder: &Path) -> Result<Vec<Self>, String> {
        let without =
            |driver: Self, why: String| console::hint(format_args!("without {}: {why}", driver.name()));
        let failed = |error| format!("cannot look at {}: {error}", folder.display());
        let open = File::open(folder).map_err(failed)?;
        let mut drivers = vec![Self::Syscall];
        match gate::is_possible_on(&open) {
            Ok(()) => drivers.push(Self::Fanotify),
            Err(why) => without(Self::Fanotify, why.to_string()),
        }
        let device = Device::of(open.metadata().map_err(failed)?.dev());
        if device.read("dm/name").is_err() {
            without(Self::DmDelay, format!("{} is on no device of device mapper", folder.display()));
        } else if let Some(why) = mapped_disk::host::obstacle("delay") {
            without(Self::DmDelay, why);
        } else {
            drivers.push(Self::DmDelay);
        }
        Ok(drivers)
    }

    /// As experiments call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Syscall => "syscall",
            Self::Fanotify => "fanotify",
            Self::DmDelay => "dmDelay",
        }
    }

    /// Whether it can have these calls wait, and leave others alone.
    pub(super) fn can(self, meant: Meant) -> bool {
        match (self, meant) {
            (Self::Syscall, _)
            | (Self::Fanotify, Meant::Nothing | Meant::All(Operation::Read | Operation::Write))
            // Other calls of these are answered from memory, and come to no device.
            | (Self::DmDelay, Meant::All(Operation::Sync)) => true,
            (Self::Fanotify | Self::DmDelay, _) => false,
        }
    }

    /// Whether it meets calls on files that were opened before it came.
    pub(super) fn meets_open_files(self) -> bool {
        self != Self::Fanotify
    }

    /// Has calls of a process, and of what it starts, on files of the folder's filesystem wait, until the answer is ended or
    /// dropped. Blocks, within a runtime.
    pub(super) fn hold(
        self,
        process: ProcessId,
        folder: &Path,
        meant: Meant,
        by: Duration,
    ) -> Result<Box<dyn Holding>, String> {
        match self {
            Self::Syscall => traced::hold(process, folder, meant, by),
            Self::Fanotify => gated::hold(process, folder, meant, by),
            Self::DmDelay => mapped::hold(folder, by),
        }
    }
}

//! The drivers that can be measured here, each held against the same calls.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::host::mount::place;
use crate::host::process::ProcessId;
use crate::host::process::launch::detached;
use crate::host::tracer::{Delay, Operation, Paths, Rules, Then, Tracer};

/// What slows calls down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver {
    /// The tracer (ptrace(2)).
    Syscall,
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

impl Driver {
    pub(super) const ALL: [Self; 1] = [Self::Syscall];

    /// As experiments call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Syscall => "syscall",
        }
    }

    /// Has calls of a process, and of what it starts, on files of the folder's filesystem wait, until the answer is dropped.
    pub(super) fn hold(
        self,
        process: ProcessId,
        folder: &Path,
        meant: Meant,
        by: Duration,
    ) -> Result<Holding, String> {
        match self {
            Self::Syscall => trace(process, folder, meant, by).map_err(|error| {
                format!("cannot trace a process: {error}; this needs root (CAP_SYS_PTRACE, ptrace(2))")
            }),
        }
    }
}

/// A driver at work.
pub(super) struct Holding {
    tracer: Tracer,
    process: ProcessId,
}

impl Holding {
    /// How long calls were held in the mean, as the driver measures it.
    pub(super) fn mean(&mut self) -> Result<Duration, String> {
        let tally = self.tracer.attach(vec![self.process]).map_err(|error| error.to_string())?.tally;
        Ok(Duration::from_nanos(tally.measured / tally.held.max(1)))
    }
}

fn trace(process: ProcessId, folder: &Path, meant: Meant, by: Duration) -> io::Result<Holding> {
    let open = File::open(folder)?;
    let device = open.metadata()?.dev();
    let (operations, devices) = match meant {
        Meant::Nothing => (Vec::new(), vec![device]),
        // No filesystem has this number.
        Meant::OnAnotherVolume(operation) => (vec![operation], vec![0]),
        Meant::AtAnotherPath(operation) | Meant::All(operation) => (vec![operation], vec![device]),
    };
    let paths = match meant {
        Meant::AtAnotherPath(_) => {
            let root = place::folder(&open, std::process::id().cast_signed())?;
            Some(Paths { patterns: vec!["elsewhere/**".to_owned()], roots: vec![(device, root)] })
        }
        Meant::Nothing | Meant::OnAnotherVolume(_) | Meant::All(_) => None,
    };
    let then = Then::Wait(Delay::Fixed(by));
    let rules = Rules { operations, devices, paths, then, percent: 100, seed: 0 };
    let program = std::env::current_exe()?;
    let mut tracer = Tracer::start(&rules, |words| detached(&program, words, &[], &[]))?;
    tracer.attach(vec![process])?;
    Ok(Holding { tracer, process })
}

//! The tracer.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::{Holding, Meant};
use crate::host::mount::place;
use crate::host::process::ProcessId;
use crate::host::process::launch::detached;
use crate::host::tracer::{Delay, Paths, Rules, Then, Tracer};

struct Traced {
    tracer: Tracer,
    process: ProcessId,
}

pub(super) fn hold(
    process: ProcessId,
    folder: &Path,
    meant: Meant,
    by: Duration,
) -> Result<Box<dyn Holding>, String> {
    let traced = trace(process, folder, meant, by).map_err(|error| {
        format!("cannot trace a process: {error}; this needs root (CAP_SYS_PTRACE, ptrace(2))")
    })?;
    Ok(Box::new(traced))
}

fn trace(process: ProcessId, folder: &Path, meant: Meant, by: Duration) -> io::Result<Traced> {
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
    Ok(Traced { tracer, process })
}

impl Holding for Traced {
    fn mean(&mut self) -> Result<Option<Duration>, String> {
        let tally = self.tracer.attach(vec![self.process]).map_err(|error| error.to_string())?.tally;
        Ok(Some(Duration::from_nanos(tally.measured / tally.held.max(1))))
    }
}

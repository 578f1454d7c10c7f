//! Whoever the kernel asks.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::{Holding, Meant};
use crate::host::gate::{Gate, Rules, Whose};
use crate::host::process::ProcessId;
use crate::host::process::launch::detached;
use crate::host::tracer::{Delay, Then};

struct Gated(Gate);

pub(super) fn hold(
    process: ProcessId,
    folder: &Path,
    meant: Meant,
    by: Duration,
) -> Result<Box<dyn Holding>, String> {
    let gated = ask(process, folder, meant, by).map_err(|error| {
        format!("cannot have the kernel ask: {error}; this needs root (CAP_SYS_ADMIN, fanotify(7))")
    })?;
    Ok(Box::new(gated))
}

fn ask(process: ProcessId, folder: &Path, meant: Meant, by: Duration) -> io::Result<Gated> {
    let operations = match meant {
        Meant::All(operation) => vec![operation],
        Meant::Nothing | Meant::OnAnotherVolume(_) | Meant::AtAnotherPath(_) => Vec::new(),
    };
    let rules = Rules {
        filesystems: vec![(folder.to_owned(), std::fs::metadata(folder)?.dev())],
        whose: vec![Whose::Below(process)],
        operations,
        then: Then::Wait(Delay::Fixed(by)),
        percent: 100,
        seed: 0,
    };
    let program = std::env::current_exe()?;
    let mut gate = Gate::start(&rules, |words| detached(&program, words, &[], &[]))?;
    // With the first question the kernel begins to ask it.
    gate.tally()?;
    Ok(Gated(gate))
}

impl Holding for Gated {
    fn mean(&mut self) -> Result<Option<Duration>, String> {
        let tally = self.0.tally().map_err(|error| error.to_string())?;
        Ok(Some(Duration::from_nanos(tally.measured / tally.held.max(1))))
    }
}

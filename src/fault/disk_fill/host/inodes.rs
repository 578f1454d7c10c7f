//! Takes inodes on volumes on a host.
//!
//! Guarantees: inodes without a name, held by one process that ends with its deadline, its revert, or when neither the node nor
//! a guardian holds its line any more; the kernel frees them all in that moment. More than that process can hold is refused.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::{Error, Target};
use crate::api::{FullDisk, InjectionSpec};
use crate::fault::host;
use crate::fault::host::volumes::{Volume, kernel};
use crate::fault::host::{Effect, HostError, Look, Own, Prepared};
use crate::host::inodes::hoard::{Ledger, Orders, PAUSE, Progress, SUBCOMMAND};
use crate::host::inodes::{Inodes, are_fixed, capacity};
use crate::host::process::ProcessId;
use crate::host::process::held::Held;
use crate::host::process::tied::Tied;
use crate::host::room::unnamed;

/// For how long they are waited for before anybody else is listened to; where there are more of them, a later look tells.
const AT_ONCE: Duration = Duration::from_secs(2);
/// How often it is looked how far the process is.
const LOOK: Duration = Duration::from_millis(5);
/// For how long more may be left than shall be, after somebody has freed some: until the process has seen it.
const SLACK: Duration = PAUSE.saturating_mul(10);

/// A process that has not taken anything yet, and what it shall take.
pub(super) struct Ready {
    target: Target,
    full: Full,
}

/// Looks how many inodes there are to be taken and whether they can be held, and starts who shall hold them.
pub(super) fn prepare(
    full: &FullDisk,
    holder: ProcessId,
    found: Vec<(Volume, File)>,
    own: Own<'_>,
) -> Result<Ready, Error> {
    let capacity = capacity().map_err(Error::Hold)?;
    let (mut wanted, mut needed) = (Vec::new(), 0_u64);
    for (Volume { claim, .. }, root) in &found {
        if !are_fixed(root).map_err(kernel("look at", claim))? {
            return Err(Error::NoFixedNumber(claim.clone()));
        }
        let inodes = count(root, claim)?;
        let leave = super::wanted(full.to, inodes.all);
        let more = inodes.free.saturating_sub(leave);
        if more == 0 {
            return Err(Error::FewAlready { claim: claim.clone(), left: inodes.free });
        }
        needed = needed.saturating_add(more);
        if needed > capacity.most {
            let (claim, most, why) = (claim.clone(), capacity.most, capacity.why);
            return Err(Error::TooMany { claim, needed, most, why });
        }
        wanted.push(leave);
    }
    let (volumes, roots): (Vec<Volume>, Vec<File>) = found.into_iter().unzip();
    let ledger = Ledger::new(volumes.len()).map_err(Error::Hold)?;
    let orders = Orders {
        ledger: ledger.as_fd().as_raw_fd(),
        folders: roots.iter().map(AsRawFd::as_raw_fd).zip(wanted.iter().copied()).collect(),
    };
    let orders = serde_json::to_string(&orders).map_err(|error| Error::Hold(error.into()))?;
    let inherited: Vec<BorrowedFd<'_>> =
        std::iter::once(ledger.as_fd()).chain(roots.iter().map(AsFd::as_fd)).collect();
    let child = own.launch.worker([SUBCOMMAND.as_ref(), orders.as_ref()], &inherited, None)?;
    let hoard = Tied::new(child).map_err(Error::Hold)?;
    let target = Target { holder, volumes, hoard: Some(hoard.process), inodes: needed };
    let volumes = target.volumes.clone();
    Ok(Ready { full: Full { volumes, hoard, ledger, roots, wanted, is_complete: false }, target })
}

fn count(root: &File, claim: &str) -> Result<Inodes, Error> {
    let inodes = Inodes::at(root).map_err(kernel("look at", claim))?;
    inodes.ok_or_else(|| Error::NoFixedNumber(claim.to_owned()))
}

impl Prepared for Ready {
    fn target(&self) -> host::Target {
        host::Target::DiskFill(self.target.clone())
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.full.descriptors()
    }

    fn inject(self: Box<Self>, _: &InjectionSpec, _: Duration) -> Result<Box<dyn Effect>, HostError> {
        let full = self.full;
        full.begin()?;
        Ok(Box::new(full))
    }
}

/// Volumes without inodes.
pub(super) struct Full {
    volumes: Vec<Volume>,
    hoard: Tied,
    ledger: Ledger,
    roots: Vec<File>,
    /// How many may be left on each.
    wanted: Vec<u64>,
    /// Whether they were all taken at some time.
    is_complete: bool,
}

impl Full {
    /// Has them taken, and waits for few of them: whoever wants them back meanwhile is heard only afterwards.
    fn begin(&self) -> Result<(), Error> {
        self.hoard.go().map_err(Error::Hold)?;
        let until = Instant::now() + AT_ONCE;
        while !self.has_taken_all()? && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// One that an earlier process of this node has made.
    pub(super) fn adopt(
        full: &FullDisk,
        volumes: &[Volume],
        process: ProcessId,
        held: Held,
    ) -> Result<Self, Error> {
        let mut held = held.into_iter();
        let (line, ledger) = (held.next().ok_or(Error::Gone)?, held.next().ok_or(Error::Gone)?);
        let roots: Vec<File> = held.map(File::from).collect();
        if roots.len() != volumes.len() || !process.is_alive().map_err(Error::Hold)? {
            return Err(Error::Gone);
        }
        let leave = |(root, volume): (&File, &Volume)| {
            Ok::<_, Error>(super::wanted(full.to, count(root, &volume.claim)?.all))
        };
        let wanted = roots.iter().zip(volumes).map(leave).collect::<Result<_, _>>()?;
        let hoard = Tied::adopt(line, process);
        let (volumes, ledger) = (volumes.to_vec(), ledger.into());
        Ok(Self { volumes, hoard, ledger, roots, wanted, is_complete: false })
    }

    /// Whether as few are left everywhere as shall be, by the word of the process that takes them.
    fn has_taken_all(&self) -> Result<bool, Error> {
        if !self.hoard.process.is_alive().map_err(Error::Hold)? {
            return Err(Error::Gone);
        }
        let mut is_done = true;
        for (number, Volume { claim, .. }) in self.volumes.iter().enumerate() {
            match self.ledger.read(number).map_err(Error::Hold)? {
                (_, Progress::Taking) => is_done = false,
                (_, Progress::Done) => {}
                (_, Progress::Failed(errno)) => {
                    let source = io::Error::from(Errno::from_raw(errno));
                    return Err(kernel("take more inodes on", claim)(source).into());
                }
            }
        }
        Ok(is_done)
    }

    fn see(&mut self) -> Result<Look, Error> {
        self.is_complete |= self.has_taken_all()?;
        if !self.is_complete {
            return Ok(Look::NotYet);
        }
        let until = Instant::now() + SLACK;
        let mut seen = Vec::new();
        for (number, ((root, &wanted), volume)) in
            self.roots.iter().zip(&self.wanted).zip(&self.volumes).enumerate()
        {
            let claim = &volume.claim;
            let mut inodes = count(root, claim)?;
            while inodes.free > wanted && Instant::now() < until {
                std::thread::sleep(LOOK);
                inodes = count(root, claim)?;
            }
            let (held, _) = self.ledger.read(number).map_err(Error::Hold)?;
            if inodes.free > wanted || held == 0 {
                return Ok(Look::Fails(format!(
                    "volume {claim} has {} inodes left: expected {wanted} at most; {held} are taken here",
                    inodes.free
                )));
            }
            // One that can be had was freed in this very moment.
            let is_refused =
                wanted == 0 && unnamed(root).is_err_and(|error| error.kind() == io::ErrorKind::StorageFull);
            let more = if is_refused { "; another file is refused (ENOSPC)" } else { "" };
            seen.push(format!(
                "volume {claim} has {} of {} inodes left (statvfs){more}; {held} are taken here",
                inodes.free, inodes.all
            ));
        }
        Ok(Look::Holds(seen.join(", ")))
    }
}

impl Effect for Full {
    fn look(&mut self, _: Option<&crate::node::LocatedPod>) -> Look {
        self.see().unwrap_or_else(|error| Look::Fails(error.to_string()))
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let first = [self.hoard.line(), self.ledger.as_fd()];
        first.into_iter().chain(self.roots.iter().map(AsFd::as_fd)).collect()
    }

    fn into_held(self: Box<Self>) -> Held {
        let first = [self.hoard.into_line(), self.ledger.into()];
        first.into_iter().chain(self.roots.into_iter().map(OwnedFd::from)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::{Full, Ledger, Look, Tied, Volume};

    #[test]
    fn as_long_as_inodes_are_being_taken_a_node_waits_for_none_and_says_nothing_of_them() {
        let folder = tempfile::tempdir().expect("a folder");
        // Takes nothing, for ever.
        let idle = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut full = Full {
            volumes: vec![Volume { claim: "data".into(), path: folder.path().into(), device: 0 }],
            hoard: Tied::new(idle.expect("installed")).expect("it lives"),
            ledger: Ledger::new(1).expect("memory"),
            roots: vec![File::open(folder.path()).expect("there")],
            wanted: vec![0],
            is_complete: false,
        };
        let since = Instant::now();
        full.begin().expect("nothing has failed");
        assert!(since.elapsed() < Duration::from_secs(10), "a node that waits hears nobody");
        assert!(matches!(full.see(), Ok(Look::NotYet)));
    }
}

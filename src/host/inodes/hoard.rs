//! The process that takes inodes and holds them: whoever ends it gives them all back, which the kernel has done when it says
//! that the process has ended (exit_task_work in kernel/exit.c).
//!
//! It takes again what others free meanwhile. What it has done it writes into memory that the node and the guardian hold as
//! well.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::time::Duration;

use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::Inodes;
use crate::host::process::tied::Line;
use crate::host::room::unnamed;

/// The hidden subcommand that runs [`main`].
pub const SUBCOMMAND: &str = "__hoard";

/// How often it looks whether something was freed.
pub const PAUSE: Duration = Duration::from_millis(100);
/// How many it takes before it looks whether it is still wanted.
const AT_ONCE: u64 = 512;

/// What it is told on its command line. Descriptors are those that it inherits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    /// The memory for what it has done.
    pub ledger: RawFd,
    /// The top folders, and how many inodes shall be left there.
    pub folders: Vec<(RawFd, u64)>,
    /// How many it holds at most, all together.
    pub most: u64,
}

/// How far it is on one filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not yet as far as it shall be.
    Taking,
    /// As few are left as shall be.
    Done,
    /// It could take no more, with this error.
    Failed(i32),
}

/// What it has done, by the number of the filesystem.
#[derive(Debug)]
pub struct Ledger(File);

/// How many are held, and how far it is.
const ENTRY: usize = 16;

impl Ledger {
    /// An empty one for `count` filesystems.
    pub fn new(count: usize) -> io::Result<Self> {
        let memory = File::from(memfd_create(c"seatrial-inodes", MFdFlags::MFD_CLOEXEC)?);
        memory.set_len(place(count))?;
        Ok(Self(memory))
    }

    /// How many are held of filesystem `number`, and how far that is.
    pub fn read(&self, number: usize) -> io::Result<(u64, Progress)> {
        let mut entry = [0; ENTRY];
        self.0.read_exact_at(&mut entry, place(number))?;
        let [h0, h1, h2, h3, h4, h5, h6, h7, progress, _, _, _, e0, e1, e2, e3] = entry;
        let held = u64::from_le_bytes([h0, h1, h2, h3, h4, h5, h6, h7]);
        match progress {
            0 => Ok((held, Progress::Taking)),
            1 => Ok((held, Progress::Done)),
            2 => Ok((held, Progress::Failed(i32::from_le_bytes([e0, e1, e2, e3])))),
            other => Err(io::Error::new(io::ErrorKind::InvalidData, format!("no such progress: {other}"))),
        }
    }

    fn note(&self, number: usize, held: u64, progress: Progress) -> io::Result<()> {
        let mut entry = [0; ENTRY];
        entry[..8].copy_from_slice(&held.to_le_bytes());
        entry[8] = match progress {
            Progress::Taking => 0,
            Progress::Done => 1,
            Progress::Failed(errno) => {
                entry[12..].copy_from_slice(&errno.to_le_bytes());
                2
            }
        };
        self.0.write_all_at(&entry, place(number))
    }
}

fn place(number: usize) -> u64 {
    (number * ENTRY) as u64
}

impl From<OwnedFd> for Ledger {
    fn from(memory: OwnedFd) -> Self {
        Self(memory.into())
    }
}

impl From<Ledger> for OwnedFd {
    fn from(ledger: Ledger) -> Self {
        ledger.0.into()
    }
}

impl AsFd for Ledger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Becomes that process, by the word that follows [`SUBCOMMAND`].
pub fn main(orders: Option<OsString>) -> ExitCode {
    let orders = orders.and_then(|orders| serde_json::from_str(orders.to_str()?).ok());
    match orders.map(hoard) {
        None => ExitCode::from(2),
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(_)) => ExitCode::FAILURE,
    }
}

fn hoard(orders: Orders) -> io::Result<()> {
    let mut line = Line::default();
    if !line.is_told()? {
        return Ok(());
    }
    raise_limit();
    // SAFETY: whoever started this process let it inherit these descriptors, and nothing else here uses them.
    let inherited = |number| unsafe { File::from_raw_fd(number) };
    let ledger = Ledger(inherited(orders.ledger));
    let mut hoards: Vec<Hoard> = orders
        .folders
        .into_iter()
        .map(|(folder, leave)| Hoard { folder: inherited(folder), leave, held: Vec::new() })
        .collect();
    loop {
        let mut is_done = true;
        for number in 0..hoards.len() {
            let room = orders.most.saturating_sub(hoards.iter().map(|hoard| hoard.held.len() as u64).sum());
            let progress = hoards[number].take(room.min(AT_ONCE));
            ledger.note(number, hoards[number].held.len() as u64, progress)?;
            is_done &= progress != Progress::Taking;
        }
        if !line.is_held_for(if is_done { PAUSE } else { Duration::ZERO })? {
            return Ok(());
        }
    }
}

/// The inodes of one filesystem.
struct Hoard {
    folder: File,
    leave: u64,
    held: Vec<File>,
}

impl Hoard {
    /// Takes what is more than shall be left, `most` at most.
    fn take(&mut self, most: u64) -> Progress {
        let more = match Inodes::at(&self.folder) {
            Ok(inodes) => inodes.map_or(0, |inodes| inodes.free.saturating_sub(self.leave)),
            Err(error) => return failed(&error),
        };
        if more > 0 && most == 0 {
            return Progress::Failed(libc::EMFILE);
        }
        for _ in 0..more.min(most) {
            match unnamed(&self.folder) {
                Ok(file) => self.held.push(file),
                // The kernel counts those that it is just freeing as free before they are.
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Progress::Done,
                Err(error) => return failed(&error),
            }
        }
        if more > most { Progress::Taking } else { Progress::Done }
    }
}

fn failed(error: &io::Error) -> Progress {
    Progress::Failed(error.raw_os_error().unwrap_or(libc::EIO))
}

/// As many descriptors as this process may have.
fn raise_limit() {
    let highest =
        std::fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse().ok());
    let raised = highest.is_some_and(|most: u64| setrlimit(Resource::RLIMIT_NOFILE, most, most).is_ok());
    if !raised && let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // What it may not have is refused one by one.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[cfg(test)]
mod tests {
    use nix::libc;

    use super::{Ledger, Progress};

    #[test]
    fn what_was_noted_is_read_by_all_who_hold_it() {
        let ledger = Ledger::new(2).expect("memory");
        let held = Ledger::from(std::os::fd::OwnedFd::from(ledger.0.try_clone().expect("a descriptor")));
        assert_eq!(held.read(1).expect("readable"), (0, Progress::Taking));
        for told in [(7, Progress::Taking), (u64::MAX, Progress::Done), (0, Progress::Failed(libc::EMFILE))] {
            ledger.note(1, told.0, told.1).expect("writable");
            assert_eq!(held.read(1).expect("readable"), told);
            assert_eq!(held.read(0).expect("readable"), (0, Progress::Taking));
        }
    }
}

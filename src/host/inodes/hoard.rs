//! The process that takes inodes and holds them: whoever ends it gives them all back, which the kernel has done when it says
//! that the process has ended (exit_task_work in kernel/exit.c).
//!
//! It takes again what others free meanwhile. What it has done it writes into memory that the node and the guardian hold as
//! well. How many descriptors a process may have (RLIMIT_NOFILE) is no bound: that counts for each table of descriptors, and a
//! thread may have one of its own (`CLONE_FILES` of unshare(2)).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::{Capacity, Inodes, capacity};
use crate::host::process::tied::Line;
use crate::host::room::unnamed;

/// The hidden subcommand that runs [`main`].
pub const SUBCOMMAND: &str = "__hoard";

/// How often it looks whether something was freed.
pub const PAUSE: Duration = Duration::from_millis(100);
/// How many it takes before it looks whether it is still wanted.
const AT_ONCE: u64 = 512;
/// What the stack of a thread takes that makes nothing but system calls.
const STACK: usize = 64 << 10;

/// What it is told on its command line. Descriptors are those that it inherits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    /// The memory for what it has done.
    pub ledger: RawFd,
    /// The top folders, and how many inodes shall be left there.
    pub folders: Vec<(RawFd, u64)>,
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
    // What it holds is the kernel's memory and not its own, which would not make it look like the one to go where memory is
    // short. Nobody else's end gives that back.
    fs::write("/proc/self/oom_score_adj", "1000")?;
    raise_limit();
    // SAFETY: whoever started this process let it inherit these descriptors, and nothing else here uses them.
    let inherited = |number| unsafe { File::from_raw_fd(number) };
    let ledger = Ledger(inherited(orders.ledger));
    let mut hoards: Vec<Hoard> = orders
        .folders
        .into_iter()
        .map(|(folder, leave)| Hoard { folder: Arc::new(inherited(folder)), leave, held: 0 })
        .collect();
    let mut keeper = Keeper::start()?;
    loop {
        let mut is_done = true;
        for (number, hoard) in hoards.iter_mut().enumerate() {
            let progress = hoard.take(capacity, &mut keeper)?;
            ledger.note(number, hoard.held, progress)?;
            is_done &= progress != Progress::Taking;
        }
        if !line.is_held_for(if is_done { PAUSE } else { Duration::ZERO })? {
            return Ok(());
        }
    }
}

/// The inodes of one filesystem.
struct Hoard {
    folder: Arc<File>,
    leave: u64,
    held: u64,
}

impl Hoard {
    /// Takes what is more than shall be left, not all at once, as long as the machine can hold all of it: others may take its
    /// memory meanwhile, as another one of these does.
    fn take(
        &mut self,
        capacity: impl FnOnce() -> io::Result<Capacity>,
        keeper: &mut Keeper,
    ) -> io::Result<Progress> {
        let free = match Inodes::at(&self.folder) {
            Ok(inodes) => inodes.map_or(0, |inodes| inodes.free),
            Err(error) => return Ok(failed(&error)),
        };
        let more = free.saturating_sub(self.leave);
        if more == 0 {
            return Ok(Progress::Done);
        }
        let capacity = capacity()?;
        if more > capacity.most {
            return Ok(Progress::Failed(capacity.errno));
        }
        let (taken, refused) = keeper.take(&self.folder, more.min(AT_ONCE))?;
        self.held += taken;
        Ok(match refused {
            None if more > AT_ONCE => Progress::Taking,
            None => Progress::Done,
            // The kernel counts those that it is just freeing as free before they are.
            Some(error) if error.kind() == io::ErrorKind::StorageFull => Progress::Done,
            Some(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                // Its table is full; with another one there are as many descriptors again.
                if taken == 0 && keeper.is_new {
                    return Ok(failed(&error));
                }
                *keeper = Keeper::start()?;
                Progress::Taking
            }
            Some(error) => failed(&error),
        })
    }
}

fn failed(error: &io::Error) -> Progress {
    Progress::Failed(error.raw_os_error().unwrap_or(libc::EIO))
}

/// A thread with a table of descriptors of its own, in which it keeps what it takes for as long as the process lives.
struct Keeper {
    orders: Sender<(Arc<File>, u64)>,
    answers: Receiver<(u64, Option<io::Error>)>,
    /// It has taken nothing yet.
    is_new: bool,
}

impl Keeper {
    fn start() -> io::Result<Self> {
        let (orders, told) = channel::<(Arc<File>, u64)>();
        let (answer, answers) = channel();
        std::thread::Builder::new().name("keeper".to_owned()).stack_size(STACK).spawn(move || {
            let mut held = Vec::new();
            let mut alone = unshare(CloneFlags::CLONE_FILES).err().map(io::Error::from);
            for (folder, count) in told {
                let before = held.len();
                let refused = alone.take().or_else(|| take(&folder, count, &mut held).err());
                let _ = answer.send(((held.len() - before) as u64, refused));
            }
            // Another one has been started, and nobody gives orders any more: this one keeps what it has.
            loop {
                std::thread::park();
            }
        })?;
        Ok(Self { orders, answers, is_new: true })
    }

    /// Takes so many, or what it can and why no more.
    fn take(&mut self, folder: &Arc<File>, count: u64) -> io::Result<(u64, Option<io::Error>)> {
        self.orders.send((Arc::clone(folder), count)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        let (taken, refused) = self.answers.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.is_new &= taken == 0;
        Ok((taken, refused))
    }
}

fn take(folder: &File, count: u64, held: &mut Vec<File>) -> io::Result<()> {
    for _ in 0..count {
        held.push(unnamed(folder)?);
    }
    Ok(())
}

/// As many descriptors in a table as this process may have.
fn raise_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // Without it there are more tables.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use nix::libc;

    use super::{Capacity, Hoard, Keeper, Ledger, Progress};

    #[test]
    fn no_more_are_taken_when_the_machine_cannot_hold_all_of_them_any_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut keeper = Keeper::start().expect("a thread");
        let mut hoard =
            Hoard { folder: Arc::new(File::open(folder.path()).expect("there")), leave: 0, held: 0 };
        let capacity = || Ok(Capacity { most: 1, why: "memory", errno: libc::ENOMEM });
        let progress = hoard.take(capacity, &mut keeper).expect("readable");
        assert_eq!((progress, hoard.held), (Progress::Failed(libc::ENOMEM), 0));
    }

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

//! The node's side of a guardian: start, arm, watch.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{APART, SUBCOMMAND};
use crate::host::process::copy::OwnCopy;
use crate::host::process::launch::detached;
use crate::host::process::{PidFd, ProcessId};
use crate::undo::Guardian;

/// For how long a guardian may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a guardian is started whose cgroup is removed in the same moment.
const ATTEMPTS: u32 = 5;

/// How guardians are started.
#[derive(Debug, Clone)]
pub enum Launch {
    /// Among the node's own namespaces and mounts.
    Beside {
        /// The program that knows the hidden subcommand; `/proc/self/exe` where the caller is that program.
        program: PathBuf,
        /// A cgroup v2 folder outside the node's own, where there is one.
        cgroup: Option<PathBuf>,
    },
    /// Apart from the container in which the node, who must be that program, lives: see
    /// [`leave_container`](crate::host::process::apart::leave_container). Records must be under a path that begins with
    /// `/proc/1/root`.
    Apart {
        /// Its program in memory.
        program: OwnCopy,
        /// Cgroups outside the container's that are there already, at most one per hierarchy.
        cgroups: Vec<PathBuf>,
        /// One of its own, where a hierarchy has none for it; made and removed as it is needed.
        own: Option<PathBuf>,
    },
}

/// Why there is no guardian.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// It could not be started.
    #[error("cannot start a guardian, or who works for a fault beside it: {0}")]
    Start(#[source] io::Error),
    /// There is no place for it outside the node's own cgroup.
    #[error("cannot make the cgroup {0} for guardians: {1}")]
    Cgroup(PathBuf, #[source] io::Error),
    /// It could not leave the node's container.
    #[error(
        "a guardian cannot leave the node's container: {0}; the container must run unconfined by seccomp and AppArmor"
    )]
    Leave(#[source] io::Error),
    /// It ended or did not answer.
    #[error("the guardian did not say that it is ready: {0}")]
    Arm(#[source] io::Error),
}

impl Launch {
    /// Starts a guardian for the record at `path`, which need not be there yet. Until it is armed it does nothing but
    /// wait; if the caller dies, it reads the record if there is one, and ends if there is none.
    pub fn start(&self, path: &Path, held: &[BorrowedFd<'_>]) -> Result<Started, LaunchError> {
        let mut child = self.spawn(path, held)?;
        let pid = child.id().cast_signed();
        let Some(process) = ProcessId::of(pid).map_err(LaunchError::Start)? else {
            // It has not been reaped, so that the kernel cannot have forgotten it.
            let _ = child.kill();
            return Err(LaunchError::Start(io::ErrorKind::NotFound.into()));
        };
        let descriptors = held.iter().map(AsRawFd::as_raw_fd).collect();
        Ok(Started { child, identity: Guardian { process, descriptors } })
    }

    fn spawn(&self, path: &Path, held: &[BorrowedFd<'_>]) -> Result<Child, LaunchError> {
        self.worker([SUBCOMMAND.as_ref(), path.as_os_str()], held, None)
    }

    /// Starts another of our hidden subcommands as guardians are started: where the limits of the node's own container do
    /// not count, in the cgroup `within` as well where one is given, and with [`APART`] as one more word where it has to leave
    /// that container. Its standard input is a pipe.
    pub fn worker(
        &self,
        words: [&OsStr; 2],
        held: &[BorrowedFd<'_>],
        within: Option<&Path>,
    ) -> Result<Child, LaunchError> {
        let [subcommand, orders] = words;
        match self {
            Self::Beside { .. } => self.child(&words, held, within),
            Self::Apart { .. } => self.child(&[subcommand, orders, APART.as_ref()], held, within),
        }
    }

    /// Starts another of our hidden subcommands that ends with the node, and so may stay in the node's container, but for the
    /// cgroup: processes of members wait for it, and must not get as little of the processor as the node asks for itself. Its
    /// standard input and output are pipes.
    pub fn companion(&self, words: [&OsStr; 2]) -> Result<Child, LaunchError> {
        self.child(&words, &[], None)
    }

    fn child(
        &self,
        words: &[&OsStr],
        held: &[BorrowedFd<'_>],
        within: Option<&Path>,
    ) -> Result<Child, LaunchError> {
        let (program, shared, own) = match self {
            Self::Beside { program, cgroup } => (program.clone(), cgroup.as_slice(), None),
            Self::Apart { program, cgroups, own } => {
                (program.path().map_err(LaunchError::Start)?, cgroups.as_slice(), own.as_ref())
            }
        };
        // Of two cgroups of one hierarchy the last one counts.
        let cgroups = shared.iter().chain(own).cloned().chain(within.map(Path::to_owned));
        let cgroups: Vec<PathBuf> = cgroups.collect();
        let mut attempts = ATTEMPTS;
        loop {
            if let Some(own) = own {
                fs::create_dir_all(own).map_err(|error| LaunchError::Cgroup(own.clone(), error))?;
            }
            attempts -= 1;
            match detached(&program, words.iter().copied(), held, &cgroups) {
                // An agent that has just ended took the empty cgroup with it.
                Err(error) if own.is_some() && error.kind() == io::ErrorKind::NotFound && attempts > 0 => {}
                result => return result.map_err(LaunchError::Start),
            }
        }
    }

    /// Starts a guardian that has nothing to guard: whether guardians can live here. `folder` is that of the records.
    pub fn check(&self, folder: &Path) -> Result<(), LaunchError> {
        let mut idle = self.spawn(&folder.join("nothing"), &[])?;
        drop(idle.stdin.take());
        let ended = idle.wait().map_err(LaunchError::Start)?;
        match ended.code() {
            Some(0) => Ok(()),
            Some(code) => Err(LaunchError::Leave(io::Error::from_raw_os_error(code))),
            None => Err(LaunchError::Leave(io::Error::other(ended.to_string()))),
        }
    }

    /// Removes the cgroup that it made, where nobody lives in it any more.
    ///
    /// Never one that was there before: what another mount namespace has mounted is not busy for rmdir(2), which would
    /// detach the machine's own mount of a hierarchy.
    pub fn tidy(&self) {
        match self {
            Self::Beside { .. } | Self::Apart { own: None, .. } => {}
            Self::Apart { own: Some(own), .. } => {
                // One with a guardian in it is busy; that is the answer wanted.
                let _ = fs::remove_dir(own);
            }
        }
    }
}

/// A guardian that waits for its record.
#[derive(Debug)]
pub struct Started {
    child: Child,
    /// What the record must say of it.
    pub identity: Guardian,
}

impl Started {
    /// Tells it that its record is on the disk, and waits until it has read it.
    pub fn arm(mut self) -> Result<Armed, LaunchError> {
        match self.await_answer() {
            Ok(handle) => Ok(Armed { child: Some(self.child), identity: self.identity, handle }),
            Err(error) => {
                self.dismiss();
                Err(LaunchError::Arm(error))
            }
        }
    }

    /// Ends it before it had anything to guard.
    pub fn dismiss(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn await_answer(&mut self) -> io::Result<PidFd> {
        self.child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.write_all(b"!")?;
        let mut answer = self.child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let timeout = PollTimeout::from(PATIENCE.as_millis() as u16);
        loop {
            match poll(&mut [PollFd::new(answer.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        answer.read_exact(&mut [0])?;
        self.identity.open()?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A guardian on its watch.
#[derive(Debug)]
pub struct Armed {
    /// Present where this process started it, and so must reap it.
    child: Option<Child>,
    /// What the record says of it.
    pub identity: Guardian,
    /// Becomes readable when it ends.
    pub handle: PidFd,
}

impl Armed {
    /// One that an earlier process started; `None` where it is gone.
    pub fn adopt(identity: &Guardian) -> io::Result<Option<Self>> {
        Ok(identity.open()?.map(|handle| Self { child: None, identity: identity.clone(), handle }))
    }

    /// Whether it does not watch any more.
    pub fn has_ended(&self) -> bool {
        // One that cannot be asked is replaced; two are no harm.
        self.handle.wait(Duration::ZERO).unwrap_or(true)
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        // A guardian that still watches is meant to outlive this process; one that has ended must be reaped.
        if let Some(child) = &mut self.child {
            let _ = child.try_wait();
        }
    }
}

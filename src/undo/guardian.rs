//! The guardian: a small process that ends one fault at its deadline when nobody else does.
//!
//! It lives in a session of its own and, where the node lives in a container, apart from that: in other cgroups, so that
//! what kills the container does not kill it, from memory and with mounts of its own, so that it keeps nothing busy. It
//! holds what it needs from the beginning: of a partition, the socket that owns the table, so that the table goes when
//! both the node and the guardian are dead. It is locked in memory, keeps its parents' files out and starts no thread.
//!
//! Where a fault outlives everybody (a frozen filesystem), two of them watch it and each other: one whose twin has died, and
//! was not replaced by the node, does not wait for the deadline, because nobody would be left if it died too.
//!
//! It ends when its record is gone (somebody else has taken the fault back), when its deadline has passed by a little
//! (so that the node, if it lives, comes first) and it has taken the fault back itself, when the target is gone, or when
//! SIGTERM asks it to take the fault back at once. It never ends with the fault in force: a revert that fails is tried
//! again, and a record that has become unreadable is taken as it was. It only ever reads its record and removes it, so
//! that it never brings one back that somebody else has removed.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::{Guardian, Record, Store, StoreError, undo};
use crate::host::process::PidFd;
use crate::host::process::apart::leave_container;
use crate::host::process::held::Held;

mod launch;

pub use launch::{Armed, Launch, LaunchError, Started};

/// The hidden subcommand that runs [`guardian_main`].
pub const SUBCOMMAND: &str = "__guardian";

/// What follows where a process shall leave the node's container.
const APART: &str = "apart";

/// How long after the deadline it acts.
const AFTER_DEADLINE: Duration = Duration::from_millis(250);
/// How often it looks whether its record is still there, and at the wall clock.
const TICK: Duration = Duration::from_millis(500);
/// How long the node may take to replace a twin that has died.
const REPLACEMENT: Duration = Duration::from_secs(3);
/// How long it waits after a revert that failed.
const RETRY: Duration = Duration::from_millis(500);

/// What follows [`SUBCOMMAND`] on the command line: the record's path, and whether it lives apart from the node.
pub fn guardian_main(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let Some(path) = arguments.next() else {
        return ExitCode::from(2);
    };
    if let Err(error) = go_apart(arguments) {
        // The number of the error tells the node, who has no other way to hear it before the guardian is armed.
        return ExitCode::from(error.raw_os_error().and_then(|code| u8::try_from(code).ok()).unwrap_or(1));
    }
    match guard(Path::new(&path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Leaves the node's container where the rest of the command line says so. The calling process must have one thread only.
pub fn go_apart(mut rest: impl Iterator<Item = std::ffi::OsString>) -> std::io::Result<()> {
    if rest.next().is_some_and(|word| word == APART) { leave_container() } else { Ok(()) }
}

fn guard(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut asked = SigSet::empty();
    asked.add(Signal::SIGTERM);
    asked.thread_block()?;
    let release = SignalFd::with_flags(&asked, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    // A word from the node says that the record is written. If the node dies before that, the end of the file says it,
    // and the record tells whether there is anything to guard.
    let _ = std::io::stdin().read(&mut [0])?;
    let Some(mut record) = read(path)? else {
        return Ok(());
    };
    let held = own_part(&record).map_or_else(Held::default, Guardian::held);
    let anchors = anchors_of(&record);
    let mut alone_since = None;
    // Once a node has died, nobody reads this any more.
    let _ = std::io::stdout().write_all(b"!").and_then(|()| std::io::stdout().flush());
    stay_in_memory();
    loop {
        let left = record.expires.left_after(AFTER_DEADLINE);
        let is_alone = if has_lost_its_twin(&record) {
            alone_since.get_or_insert_with(Instant::now).elapsed() >= REPLACEMENT
        } else {
            alone_since = None;
            false
        };
        if left.is_zero() || is_asked(&release) || is_alone || record.target.is_gone() {
            break;
        }
        sleep(&release, &anchors, left.min(TICK));
        match read(path) {
            Ok(Some(newer)) => record = newer,
            Ok(None) => return Ok(()),
            // A record that cannot be read now ends no watch: what was read before tells how to take the fault back.
            Err(_) => {}
        }
    }
    while undo(path, &record, &held).is_err() {
        std::thread::sleep(RETRY);
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Record>, StoreError> {
    match Store::read(path) {
        Ok(record) => Ok(Some(record)),
        Err(StoreError::Read(_, error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the record says of the calling process.
fn own_part(record: &Record) -> Option<&Guardian> {
    record.guardians().find(|guardian| guardian.process.pid == std::process::id().cast_signed())
}

/// Whether a guardian may be taking the fault back now, or be about to.
pub(super) fn may_act(record: &Record) -> bool {
    record.expires.is_over() || record.target.is_gone() || has_lost_its_twin(record)
}

fn has_lost_its_twin(record: &Record) -> bool {
    record.guardians().any(|guardian| matches!(guardian.process.is_alive(), Ok(false)))
}

fn anchors_of(record: &Record) -> Vec<PidFd> {
    record.target.undo().anchors().iter().filter_map(|process| process.open().ok().flatten()).collect()
}

fn is_asked(release: &SignalFd) -> bool {
    matches!(release.read_signal(), Ok(Some(_)))
}

fn sleep(release: &SignalFd, anchors: &[PidFd], limit: Duration) {
    let living = anchors.iter().filter(|anchor| !anchor.wait(Duration::ZERO).unwrap_or(true));
    let mut fds = vec![PollFd::new(release.as_fd(), PollFlags::POLLIN)];
    fds.extend(living.map(|anchor| PollFd::new(anchor.as_fd(), PollFlags::POLLIN)));
    let limit = PollTimeout::from(u16::try_from(limit.as_millis()).unwrap_or(u16::MAX).max(1));
    // Whatever wakes it, and even an error, only makes it look again.
    let _ = poll(&mut fds, limit);
}

/// As far as it is permitted: a machine that is short of memory must not lose the one who ends the fault.
fn stay_in_memory() {
    use nix::sys::mman::{MlockAllFlags, mlockall};
    // Only what is there: where the memory that may be locked is limited, locking what comes later makes a later
    // allocation fail, and the guardian with it (mlockall(2)).
    let _ = mlockall(MlockAllFlags::MCL_CURRENT);
    let _ = std::fs::write("/proc/self/oom_score_adj", "-1000");
}

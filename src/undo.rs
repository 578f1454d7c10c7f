//! Write-ahead undo records, their replay, and the guardian.
//!
//! Guarantees:
//! - A [`Record`] is on the disk, and its folder too, before the first change that it tells how to undo.
//! - Undoing is idempotent, reads back what it did, and counts what is gone as undone. Only then is the record removed.
//! - Everything is named by boot, pid and start time, or inode: a record never hits a stranger.
//! - A [`guardian`] ends a fault at its deadline when nobody else does, whatever happens to the node.
//! - Nothing is done by a record that another process has removed, and none is removed while what it tells is being done
//!   ([`Claim`]) or taken back by another one: a fault that comes into force after its deadline is still somebody's, and so is
//!   what one leaves who is killed while taking it back.
//! - A record that cannot be read is kept aside and reported, never guessed at.

use std::path::Path;
use std::time::{Duration, Instant};

mod beside;
mod failpoint;
pub mod guardian;
mod record;
mod replay;
mod store;

use beside::Beside;
pub use failpoint::{POINTS, TABLE_POINTS, stop_here};
pub use record::{Expiry, Guardian, Record};
pub use replay::{Outcome, Scope, replay};
pub use store::{Claim, Claiming, Store, StoreError};

use crate::fault::host::HostError;
use crate::host::process::held::Held;

/// Why a fault could not be taken back.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// The fault is still in force.
    #[error(transparent)]
    Fault(#[from] HostError),
    /// The guardian did not end.
    #[error("cannot end the guardian, {0}: {1}")]
    Guardian(crate::host::process::ProcessId, #[source] std::io::Error),
    /// The record is still there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record has to stay, because what it tells may come into force again.
    #[error("another process is still at work on the fault; it is taken back again when that has ended")]
    Busy,
}

/// For how long a process that acts upon a record is waited for, and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// Takes back what a record tells, at once, and once more where somebody else was just doing it; removes the record and
/// ends its guardian; each step only after the one before it. The guardian comes last, because it ends by itself when it
/// finds no record, while nobody else would remove a record. One that may be doing the same comes before: ended in the middle
/// of it, it leaves the half of it, and only the record tells how to take that back.
///
/// `held` is what the caller holds for the fault itself, where it does.
pub fn undo(path: &Path, record: &Record, held: &Held) -> Result<(), UndoError> {
    stop_here("revert-begun");
    // It is not there any more once the guardian has ended.
    let of_guardian = if held.is_empty() { record.held() } else { Held::default() };
    let held = if held.is_empty() { &of_guardian } else { held };
    let revert = || record.target.undo().revert(held);
    let claiming = Store::claim(path);
    let beside = Beside::enter(path, record.generation);
    revert()?;
    drop(beside?);
    let mut claiming = claiming?;
    let until = Instant::now() + PATIENCE;
    while matches!(claiming, Claiming::Busy) {
        pause(until)?;
        claiming = Store::claim(path)?;
        if matches!(claiming, Claiming::Ours(_)) {
            revert()?;
        }
    }
    stop_here("undone");
    let may_act = guardian::may_act(record);
    if may_act {
        end_guardians(record)?;
    }
    let may_leave_half = record.target.undo().is_gradual() && matches!(claiming, Claiming::Ours(_));
    // Whoever begins from here on finds nothing to take back; who began before may be killed with the half of it done.
    let until = Instant::now() + PATIENCE;
    while may_leave_half && Beside::is_anybody(path, record.generation)? {
        pause(until)?;
    }
    // And nothing else more than once: another fault may be there by now that looks the same.
    if may_act || may_leave_half {
        revert()?;
    }
    store::remove(path)?;
    stop_here("record-removed");
    end_guardians(record)?;
    stop_here("guardian-ended");
    Ok(())
}

/// Waits for the next look, where there is time for one.
fn pause(until: Instant) -> Result<(), UndoError> {
    if Instant::now() >= until {
        return Err(UndoError::Busy);
    }
    std::thread::sleep(LOOK);
    Ok(())
}

fn end_guardians(record: &Record) -> Result<(), UndoError> {
    for guardian in record.guardians() {
        guardian.end().map_err(|error| UndoError::Guardian(guardian.process, error))?;
    }
    Ok(())
}

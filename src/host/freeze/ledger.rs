//! What was frozen by us, shared by all who may have to thaw it.
//!
//! The kernel does not tell who froze a filesystem, and a thaw ends anybody's freeze. So whoever freezes notes each step in
//! memory that the guardians hold as well, before and after the call. It goes with the last of its holders.
//!
//! Whoever takes a freeze back closes the ledger first, and reads the stages then; whoever freezes notes that first, and
//! looks then whether the ledger is closed. So one of them sees the other, and nothing is frozen after it was taken back.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::host::process::ProcessId;

/// How far a filesystem's freeze is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nobody has asked for it.
    Untouched,
    /// This thread has, and has not noted an answer.
    Asked(ProcessId),
    /// It is frozen, by us.
    Frozen,
    /// It is not frozen by us, any more or at all.
    Over,
}

/// One byte for the stage, the rest for the thread's id and start time.
const ENTRY: usize = 16;

/// The stages of some filesystems, by their number; before them an entry that says whether it is closed.
#[derive(Debug)]
pub struct Ledger(File);

impl Ledger {
    /// An empty one for `count` filesystems.
    pub fn new(count: usize) -> io::Result<Self> {
        let memory = File::from(memfd_create(c"seatrial-freeze", MFdFlags::MFD_CLOEXEC)?);
        memory.set_len(place(count))?;
        Ok(Self(memory))
    }

    /// How far filesystem `number` is.
    pub fn read(&self, number: usize) -> io::Result<Stage> {
        let mut entry = [0; ENTRY];
        self.0.read_exact_at(&mut entry, place(number))?;
        let [stage, _, _, _, p0, p1, p2, p3, s0, s1, s2, s3, s4, s5, s6, s7] = entry;
        match stage {
            0 => Ok(Stage::Untouched),
            1 => Ok(Stage::Asked(ProcessId {
                pid: i32::from_le_bytes([p0, p1, p2, p3]),
                start: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
            })),
            2 => Ok(Stage::Frozen),
            3 => Ok(Stage::Over),
            other => Err(io::Error::new(io::ErrorKind::InvalidData, format!("no such stage: {other}"))),
        }
    }

    /// Notes it.
    pub fn note(&self, number: usize, stage: Stage) -> io::Result<()> {
        let mut entry = [0; ENTRY];
        entry[0] = match stage {
            Stage::Untouched => 0,
            Stage::Asked(thread) => {
                entry[4..8].copy_from_slice(&thread.pid.to_le_bytes());
                entry[8..].copy_from_slice(&thread.start.to_le_bytes());
                1
            }
            Stage::Frozen => 2,
            Stage::Over => 3,
        };
        self.0.write_all_at(&entry, place(number))
    }

    /// Nothing is to be frozen any more.
    pub fn close(&self) -> io::Result<()> {
        self.0.write_all_at(&[1], 0)
    }

    /// Whether nothing is to be frozen any more.
    pub fn is_closed(&self) -> io::Result<bool> {
        let mut closed = [0];
        self.0.read_exact_at(&mut closed, 0)?;
        Ok(closed != [0])
    }

    /// The same memory, held once more.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }
}

/// Where the entry of a filesystem begins.
fn place(number: usize) -> u64 {
    ((number + 1) * ENTRY) as u64
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

#[cfg(test)]
mod tests {
    use super::{Ledger, Stage};
    use crate::host::process::ProcessId;

    #[test]
    fn every_stage_is_read_as_it_was_noted_by_all_who_hold_it() {
        let ledger = Ledger::new(2).expect("memory");
        let held = ledger.try_clone().expect("a descriptor");
        let asked = Stage::Asked(ProcessId { pid: 77, start: u64::MAX - 1 });
        for stage in [Stage::Untouched, asked, Stage::Frozen, Stage::Over] {
            ledger.note(1, stage).expect("writable");
            assert_eq!(held.read(1).expect("readable"), stage);
            assert_eq!(held.read(0).expect("readable"), Stage::Untouched);
        }
        assert!(!held.is_closed().expect("readable"));
        ledger.close().expect("writable");
        assert!(held.is_closed().expect("readable"));
        assert_eq!(held.read(1).expect("readable"), Stage::Over);
    }
}

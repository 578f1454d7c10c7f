//! Who takes a fault back without the claim to its record.
//!
//! Whoever has the claim may be making the fault, for as long as that takes, so that the first revert waits for nobody. One who
//! is killed in the middle of it leaves the half of it where that goes by steps: a device's table that is loaded and not in force.
//! So the record of such a fault stays until nobody is at work beside the one who removes it, and what they left has been taken
//! back after them.
//!
//! A lock says who is (fcntl(2), open file description locks): of the folder, because a record may be replaced, at an offset
//! that is the record's own, and shared, because several may be at work. With the death of its holder it ends.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::StoreError;

/// Held for as long as somebody is at work.
#[derive(Debug)]
pub(super) struct Beside {
    /// None where the folder is gone, and with it the records.
    _locked: Option<File>,
}

impl Beside {
    /// Says that the caller is at work on what the record at `path` tells, which is the one of this generation.
    pub(super) fn enter(path: &Path, generation: u64) -> Result<Self, StoreError> {
        let locked = folder_of(path).and_then(|folder| {
            if let Some(folder) = &folder {
                fcntl(folder, FcntlArg::F_OFD_SETLK(&lock(libc::F_RDLCK, generation)))?;
            }
            Ok(folder)
        });
        Ok(Self { _locked: locked.map_err(|error| StoreError::Folder(path.to_owned(), error))? })
    }

    /// Whether anybody is.
    pub(super) fn is_anybody(path: &Path, generation: u64) -> Result<bool, StoreError> {
        let answer = folder_of(path).and_then(|folder| {
            let Some(folder) = folder else { return Ok(false) };
            // Asked for and not taken: the answer is a lock that would be in the way, or that there is none.
            let mut answer = lock(libc::F_WRLCK, generation);
            fcntl(&folder, FcntlArg::F_OFD_GETLK(&mut answer))?;
            Ok(answer.l_type != libc::F_UNLCK as libc::c_short)
        });
        answer.map_err(|error| StoreError::Folder(path.to_owned(), error))
    }
}

fn folder_of(path: &Path) -> io::Result<Option<File>> {
    match File::open(path.parent().ok_or(io::ErrorKind::InvalidInput)?) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn lock(kind: libc::c_int, generation: u64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: libc::off_t::try_from(generation).unwrap_or(libc::off_t::MAX),
        l_len: 1,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::Beside;

    #[test]
    fn somebody_is_at_work_until_the_last_has_left_and_on_no_other_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.7.undo.json");
        let is_anybody = |generation| Beside::is_anybody(&path, generation).expect("readable");
        assert!(!is_anybody(7));
        let one = Beside::enter(&path, 7).expect("a lock");
        let other = Beside::enter(&path, 7).expect("it is shared");
        assert!(is_anybody(7) && !is_anybody(8) && !is_anybody(u64::MAX));
        drop(one);
        assert!(is_anybody(7));
        drop(other);
        assert!(!is_anybody(7));
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0, "it is no file");
    }

    #[test]
    fn whoever_removes_the_folder_is_in_nobodys_way() {
        let path = std::path::Path::new("/none/of/these/r.7.undo.json");
        let _beside = Beside::enter(path, 7).expect("there is no record");
        assert!(!Beside::is_anybody(path, 7).expect("there is no record"));
    }
}

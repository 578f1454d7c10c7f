//! A copy of a program that no filesystem holds, so that running it keeps nothing mounted.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};

/// The program of the calling process.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// A copy of the calling process's own program in memory, made when it is first asked for. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct OwnCopy(Arc<OnceLock<OwnedFd>>);

impl OwnCopy {
    /// Under which path a child of this process executes it (execve(2) resolves it before descriptors are closed).
    pub fn path(&self) -> io::Result<PathBuf> {
        let copy = if let Some(copy) = self.0.get() {
            copy
        } else {
            // Whoever loses the race drops a copy of the same bytes.
            let made = in_memory(Path::new(OWN_PROGRAM))?;
            self.0.get_or_init(|| made)
        };
        Ok(PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd())))
    }
}

fn in_memory(program: &Path) -> io::Result<OwnedFd> {
    let mut source = File::open(program)?;
    let mut copy = File::from(create()?);
    io::copy(&mut source, &mut copy)?;
    let seals =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(copy.into())
}

/// Linux 6.3 and later wants to be told that the file will be executed, and may be set to refuse files that nobody
/// declared; earlier ones do not know the word (memfd_create(2)).
fn create() -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let executable = flags | MFdFlags::from_bits_retain(libc::MFD_EXEC);
    match memfd_create(c"seatrial", executable) {
        Err(Errno::EINVAL) => Ok(memfd_create(c"seatrial", flags)?),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_copy_runs_although_its_file_is_gone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = folder.path().join("program");
        std::fs::copy("/bin/true", &program).expect("`true` exists everywhere");
        let copy = in_memory(&program).expect("copied");
        std::fs::remove_file(&program).expect("ours");
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        assert!(Command::new(path).status().expect("it starts").success());
    }

    #[test]
    fn nobody_can_change_a_copy() {
        let copy = in_memory(Path::new("/bin/true")).expect("copied");
        let written = nix::unistd::write(copy.as_fd(), b"!");
        assert_eq!(written, Err(Errno::EPERM));
    }
}

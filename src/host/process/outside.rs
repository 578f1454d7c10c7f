//! Opens devices that the cgroups of a container keep from its processes.
//!
//! Which devices may be opened is decided by the cgroup of whoever opens them, and by nobody once they are open
//! (Documentation/admin-guide/cgroup-v1/devices.rst, cgroup-v2.rst). A process of our own that lives at the top of the
//! machine's cgroups for a moment opens it, and the caller copies its descriptor. It needs no more rights than that takes:
//! those to write to the machine's cgroups, and CAP_SYS_PTRACE (pidfd_getfd(2)).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ExitCode};

use super::PidFd;
use super::launch::detached;
use crate::host::cgroup::hierarchies::Hierarchies;

/// The hidden subcommand that runs [`main`].
pub const SUBCOMMAND: &str = "__open";

/// Opens a device for reading and writing, at the top of these cgroups. `program` knows the hidden subcommand; `path` means
/// the same to every process in the caller's mount namespace.
pub fn open_outside(program: &Path, path: &Path, hierarchies: &Hierarchies) -> io::Result<OwnedFd> {
    let tops: Vec<_> =
        hierarchies.legacy_top("devices").into_iter().chain(hierarchies.unified_top()).collect();
    let mut child = detached(program, [SUBCOMMAND.as_ref(), path.as_os_str()], &[], &tops)?;
    let opened = take(&mut child);
    drop(child.stdin.take());
    let ended = child.wait()?;
    // Its exit code is the error's number.
    opened.map_err(|error| ended.code().filter(|code| *code != 0).map_or(error, io::Error::from_raw_os_error))
}

fn take(child: &mut Child) -> io::Result<OwnedFd> {
    let handle = PidFd::open(child.id().cast_signed())?.ok_or(io::ErrorKind::NotFound)?;
    let mut number = [0; 4];
    child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?.read_exact(&mut number)?;
    handle.descriptor(i32::from_ne_bytes(number))
}

/// Opens a device, says under which number, and waits until standard input ends.
pub fn main(path: Option<std::ffi::OsString>) -> ExitCode {
    let opened = path.ok_or(io::ErrorKind::InvalidInput.into()).and_then(|path| {
        let device = File::options().read(true).write(true).open(path)?;
        let mut output = io::stdout();
        output.write_all(&device.as_raw_fd().to_ne_bytes()).and_then(|()| output.flush())?;
        io::stdin().read_to_end(&mut Vec::new()).map(drop)
    });
    match opened {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ExitCode::from(error.raw_os_error().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
        }
    }
}

//! Opens devices that the cgroups of a container keep from its processes.
//!
//! Which devices may be opened is decided by the cgroup of whoever opens them, and by nobody once they are open
//! (Documentation/admin-guide/cgroup-v1/devices.rst, cgroup-v2.rst). A process of our own that lives for a moment where no
//! container does opens it, and the caller copies its descriptor: at the top of the hierarchy of version 1, and of version 2
//! in the cgroup of process 1, because its top may hold no processes where the machine is a container itself, as kind's are.
//! It needs no more rights than that takes: those to write to the machine's cgroups, and CAP_SYS_PTRACE (pidfd_getfd(2)).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ExitCode};

use super::PidFd;
use super::launch::detached;
use crate::host::cgroup::hierarchies::Hierarchies;
use crate::host::mount::Access;

/// The hidden subcommand that runs [`main`].
pub const SUBCOMMAND: &str = "__open";

/// What follows the path where the device is opened for writing, too.
const WRITABLE: &str = "writable";

/// Where nodes of devices are: here, or where process 1 has them.
const PLACES: [&str; 2] = ["/dev", "/proc/1/root/dev"];

/// The program that is running, which knows the hidden subcommands.
const OURSELVES: &str = "/proc/self/exe";

/// Opens the device of this name below `/dev`, also from inside a container; `NotFound` where it is nowhere.
pub fn open_device(name: &Path, access: Access) -> io::Result<File> {
    let nowhere = format!("there is no /dev/{}", name.display());
    let mut last = io::Error::new(io::ErrorKind::NotFound, nowhere);
    for place in PLACES {
        let path = Path::new(place).join(name);
        match open(&path, access) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // A container may open no devices but its own.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let hierarchies = Hierarchies::of_the_machine()?;
                return open_outside(Path::new(OURSELVES), &path, access, &hierarchies).map(File::from);
            }
            Err(error) => last = error,
            opened => return opened,
        }
    }
    Err(last)
}

fn open(path: &Path, access: Access) -> io::Result<File> {
    File::options().read(true).write(access == Access::ReadWrite).open(path)
}

/// Opens a device where these cgroups keep none from anybody. `program` knows the hidden subcommand; `path` means the same to
/// every process in the caller's mount namespace.
pub fn open_outside(
    program: &Path,
    path: &Path,
    access: Access,
    hierarchies: &Hierarchies,
) -> io::Result<OwnedFd> {
    let first = fs::read_to_string("/proc/1/cgroup")?;
    let first = first.lines().find_map(|line| line.strip_prefix("0::"));
    let unified = first.and_then(|path| hierarchies.unified_folder(path));
    let cgroups: Vec<_> = hierarchies.legacy_top("devices").into_iter().chain(unified).collect();
    let words = [SUBCOMMAND.as_ref(), path.as_os_str()];
    let writable = (access == Access::ReadWrite).then_some(WRITABLE.as_ref());
    let mut child = detached(program, words.into_iter().chain(writable), &[], &cgroups)?;
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

/// Opens a device, says under which number, and waits until standard input ends. `words` are what follows [`SUBCOMMAND`].
pub fn main(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let opened = words.next().ok_or(io::ErrorKind::InvalidInput.into()).and_then(|path| {
        let access = if words.next().is_some() { Access::ReadWrite } else { Access::ReadOnly };
        let device = open(Path::new(&path), access)?;
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

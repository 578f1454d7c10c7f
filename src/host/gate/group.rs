//! The kernel's side: a group of fanotify, what it asks and how it is answered.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::fanotify::{
    EventFFlags, Fanotify, FanotifyEvent, FanotifyResponse, InitFlags, MarkFlags, MaskFlags, Response,
};

use crate::host::volume;

/// `FAN_PRE_ACCESS` of linux/fanotify.h.
const PRE_ACCESS: MaskFlags = MaskFlags::from_bits_retain(0x0010_0000);
/// Where `FAN_DENY_ERRNO` of linux/fanotify.h has the error.
const ERRNO: u32 = 24;

/// Whoever is asked.
pub(super) struct Group(Fanotify);

impl Group {
    pub(super) fn new() -> io::Result<Self> {
        let flags = InitFlags::FAN_CLASS_PRE_CONTENT
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_UNLIMITED_QUEUE
            | InitFlags::FAN_REPORT_TID;
        let opened = EventFFlags::O_RDONLY | EventFFlags::O_LARGEFILE | EventFFlags::O_CLOEXEC;
        Ok(Self(Fanotify::init(flags, opened)?))
    }

    /// From now on the kernel asks about files on this filesystem.
    pub(super) fn mark(&self, path: &Path, device: u64) -> io::Result<()> {
        let root = volume::open_on(path, device)?.ok_or(Errno::ENOENT)?;
        let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
        Ok(self.0.mark(flags, PRE_ACCESS, &root, None::<&Path>)?)
    }

    /// What the kernel asks now.
    pub(super) fn events(&self) -> io::Result<Vec<FanotifyEvent>> {
        match self.0.read_events() {
            // Without a file nothing is asked.
            Ok(events) => Ok(events.into_iter().filter(|event| event.fd().is_some()).collect()),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn allow(&self, event: &FanotifyEvent) -> io::Result<()> {
        self.answer(event, Response::FAN_ALLOW)
    }

    pub(super) fn deny(&self, event: &FanotifyEvent, errno: i32) -> io::Result<()> {
        let error = Response::from_bits_retain(errno.cast_unsigned() << ERRNO);
        self.answer(event, Response::FAN_DENY | error)
    }

    fn answer(&self, event: &FanotifyEvent, response: Response) -> io::Result<()> {
        let Some(file) = event.fd() else { return Ok(()) };
        match self.0.write_response(FanotifyResponse::new(file, response)) {
            // Whoever waited was killed meanwhile.
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Why the kernel asks nobody before reads and writes.
#[derive(Debug, thiserror::Error)]
pub enum Unasked {
    /// On no filesystem.
    #[error(
        "this kernel asks nobody before reads and writes: it must be 6.14 or later, with CONFIG_FANOTIFY_ACCESS_PERMISSIONS"
    )]
    Kernel,
    /// Not on this one.
    #[error("this kernel asks nobody before reads and writes on a filesystem of this type")]
    Filesystem,
    /// Not this process.
    #[error("fanotify needs CAP_SYS_ADMIN")]
    Right,
    /// Anything else.
    #[error("fanotify cannot be used: {0}")]
    Other(#[source] io::Error),
}

impl From<io::Error> for Unasked {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EOPNOTSUPP) => Self::Filesystem,
            Some(Errno::EINVAL | Errno::ENOSYS) => Self::Kernel,
            Some(Errno::EPERM) => Self::Right,
            _ => Self::Other(error),
        }
    }
}

/// Whether the kernel would ask about files of the filesystem of this folder.
pub fn is_possible_on(folder: &File) -> Result<(), Unasked> {
    // The folder's own mark goes with the group at the end of this function.
    let marked = Group::new()?.0.mark(MarkFlags::FAN_MARK_ADD, PRE_ACCESS, folder, None::<&Path>);
    Ok(marked.map_err(io::Error::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_is_told_from_what_is_not() {
        let told = |errno: Errno| Unasked::from(io::Error::from(errno)).to_string();
        assert!(told(Errno::EINVAL).contains("6.14 or later"));
        assert!(told(Errno::EOPNOTSUPP).contains("a filesystem of this type"));
        assert!(told(Errno::EPERM).contains("CAP_SYS_ADMIN"));
        let groups = told(Errno::EMFILE);
        assert!(groups.contains("Too many open files") && !groups.contains("6.14"), "{groups}");
    }
}

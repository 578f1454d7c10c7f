//! Tables of mapped devices: what each part of a device is mapped to (linux/dm-ioctl.h, drivers/md/dm-ioctl.c).
//!
//! A device has a live table, and beside it at most one that is loaded and not in force yet. [`Control::swap`] is one call
//! into the kernel, which holds new I/O back, waits for what is under way, exchanges the tables and goes on: whoever is
//! killed in it leaves the device going, by the old table or by the new one. Where the exchange itself fails, for want of
//! memory say, the kernel leaves the device suspended with nothing loaded, and it has to be told once more to go on.
//! Filesystems are not frozen for that, and nothing is flushed.
//!
//! Written by hand because it is one structure and seven requests; what wraps them elsewhere brings a binding generator
//! that needs a C compiler.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::block_device::Device;

mod control;
mod message;
mod table;

use message::{HEADER, Header, Message, request};
pub use table::Segment;

/// The device by which device mapper is asked, open.
#[derive(Debug)]
pub struct Control(File);

/// Which of the two tables of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one in force.
    Live,
    /// The one that is loaded.
    Loaded,
}

/// What a mapped device is doing now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its name.
    pub name: String,
    /// What its maker calls it, which no other device is called; empty where nobody did.
    pub uuid: String,
    /// All I/O waits.
    pub is_suspended: bool,
    /// Nothing can be written to it.
    pub is_read_only: bool,
    /// A table is loaded and not in force.
    pub has_loaded: bool,
    /// How often it is open: once for a filesystem, however often that is mounted.
    pub open: i32,
}

// linux/dm-ioctl.h; names without their `DM_` and `_FLAG`.
const READONLY: u32 = 1 << 0;
const SUSPEND: u32 = 1 << 1;
const STATUS_TABLE: u32 = 1 << 4;
const INACTIVE_PRESENT: u32 = 1 << 6;
const BUFFER_FULL: u32 = 1 << 8;
const SKIP_LOCKFS: u32 = 1 << 10;
const NOFLUSH: u32 = 1 << 11;
const QUERY_INACTIVE_TABLE: u32 = 1 << 12;

/// How much room an answer gets at first, and the most.
const ROOM: (usize, usize) = (16 << 10, 4 << 20);

impl Control {
    /// The version of a kind of target; nothing where the kernel has none of it, nor a module for it.
    pub fn version_of(&self, kind: &str) -> io::Result<Option<[u32; 3]>> {
        let message = Message::about_target(kind, ROOM.0)?;
        match self.ask(request::get_target_version, message) {
            // struct dm_target_versions: where the next one is, three numbers, the name.
            Ok(answer) => Ok(answer.words().map(|[_, major, minor, patch]| [major, minor, patch])),
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a device is doing; nothing where there is no such mapped device.
    pub fn state(&self, device: Device) -> io::Result<Option<State>> {
        match self.ask(request::dev_status, Message::about(device, 0)) {
            Ok(answer) => Ok(Some(State {
                name: answer.name(),
                uuid: answer.uuid(),
                is_suspended: answer.flags() & SUSPEND != 0,
                is_read_only: answer.flags() & READONLY != 0,
                has_loaded: answer.flags() & INACTIVE_PRESENT != 0,
                open: answer.open_count(),
            })),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A table of a device; empty where it has none.
    pub fn table(&self, device: Device, which: Which) -> io::Result<Vec<Segment>> {
        let which = match which {
            Which::Live => 0,
            Which::Loaded => QUERY_INACTIVE_TABLE,
        };
        let mut room = ROOM.0;
        loop {
            let message = Message::about(device, room).with_flags(STATUS_TABLE | NOFLUSH | which);
            let answer = self.ask(request::table_status, message)?;
            if answer.flags() & BUFFER_FULL == 0 {
                return table::read(&answer);
            }
            room *= 4;
            if room > ROOM.1 {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "its table is too long"));
            }
        }
    }

    /// Loads a table beside the live one, instead of one that is loaded.
    pub fn load(&self, device: Device, table: &[Segment]) -> io::Result<()> {
        self.ask(request::table_load, table::write(device, table)?).map(drop)
    }

    /// Forgets what is loaded and not in force.
    pub fn clear(&self, device: Device) -> io::Result<()> {
        self.ask(request::table_clear, Message::about(device, 0)).map(drop)
    }

    /// Brings what is loaded into force, in one step. Where the kernel cannot, the table in force stays, and what was loaded is
    /// forgotten.
    pub fn swap(&self, device: Device) -> io::Result<()> {
        self.go_on(device).inspect_err(|_| {
            // It may have failed after I/O was held back. What else can be done is up to whoever finds the device suspended.
            let _ = self.clear(device).and_then(|()| self.go_on(device));
        })
    }

    /// Lets I/O go on where it is held back, by the table that is loaded where one is.
    pub fn go_on(&self, device: Device) -> io::Result<()> {
        loop {
            // Without DM_SUSPEND_FLAG the request is one to go on, which exchanges the tables before (do_resume in
            // drivers/md/dm-ioctl.c).
            let message = Message::about(device, 0).with_flags(SKIP_LOCKFS | NOFLUSH);
            match self.ask(request::dev_suspend, message) {
                // By a signal, while it waited for what is under way: the table is loaded still.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                gone_on => return gone_on.map(drop),
            }
        }
    }

    fn ask(
        &self,
        request: unsafe fn(i32, *mut Header) -> nix::Result<i32>,
        mut message: Message,
    ) -> io::Result<Message> {
        debug_assert!(message.len() >= HEADER);
        // SAFETY: the message is as long as it says in its header, which the kernel neither reads nor writes beyond.
        unsafe { request(self.0.as_raw_fd(), message.pointer()) }?;
        Ok(message)
    }
}

/// Whether an answer says that there is no such device.
fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ENXIO as i32)
}

impl From<OwnedFd> for Control {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor.into())
    }
}

impl From<Control> for OwnedFd {
    fn from(control: Control) -> Self {
        control.0.into()
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

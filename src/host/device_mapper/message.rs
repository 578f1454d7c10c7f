//! What is said to device mapper and what it answers, in one piece of memory: a header, and what belongs to it.

use std::io;

use crate::host::block_device::Device;

/// `struct dm_ioctl`. Its length is part of the number of each request.
#[repr(C)]
pub(super) struct Header {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; 128],
    uuid: [u8; 129],
    data: [u8; 7],
}

pub(super) const HEADER: usize = size_of::<Header>();
const _: () = assert!(HEADER == 312);

// Where the kernel has the fields of the header.
const DATA_SIZE: usize = 12;
const DATA_START: usize = 16;
const TARGET_COUNT: usize = 20;
const OPEN_COUNT: usize = 24;
const FLAGS: usize = 28;
const DEV: usize = 40;
const NAME: usize = 48;
const UUID: usize = 176;
const END_OF_UUID: usize = 305;

pub(super) mod request {
    use super::Header;

    nix::ioctl_readwrite!(dev_suspend, 0xfd, 6, Header);
    nix::ioctl_readwrite!(dev_status, 0xfd, 7, Header);
    nix::ioctl_readwrite!(table_load, 0xfd, 9, Header);
    nix::ioctl_readwrite!(table_clear, 0xfd, 10, Header);
    nix::ioctl_readwrite!(table_status, 0xfd, 12, Header);
    nix::ioctl_readwrite!(get_target_version, 0xfd, 17, Header);
}

/// A header and what follows it.
pub(super) struct Message(Vec<u64>);

impl Message {
    /// About a device, with room for an answer of so many bytes.
    pub(super) fn about(device: Device, room: usize) -> Self {
        let mut message = Self(vec![0; (HEADER + room).div_ceil(8)]);
        // The oldest version with everything that is used here.
        message.put(0, &4_u32.to_ne_bytes());
        message.put(DATA_SIZE, &(message.len() as u32).to_ne_bytes());
        message.put(DATA_START, &(HEADER as u32).to_ne_bytes());
        message.put(DEV, &encoded(device).to_ne_bytes());
        message
    }

    /// About a kind of target.
    pub(super) fn about_target(kind: &str, room: usize) -> io::Result<Self> {
        let mut message = Self::about(Device { major: 0, minor: 0 }, room);
        if kind.len() >= UUID - NAME {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        message.put(NAME, kind.as_bytes());
        Ok(message)
    }

    pub(super) fn with_flags(mut self, flags: u32) -> Self {
        self.put(FLAGS, &flags.to_ne_bytes());
        self
    }

    pub(super) fn with_count(mut self, targets: u32) -> Self {
        self.put(TARGET_COUNT, &targets.to_ne_bytes());
        self
    }

    pub(super) fn len(&self) -> usize {
        self.0.len() * 8
    }

    pub(super) fn pointer(&mut self) -> *mut Header {
        self.0.as_mut_ptr().cast()
    }

    /// Writes into what follows the header.
    pub(super) fn put_data(&mut self, at: usize, bytes: &[u8]) {
        self.put(HEADER + at, bytes);
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        for (place, byte) in (at..).zip(bytes) {
            let mut word = self.0[place / 8].to_ne_bytes();
            word[place % 8] = *byte;
            self.0[place / 8] = u64::from_ne_bytes(word);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn word(&self, at: usize) -> u32 {
        let word = self.0[at / 8].to_ne_bytes();
        let half = std::array::from_fn(|byte| word[at % 8 + byte]);
        u32::from_ne_bytes(half)
    }

    pub(super) fn flags(&self) -> u32 {
        self.word(FLAGS)
    }

    pub(super) fn count(&self) -> u32 {
        self.word(TARGET_COUNT)
    }

    pub(super) fn open_count(&self) -> i32 {
        self.word(OPEN_COUNT).cast_signed()
    }

    pub(super) fn name(&self) -> String {
        text(&self.bytes()[NAME..UUID])
    }

    pub(super) fn uuid(&self) -> String {
        text(&self.bytes()[UUID..END_OF_UUID])
    }

    /// What the kernel has answered after the header, as far as it says that there is something.
    pub(super) fn data(&self) -> Vec<u8> {
        let all = self.bytes();
        let end = (self.word(DATA_SIZE) as usize).min(all.len());
        let start = (self.word(DATA_START) as usize).min(end);
        all[start..end].to_vec()
    }

    /// The first four numbers of the answer.
    pub(super) fn words(&self) -> Option<[u32; 4]> {
        let data = self.data();
        let mut words =
            data.chunks_exact(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
        Some([words.next()?, words.next()?, words.next()?, words.next()?])
    }
}

/// As the kernel numbers devices to userspace (huge_encode_dev in linux/kdev_t.h).
fn encoded(device: Device) -> u64 {
    let (major, minor) = (u64::from(device.major), u64::from(device.minor));
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// What comes before the first NUL.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{DEV, Device, FLAGS, HEADER, Message, encoded};

    #[test]
    fn a_device_is_numbered_as_the_kernel_does() {
        assert_eq!(encoded(Device { major: 253, minor: 3 }), 0xfd03);
        assert_eq!(encoded(Device { major: 253, minor: 0x1_02 }), 0x10_fd02);
    }

    #[test]
    fn a_message_says_how_long_it_is_and_what_it_is_about() {
        let message = Message::about(Device { major: 253, minor: 3 }, 100).with_flags(5).with_count(2);
        assert_eq!(message.len(), (HEADER + 100).next_multiple_of(8));
        assert_eq!((message.word(DEV), message.word(FLAGS), message.count()), (0xfd03, 5, 2));
        assert_eq!(message.data().len(), message.len() - HEADER);
        let message = Message::about_target("delay", 0).expect("short enough");
        assert_eq!((message.name(), message.uuid()), ("delay".to_owned(), String::new()));
        assert!(Message::about_target(&"x".repeat(128), 0).is_err());
    }
}

//! A table: the segments of a device and what each is mapped to.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use super::message::{Message, text};
use crate::host::block_device::Device;

/// So many sectors from here on, and what has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// The first sector of the device, of 512 bytes.
    pub start: u64,
    /// How many sectors.
    pub length: u64,
    /// The kind of target.
    pub kind: String,
    /// What the target is told.
    pub arguments: String,
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, length, kind, arguments } = self;
        write!(f, "{start} {length} {kind} {arguments}")
    }
}

/// `struct dm_target_spec` without what follows it: start, length, an unused number, where the next one is, the kind.
const SPEC: usize = 40;
const NEXT: usize = 20;
const KIND: usize = 24;

/// What the kernel has answered.
pub(super) fn read(answer: &Message) -> io::Result<Vec<Segment>> {
    let (data, mut at) = (answer.data(), 0);
    let mut found = Vec::new();
    for _ in 0..answer.count() {
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "its table is malformed");
        let spec = data.get(at..at + SPEC).ok_or_else(malformed)?;
        let long = |at: usize| u64::from_ne_bytes(std::array::from_fn(|byte| spec[at + byte]));
        let next = u32::from_ne_bytes(std::array::from_fn(|byte| spec[NEXT + byte])) as usize;
        let end = next.clamp(at + SPEC, data.len());
        found.push(Segment {
            start: long(0),
            length: long(8),
            kind: text(&spec[KIND..SPEC]),
            arguments: text(&data[at + SPEC..end]),
        });
        // Counted from the first one in an answer, and from this one in a request.
        at = next;
    }
    Ok(found)
}

/// A request to load a table.
pub(super) fn write(device: Device, table: &[Segment]) -> io::Result<Message> {
    let lengths: Vec<usize> =
        table.iter().map(|segment| (SPEC + segment.arguments.len() + 1).next_multiple_of(8)).collect();
    let mut message =
        Message::about(device, lengths.iter().sum()).with_count(table.len().try_into().unwrap_or(u32::MAX));
    let mut at = 0;
    for (segment, length) in table.iter().zip(lengths) {
        if segment.kind.len() >= SPEC - KIND || segment.arguments.contains('\0') {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        message.put_data(at, &segment.start.to_ne_bytes());
        message.put_data(at + 8, &segment.length.to_ne_bytes());
        message.put_data(at + NEXT, &(length as u32).to_ne_bytes());
        message.put_data(at + KIND, segment.kind.as_bytes());
        message.put_data(at + SPEC, segment.arguments.as_bytes());
        at += length;
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::{Device, Segment, read, write};

    #[test]
    fn a_table_is_read_as_it_is_written_where_there_is_one_segment() {
        let segment = Segment {
            start: 0,
            length: 32_768,
            kind: "delay".to_owned(),
            arguments: "7:0 0 0 7:0 0 1500 7:0 0 20".to_owned(),
        };
        let message =
            write(Device { major: 253, minor: 0 }, std::slice::from_ref(&segment)).expect("written");
        assert_eq!(read(&message).expect("read"), std::slice::from_ref(&segment));
        assert_eq!(segment.to_string(), "0 32768 delay 7:0 0 0 7:0 0 1500 7:0 0 20");
        let unsayable = Segment { kind: "x".repeat(16), ..segment };
        assert!(write(Device { major: 253, minor: 0 }, &[unsayable]).is_err());
    }
}

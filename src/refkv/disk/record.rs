//! Framing: length, checksum, bytes. A record is whole or it is not there.

use std::io;

/// Bytes before the payload: its length and its CRC-32, both little-endian.
const HEADER: usize = 8;

/// The CRC-32 of ISO 3309 (polynomial 0x04C11DB7, reflected), as in Ethernet and zip.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8))
}

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// Appends `payload` as one record to `out`. A payload is never empty, because a file that a power cut left longer
/// than its data is full of zeros, and zeros must not read as records.
pub fn write(out: &mut Vec<u8>, payload: &[u8]) {
    assert!(!payload.is_empty(), "an empty payload would look like the zeros after a power cut");
    let length = u32::try_from(payload.len()).expect("no record comes near 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32(payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// The first record of `bytes` and what follows it; `None` if there is no whole record.
pub fn read(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let (length, crc) = header.split_at(4);
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let crc = u32::from_le_bytes(crc.try_into().ok()?);
    let (payload, rest) = rest.split_at_checked(length)?;
    (length > 0 && crc32(payload) == crc).then_some((payload, rest))
}

/// The only record of a file that is replaced as a whole, and what follows it. Such a file is never torn, so
/// anything but a whole record is damage.
pub fn read_whole<'a>(bytes: &'a [u8], file: &str) -> io::Result<(&'a [u8], &'a [u8])> {
    read(bytes).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the file {file:?} is damaged: its checksum is wrong"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_as_the_standard_says() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn reads_no_record_from_any_cut_flipped_or_zeroed_one() {
        let mut bytes = Vec::new();
        write(&mut bytes, b"payload");
        assert_eq!(read(&bytes), Some((&b"payload"[..], &b""[..])));
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), None, "cut at {cut}");
            let mut flipped = bytes.clone();
            flipped[cut] ^= 1;
            assert_eq!(read(&flipped), None, "flipped at {cut}");
        }
        assert_eq!(read(&[0; 64]), None);
    }
}

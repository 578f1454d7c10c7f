//! A journal small enough to be kept by an API server: gzip, cut into pieces.
//!
//! Guarantees: what is unpacked is what was packed, byte by byte, or an error; nothing is unpacked beyond the size that
//! was told for it.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// The largest piece. A ConfigMap holds a mebibyte altogether.
pub const PIECE: usize = 900 * 1024;
/// How many pieces a journal may have.
pub const MOST_PIECES: usize = 16;

/// Why a journal cannot be packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It does not fit.
    #[error(
        "it has {} MiB, compressed {} MiB, and {} MiB can be kept",
        bytes >> 20, compressed >> 20, (PIECE * MOST_PIECES) >> 20
    )]
    TooLarge {
        /// Before compression.
        bytes: usize,
        /// After it.
        compressed: usize,
    },
    /// It could not be compressed.
    #[error("it cannot be compressed")]
    Compress(#[source] std::io::Error),
    /// The pieces are not what was packed.
    #[error("it cannot be decompressed")]
    Decompress(#[source] std::io::Error),
    /// Its size is another one.
    #[error("it has {found} bytes, and {told} were kept: a piece is missing or was changed")]
    Size {
        /// What was found.
        found: usize,
        /// What it should be.
        told: u64,
    },
}

/// Compresses a journal and cuts it into pieces.
pub fn pack(journal: &[u8]) -> Result<Vec<Vec<u8>>, ArchiveError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let compressed =
        encoder.write_all(journal).and_then(|()| encoder.finish()).map_err(ArchiveError::Compress)?;
    if compressed.len() > PIECE * MOST_PIECES {
        return Err(ArchiveError::TooLarge { bytes: journal.len(), compressed: compressed.len() });
    }
    Ok(compressed.chunks(PIECE).map(<[u8]>::to_vec).collect())
}

/// The journal of `bytes` bytes whose pieces these are, in order.
pub fn unpack(pieces: &[Vec<u8>], bytes: u64) -> Result<Vec<u8>, ArchiveError> {
    let compressed = pieces.concat();
    let mut journal = Vec::new();
    GzDecoder::new(compressed.as_slice())
        .take(bytes.saturating_add(1))
        .read_to_end(&mut journal)
        .map_err(ArchiveError::Decompress)?;
    if journal.len() as u64 == bytes {
        Ok(journal)
    } else {
        Err(ArchiveError::Size { found: journal.len(), told: bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that cannot be compressed much.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn what_is_unpacked_is_what_was_packed() {
        for journal in [Vec::new(), b"{}\n".to_vec(), noise(PIECE * 2 + 7)] {
            let pieces = pack(&journal).expect("it fits");
            assert!(pieces.iter().all(|piece| piece.len() <= PIECE));
            assert_eq!(unpack(&pieces, journal.len() as u64).expect("nothing was changed"), journal);
        }
    }

    #[test]
    fn says_that_a_journal_is_too_large_to_be_kept() {
        let text = pack(&noise(PIECE * MOST_PIECES + 1)).expect_err("it does not fit").to_string();
        assert_eq!(text, "it has 14 MiB, compressed 14 MiB, and 14 MiB can be kept");
    }

    #[test]
    fn refuses_pieces_that_are_missing_or_more_than_was_told() {
        let journal = noise(PIECE * 2);
        let mut pieces = pack(&journal).expect("it fits");
        assert!(matches!(unpack(&pieces, 5), Err(ArchiveError::Size { found: 6, told: 5 })));
        pieces.pop();
        assert!(unpack(&pieces, journal.len() as u64).is_err());
    }
}

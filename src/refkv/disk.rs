//! What a member keeps on its disk, so that it survives a power cut at any moment.
//!
//! ```text
//! data/log-00000000000000000001   records of the log, append only; the last file is written to
//! data/vote                       term and vote, replaced as a whole
//! data/snapshot                   the state as of some entry, replaced as a whole
//! data/fresh                      exists until a member that came with an empty disk has caught up
//! ```
//!
//! Promises: what was answered as durable is there after the power came back; a record that was being written when
//! it went is dropped as a whole; a damaged record anywhere else is an error and never silently skipped. After one
//! failed write or sync nothing is written any more, because the kernel may have dropped the pages that it could
//! not write (fsync(2), "EIO"): the member stops and starts again from what is really there.

pub mod fresh;
pub mod log;
pub mod record;
pub mod replace;
pub mod segments;
pub mod writer;

#[cfg(test)]
mod tests;

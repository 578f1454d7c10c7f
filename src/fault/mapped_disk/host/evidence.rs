//! What shows that requests to a device were delayed or failed.
//!
//! What the kernel counts as completed shows it of most kinds of requests, and then those of the member do. Flushes are counted
//! as writes, and reads that fail are not counted by every kernel; so one of those is made that is known to be one.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::tables::Meets;
use crate::api::counted;
use crate::fault::host::Volume;
use crate::host::block_device::{Completed, Device};
use crate::host::room::unnamed;

/// What has been seen of one device.
pub(super) struct Evidence {
    /// What it had completed when this began.
    before: Completed,
    /// A request of a kind that is meant has been seen to be hit.
    pub is_seen: bool,
    /// The request that is made now.
    probe: Option<Receiver<io::Result<Option<String>>>>,
    /// How one was hit that was made.
    hit: Option<String>,
}

impl Evidence {
    pub(super) fn begin(device: Device) -> io::Result<Self> {
        Ok(Self { before: device.completed()?, is_seen: false, probe: None, hit: None })
    }

    /// Looks at what was completed since, and tells it.
    pub(super) fn look(&mut self, meets: Meets, device: Device, volume: &Volume) -> io::Result<String> {
        let new = since(self.before, device.completed()?);
        self.is_seen |= shows(meets, new);
        if !self.is_seen && is_tried(meets) {
            self.try_one(meets, device, volume)?;
            self.is_seen |= self.hit.is_some();
        }
        let told = told(meets, new).into_iter().chain(self.hit.clone()).collect::<Vec<_>>();
        Ok(told.join(", "))
    }

    /// Makes a request, unless one is under way. It is waited for elsewhere.
    fn try_one(&mut self, meets: Meets, device: Device, volume: &Volume) -> io::Result<()> {
        if let Some(probe) = &self.probe {
            match probe.try_recv() {
                Ok(hit) => self.hit = hit?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => {}
            }
        }
        if self.hit.is_some() {
            return Ok(());
        }
        let (done, answer) = channel();
        let volume = volume.clone();
        std::thread::Builder::new().name("probe".to_owned()).spawn(move || {
            let hit = match meets {
                Meets::Delay { flush, .. } => sync(&volume, flush),
                Meets::Error { .. } => read(device).map(Some),
            };
            // Nobody listens any more where the fault is over.
            let _ = done.send(hit);
        })?;
        self.probe = Some(answer);
        Ok(())
    }
}

/// Whether a request has to be made of which it is known what it is.
fn is_tried(meets: Meets) -> bool {
    match meets {
        Meets::Delay { flush, .. } => !flush.is_zero(),
        Meets::Error { .. } => meets.fails_reads(),
    }
}

/// Whether a sync takes as long as a flush shall.
fn sync(volume: &Volume, flush: Duration) -> io::Result<Option<String>> {
    let root = volume.reopen()?.ok_or(io::ErrorKind::NotFound)?;
    let file = with_something_to_sync(root)?;
    let since = Instant::now();
    file.sync_all()?;
    let took = since.elapsed();
    Ok((took >= flush).then(|| format!("a sync took {:.1} ms", millis(took))))
}

/// A new file where there can be one: xfs flushes nothing for a folder in which nothing has changed.
fn with_something_to_sync(root: File) -> io::Result<File> {
    match unnamed(&root) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::StorageFull) =>
        {
            Ok(root)
        }
        made => made,
    }
}

/// Has a read of the device fail.
fn read(device: Device) -> io::Result<String> {
    match device.read_last_block() {
        Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => {
            Ok("a read was answered with EIO".to_owned())
        }
        Err(error) => Err(error),
        Ok(()) => Err(io::Error::other("a read of it succeeded, where all shall fail")),
    }
}

fn since(before: Completed, now: Completed) -> Completed {
    Completed {
        reads: now.reads.saturating_sub(before.reads),
        reading: now.reading.saturating_sub(before.reading),
        writes: now.writes.saturating_sub(before.writes),
        writing: now.writing.saturating_sub(before.writing),
    }
}

/// Whether what was completed shows it. Flushes are among the writes, and take no time where they are not meant; so of
/// writes only the time of a whole delay is looked for, and of flushes alone nothing. Of reads that fail nothing is.
fn shows(meets: Meets, new: Completed) -> bool {
    match meets {
        Meets::Delay { read, write, flush: _ } => {
            (!read.is_zero() && new.reads > 0 && new.reading >= read)
                || (!write.is_zero() && new.writes > 0 && new.writing >= write)
        }
        // The table has no way by which one of them could succeed.
        Meets::Error { reads, writes } => !reads && writes && new.writes > 0,
    }
}

fn told(meets: Meets, new: Completed) -> Option<String> {
    match meets {
        Meets::Delay { read, write, flush } => Some(format!(
            "{} took {:.1} ms in the mean where {} ms more were asked for, {} {:.1} ms where {} ms (and {} ms of a flush) were",
            counted(new.reads, "read"),
            mean(new.reading, new.reads),
            read.as_millis(),
            counted(new.writes, "write"),
            mean(new.writing, new.writes),
            write.as_millis(),
            flush.as_millis(),
        )),
        // Where all fail, not every kernel counts them.
        Meets::Error { writes, .. } => {
            (writes && new.writes > 0).then(|| format!("{} answered with EIO", counted(new.writes, "write")))
        }
    }
}

fn mean(time: Duration, count: u64) -> f64 {
    millis(time) / count.max(1) as f64
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Completed, Meets, shows};

    #[test]
    fn only_a_request_of_a_kind_that_is_meant_shows_anything() {
        let milli = Duration::from_millis;
        let new = |reads, reading, writes, writing| Completed {
            reads,
            reading: milli(reading),
            writes,
            writing: milli(writing),
        };
        let delay =
            |read, write, flush| Meets::Delay { read: milli(read), write: milli(write), flush: milli(flush) };
        assert!(shows(delay(50, 0, 0), new(1, 50, 0, 0)) && !shows(delay(50, 0, 0), new(1, 49, 9, 900)));
        assert!(shows(delay(0, 50, 0), new(0, 0, 4, 52)) && !shows(delay(0, 50, 0), new(9, 900, 4, 49)));
        assert!(!shows(delay(0, 0, 50), new(9, 900, 9, 900)), "which of them are flushes is not known");
        let error = |reads, writes| Meets::Error { reads, writes };
        assert!(shows(error(false, true), new(0, 0, 1, 0)) && !shows(error(false, true), new(5, 0, 0, 0)));
        assert!(!shows(error(true, false), new(5, 0, 5, 0)) && !shows(error(true, true), new(5, 0, 5, 0)));
    }
}

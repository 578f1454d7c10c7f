//! What shows that requests to a device were delayed or failed.

use std::io;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use super::tables::Meets;
use crate::fault::host::Volume;
use crate::host::block_device::{Completed, Device};

/// What has been seen of one device.
pub(super) struct Evidence {
    /// What it had completed when this began.
    before: Completed,
    /// A request of a kind that is meant has been seen to be hit.
    pub is_seen: bool,
    probe: Option<Receiver<io::Result<Duration>>>,
    /// How long the volume's folder took to be synced, where that was tried.
    synced: Option<Duration>,
}

impl Evidence {
    pub(super) fn begin(device: Device) -> io::Result<Self> {
        Ok(Self { before: device.completed()?, is_seen: false, probe: None, synced: None })
    }

    /// Looks at what was completed since, and tells it.
    pub(super) fn look(&mut self, meets: Meets, device: Device, volume: &Volume) -> io::Result<String> {
        let new = since(self.before, device.completed()?);
        self.is_seen |= shows(meets, new);
        if let Meets::Delay { flush, .. } = meets
            && !flush.is_zero()
            && !self.is_seen
        {
            self.try_a_sync(volume)?;
            self.is_seen |= self.synced.is_some_and(|took| took >= flush);
        }
        let synced = self.synced.map(|took| format!(", a sync of its folder took {:.1} ms", millis(took)));
        Ok(format!("{}{}", told(meets, new), synced.unwrap_or_default()))
    }

    /// Flushes are among the writes that are counted, so that one is made which is known to be one. It is waited for
    /// elsewhere.
    fn try_a_sync(&mut self, volume: &Volume) -> io::Result<()> {
        if let Some(probe) = &self.probe {
            match probe.try_recv() {
                Ok(took) => self.synced = Some(took?),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => {}
            }
        }
        let (done, answer) = channel();
        let volume = volume.clone();
        std::thread::Builder::new().name("probe".to_owned()).spawn(move || {
            // Nobody listens any more where the fault is over.
            let _ = done.send(sync_folder(&volume));
        })?;
        self.probe = Some(answer);
        Ok(())
    }
}

fn sync_folder(volume: &Volume) -> io::Result<Duration> {
    let root = volume.reopen()?.ok_or(io::ErrorKind::NotFound)?;
    let since = Instant::now();
    root.sync_all()?;
    Ok(since.elapsed())
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
/// writes only the time of a whole delay is looked for, and of flushes alone nothing.
fn shows(meets: Meets, new: Completed) -> bool {
    match meets {
        Meets::Delay { read, write, flush: _ } => {
            (!read.is_zero() && new.reads > 0 && new.reading >= read)
                || (!write.is_zero() && new.writes > 0 && new.writing >= write)
        }
        // The table has no way by which one of them could succeed.
        Meets::Error { reads, writes } => (reads && new.reads > 0) || (writes && new.writes > 0),
    }
}

fn told(meets: Meets, new: Completed) -> String {
    match meets {
        Meets::Delay { read, write, flush } => format!(
            "{} reads took {:.1} ms in the mean where {} ms more were asked for, {} writes {:.1} ms where {} ms (and {} ms of a flush) were",
            new.reads,
            mean(new.reading, new.reads),
            read.as_millis(),
            new.writes,
            mean(new.writing, new.writes),
            write.as_millis(),
            flush.as_millis(),
        ),
        Meets::Error { reads, writes } => {
            let failed = |is_meant, count| if is_meant { count } else { 0 };
            format!(
                "{} reads and {} writes answered with EIO",
                failed(reads, new.reads),
                failed(writes, new.writes)
            )
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
        assert!(shows(error(true, false), new(1, 0, 0, 0)) && !shows(error(true, false), new(0, 0, 5, 0)));
    }
}

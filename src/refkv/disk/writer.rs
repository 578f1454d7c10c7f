//! The one thread that writes: in the order in which it is asked, one sync for everything that waits.
//!
//! A stalled disk stalls this thread and nothing else, so that the member can still say that it is alive.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::replace;
use super::segments::Segments;

/// How long the bug `ack-before-fsync` leaves acknowledged entries unsynced.
const LAZY_SYNC: Duration = Duration::from_secs(30);

/// Told when the work is durable, or why it never will be.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Something to write.
pub enum Work {
    /// Whole records for the log.
    Records {
        /// The records.
        bytes: Vec<u8>,
        /// The highest index among the entries in them.
        highest: Option<u64>,
        /// When they have to be on the disk.
        sync: Sync,
    },
    /// Replaces the vote.
    Vote(Vec<u8>),
    /// A record that says that entries up to an index are gone, after which their files can go.
    Purge {
        /// The record.
        bytes: Vec<u8>,
        /// The index.
        upto: u64,
    },
}

/// When records have to be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Together with whatever is synced next.
    WithNext,
    /// Before they are answered, unless the bug `ack-before-fsync` is on.
    BeforeAnswer,
    /// Before they are answered, in any case.
    Always,
}

/// Whether answers wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Honesty {
    /// They do.
    Honest,
    /// The bug `ack-before-fsync`.
    AcknowledgesBeforeSync,
}

/// Hands work to the thread.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<(Work, Done)>,
}

impl Writer {
    /// Starts the thread. It ends when the last handle is gone.
    pub fn start(folder: PathBuf, segments: Segments, honesty: Honesty) -> io::Result<Self> {
        let (queue, waiting) = mpsc::channel();
        let mut thread = Thread { folder, segments, honesty, synced_at: Instant::now(), failed: None };
        std::thread::Builder::new().name("refkv-log".to_owned()).spawn(move || thread.run(&waiting))?;
        Ok(Self { queue })
    }

    /// Asks for `work`; `done` is called on the thread.
    pub fn write(&self, work: Work, done: Done) {
        if let Err(mpsc::SendError((_, done))) = self.queue.send((work, done)) {
            done(Err(io::Error::other("the thread that writes the log has ended")));
        }
    }

    /// Asks for `work` and waits until it is durable.
    pub async fn finish(&self, work: Work) -> io::Result<()> {
        let (tell, told) = tokio::sync::oneshot::channel();
        // Nobody waits any more if the member is shutting down.
        self.write(work, Box::new(|result| drop(tell.send(result))));
        told.await.unwrap_or_else(|_| Err(io::Error::other("the thread that writes the log has ended")))
    }
}

struct Thread {
    folder: PathBuf,
    segments: Segments,
    honesty: Honesty,
    synced_at: Instant,
    /// The first error, after which nothing is written any more.
    failed: Option<(io::ErrorKind, String)>,
}

impl Thread {
    fn run(&mut self, queue: &mpsc::Receiver<(Work, Done)>) {
        while let Ok(first) = queue.recv() {
            let mut answers = Vec::new();
            let mut wanted = Sync::WithNext;
            let mut removable = None;
            for (work, done) in std::iter::once(first).chain(queue.try_iter()) {
                match self.write(work, &mut wanted, &mut removable) {
                    Ok(()) => answers.push(done),
                    Err(error) => done(Err(self.fail(&error))),
                }
            }
            let result = self.sync(wanted).and_then(|()| match removable {
                Some(upto) => self.segments.remove_upto(upto),
                None => Ok(()),
            });
            let result = result.map_err(|error| self.fail(&error)).and_then(|()| self.check());
            for done in answers {
                done(
                    result.as_ref().copied().map_err(|error| io::Error::new(error.kind(), error.to_string())),
                );
            }
        }
    }

    fn write(&mut self, work: Work, wanted: &mut Sync, removable: &mut Option<u64>) -> io::Result<()> {
        self.check()?;
        match work {
            Work::Records { bytes, highest, sync } => {
                if *wanted == Sync::WithNext || sync == Sync::Always {
                    *wanted = sync;
                }
                self.segments.append(&bytes, highest)
            }
            Work::Vote(bytes) => replace::replace(&self.folder, "vote", &bytes),
            Work::Purge { bytes, upto } => {
                *wanted = Sync::Always;
                *removable = Some(upto);
                self.segments.append(&bytes, None)
            }
        }
    }

    fn sync(&mut self, wanted: Sync) -> io::Result<()> {
        let is_needed = match (wanted, self.honesty) {
            (Sync::WithNext, _) => false,
            (Sync::BeforeAnswer, Honesty::AcknowledgesBeforeSync) => self.synced_at.elapsed() >= LAZY_SYNC,
            (Sync::BeforeAnswer, Honesty::Honest) | (Sync::Always, _) => true,
        };
        if is_needed {
            self.segments.sync()?;
            self.synced_at = Instant::now();
        }
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        self.failed.as_ref().map_or(Ok(()), |(kind, text)| Err(io::Error::new(*kind, text.clone())))
    }

    fn fail(&mut self, error: &io::Error) -> io::Error {
        let (kind, text) = self.failed.get_or_insert_with(|| (error.kind(), error.to_string()));
        io::Error::new(*kind, text.clone())
    }
}

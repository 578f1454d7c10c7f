//! Freezes in pulses, on a thread of its own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Error, Grip, Target};
use crate::api::Pulses;

/// What pulses did so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// How many are over.
    pub pulses: u64,
    /// How long they lasted together.
    pub frozen: Duration,
    /// How long it has been going on.
    pub all: Duration,
    /// The most threads that were seen waiting at once.
    pub most: usize,
    /// Why there are no more.
    failure: Option<String>,
}

/// Makes pulses until it is dropped, and leaves nothing frozen.
pub(super) struct Pulser {
    tally: Arc<Mutex<Tally>>,
    /// Dropped in order to end it.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pulser {
    pub(super) fn start(grip: &Grip, target: &Target, pulses: Pulses) -> Result<Self, Error> {
        let (grip, target) = (grip.try_clone().map_err(Error::Ledger)?, target.clone());
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (stop, stopped) = channel();
        let told = Arc::clone(&tally);
        let thread = std::thread::Builder::new().name("pulses".to_owned()).spawn(move || {
            let failure = pulse(&grip, &target, pulses, &told, &stopped).err();
            // What could not be thawed here is thawed by the revert.
            let thawed = grip.thaw(&target.volumes).err();
            told.lock().unwrap_or_else(PoisonError::into_inner).failure =
                failure.or(thawed).map(|error| error.to_string());
        });
        Ok(Self { tally, stop: Some(stop), thread: Some(thread.map_err(Error::Ledger)?) })
    }

    /// What it did so far, or why it does nothing more.
    pub(super) fn tally(&self) -> Result<Tally, String> {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match tally.failure {
            Some(failure) => Err(failure),
            None => Ok(tally),
        }
    }
}

impl Drop for Pulser {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has frozen something at most, which the revert thaws.
            let _ = thread.join();
        }
    }
}

fn pulse(
    grip: &Grip,
    target: &Target,
    pulses: Pulses,
    told: &Mutex<Tally>,
    stopped: &Receiver<()>,
) -> Result<(), Error> {
    let began = Instant::now();
    loop {
        grip.freeze(&target.volumes)?;
        let since = Instant::now();
        let is_over = waits(stopped, pulses.frozen);
        let waiting = target.waiting();
        grip.thaw(&target.volumes)?;
        {
            let mut tally = told.lock().unwrap_or_else(PoisonError::into_inner);
            tally.pulses += 1;
            tally.frozen += since.elapsed();
            tally.all = began.elapsed();
            tally.most = tally.most.max(waiting);
        }
        if is_over || waits(stopped, pulses.gap) {
            return Ok(());
        }
    }
}

/// Waits, for less where it is to end; whether it is.
fn waits(stopped: &Receiver<()>, time: Duration) -> bool {
    !matches!(stopped.recv_timeout(time), Err(RecvTimeoutError::Timeout))
}

//! The runtime of commands that wait for something.

use tokio::sync::mpsc;

use crate::run::Stop;

/// Runs a future on a runtime of its own.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let done = runtime.block_on(work);
    // What still waits for a peer that is gone must not keep the command from ending.
    runtime.shutdown_background();
    done
}

/// A message for each Ctrl-C or SIGTERM.
pub(super) fn interrupts() -> mpsc::Receiver<Stop> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            tracing::warn!("signals cannot be heard: Ctrl-C will end the run at once");
            return;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send(Stop::Interrupt).await.is_err() {
                return;
            }
        }
    });
    receiver
}

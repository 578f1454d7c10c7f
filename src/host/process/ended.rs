//! The end of a process as something to await.

use std::io;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::PidFd;

/// Resolves when the process has ended, reaped or not.
#[derive(Debug)]
pub struct Ended(AsyncFd<PidFd>);

impl Ended {
    /// Must be called inside a tokio runtime.
    pub fn new(handle: PidFd) -> io::Result<Self> {
        // SAFETY: a PidFd owns its descriptor, keeps it open until it is dropped, and always tells the same number.
        let registered = unsafe { AsyncFd::register_with_interest(handle, Interest::READABLE) };
        registered.map(Self).map_err(|error| error.into_parts().1)
    }

    /// Waits for the end.
    pub async fn wait(&self) {
        // A pidfd becomes readable when its process ends and stays so (pidfd_open(2)). An error can only mean that the
        // runtime ends, and with it whoever waits.
        if self.0.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

//! Waits for the end of processes.

use futures::FutureExt;
use futures::future::select_all;

use crate::host::process::ProcessId;
use crate::host::process::ended::Ended;

/// Some processes whose end is awaited.
pub(super) struct Watch(Vec<Ended>);

impl Watch {
    /// Watches those that live.
    pub(super) fn new(processes: &[ProcessId]) -> Self {
        let handles = processes.iter().filter_map(|process| process.open().ok().flatten());
        Self(handles.filter_map(|handle| Ended::new(handle).ok()).collect())
    }

    /// How many are left to wait for.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Waits until the next of them has ended, each of which is told once; for ever where none is left.
    pub(super) async fn next_end(&mut self) {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        let ((), ended, _) = select_all(self.0.iter().map(|process| process.wait().boxed())).await;
        self.0.swap_remove(ended);
    }
}

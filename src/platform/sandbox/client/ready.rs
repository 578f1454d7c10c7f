//! Whether all pods of a sandbox are ready, and if not, why.

use std::time::Duration;

use futures::future::try_join_all;
use tokio::sync::watch;

use super::gone;
use crate::api::Snapshot;
use crate::platform::PlatformError;

/// Waits until every ordinal of each set is ready; otherwise says which containers wait for what.
pub(super) async fn wait(sets: Vec<watch::Receiver<Snapshot>>, limit: Duration) -> Result<(), PlatformError> {
    let mut waiting = sets.clone();
    let is_ready = |now: &Snapshot| now.ready() == now.replicas as usize;
    // What is waited for is not looked at: whoever looks keeps others from changing it.
    let all = waiting.iter_mut().map(|set| async { set.wait_for(is_ready).await.map(drop) });
    match tokio::time::timeout(limit, try_join_all(all)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(PlatformError::Unreachable(gone().to_string())),
        Err(_) => {
            let waiting: Vec<String> = sets.iter().flat_map(|set| describe(&set.borrow())).collect();
            let (limit, waiting) = (limit.as_secs(), waiting.join("; "));
            Err(PlatformError::Refused(format!("not ready within {limit} s: {waiting}")))
        }
    }
}

/// Which pods are not ready, and which of their containers wait for what.
fn describe(snapshot: &Snapshot) -> Vec<String> {
    let missing = snapshot.ordinals().filter(|&ordinal| !snapshot.pod(ordinal).is_some_and(|pod| pod.ready));
    let described = missing.map(|ordinal| {
        let Some(pod) = snapshot.pod(ordinal) else {
            return format!("{}-{ordinal} does not exist yet", snapshot.name);
        };
        let containers = pod.containers.iter().filter(|container| !container.ready);
        let waits = containers.map(|container| {
            let why = container.waiting.as_deref().unwrap_or("runs, its readiness probe fails");
            format!("{}: {why}", container.name)
        });
        format!("{} ({})", pod.name, waits.collect::<Vec<_>>().join(", "))
    });
    described.collect()
}

//! The further StatefulSets that steps act on, as the platform shows them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::api::Snapshot;
use crate::platform::Cluster;

/// Those that there are, by name, and their changes.
pub(super) struct Others {
    pub(super) first: Vec<Snapshot>,
    changes: mpsc::Receiver<Change>,
}

/// A newer snapshot; nothing where the platform is gone.
pub(super) type Change = Option<Snapshot>;

impl Others {
    /// Follows each of them until nobody listens.
    pub(super) fn follow(clusters: &BTreeMap<String, Arc<dyn Cluster>>) -> Self {
        let (tell, changes) = mpsc::channel(16);
        let follow = |cluster: &Arc<dyn Cluster>| {
            let mut snapshots = cluster.snapshots();
            let first = snapshots.borrow_and_update().clone();
            tokio::spawn(forward(snapshots, tell.clone()));
            first
        };
        Self { first: clusters.values().map(follow).collect(), changes }
    }

    /// The next change; never where there is no further set.
    pub(super) async fn changed(&mut self) -> Option<Change> {
        self.changes.recv().await
    }
}

async fn forward(mut snapshots: watch::Receiver<Snapshot>, tell: mpsc::Sender<Change>) {
    loop {
        let changed = tokio::select! {
            changed = snapshots.changed() => changed,
            () = tell.closed() => return,
        };
        let now = changed.is_ok().then(|| snapshots.borrow_and_update().clone());
        let is_gone = now.is_none();
        if tell.send(now).await.is_err() || is_gone {
            return;
        }
    }
}

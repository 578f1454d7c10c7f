//! The StatefulSet controller: which ordinals have a pod.
//!
//! As in Kubernetes, ordered start means that an ordinal whose pod is missing gets one only when every ordinal before
//! it is ready (and has been for `minReadySeconds`), at the first start as well as after a deletion. Pods that are not asked
//! for any more end from the highest one on, each when the one above it is gone; in an ordered set only while all others
//! are ready. Their claims stay.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::board::Availability;
use super::pod;
use super::pod_spec::StartOrder;
use super::set::Set;
use crate::api::Ordinal;

/// A wish to delete the pod of an ordinal.
pub struct Deletion {
    ordinal: Ordinal,
    grace: Option<Duration>,
    taken: oneshot::Sender<bool>,
}

impl Deletion {
    /// The wish, and whether there was such a pod.
    pub fn new(ordinal: Ordinal, grace: Option<Duration>) -> (Self, oneshot::Receiver<bool>) {
        let (taken, answer) = oneshot::channel();
        (Self { ordinal, grace, taken }, answer)
    }
}

/// Ends pods that are not asked for any more: in order the highest one, and the next one when that is gone; else all.
fn scale_down(
    set: &Set,
    pods: &BTreeMap<Ordinal, watch::Sender<pod::Deadline>>,
    wanted: &Range<Ordinal>,
    now: Instant,
) {
    let surplus = pods.iter().rev().filter(|(ordinal, _)| !wanted.contains(ordinal));
    let at_once = match set.spec.start {
        StartOrder::Ordered => 1,
        StartOrder::Parallel => usize::MAX,
    };
    for (_, pod) in surplus.take(at_once) {
        let ends = now + set.spec.pod.grace;
        pod.send_if_modified(|deadline| {
            let is_new = deadline.is_none();
            deadline.get_or_insert(ends);
            is_new
        });
    }
}

/// Keeps the StatefulSet as it is asked for, for ever.
pub async fn run(set: Arc<Set>, mut deletions: mpsc::Receiver<Deletion>) {
    let mut pods: BTreeMap<Ordinal, watch::Sender<pod::Deadline>> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut snapshots = set.board.snapshots();
    loop {
        snapshots.mark_unchanged();
        let now = Instant::now();
        let mut wake = None;
        let wanted = set.ordinals();
        let mut are_all_available = true;
        for ordinal in wanted.clone() {
            pods.entry(ordinal).or_insert_with(|| {
                let (deletion, deleted) = watch::channel(None);
                let set = Arc::clone(&set);
                tasks.spawn(async move {
                    pod::run(set, ordinal, deleted).await;
                    ordinal
                });
                deletion
            });
            if set.spec.start == StartOrder::Parallel {
                continue;
            }
            match set.board.availability(ordinal, now) {
                Availability::Now => {}
                Availability::At(time) => {
                    wake = Some(time);
                    are_all_available = false;
                    break;
                }
                Availability::No => {
                    are_all_available = false;
                    break;
                }
            }
        }
        if are_all_available {
            scale_down(&set, &pods, &wanted, now);
        }
        let woken = async {
            match wake {
                Some(time) => tokio::time::sleep_until(time.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = tasks.join_next() => match ended {
                Ok(ordinal) => {
                    pods.remove(&ordinal);
                }
                Err(error) => tracing::error!(%error, "a pod's task broke"),
            },
            Some(Deletion { ordinal, grace, taken }) = deletions.recv() => {
                let pod = pods.get(&ordinal);
                if let Some(pod) = pod {
                    let ends = now + grace.unwrap_or(set.spec.pod.grace);
                    // A later wish can only shorten the grace.
                    pod.send_modify(|deadline| *deadline = Some(deadline.map_or(ends, |known| known.min(ends))));
                }
                let _ = taken.send(pod.is_some());
            }
            _ = snapshots.changed() => {}
            () = woken => {}
        }
    }
}

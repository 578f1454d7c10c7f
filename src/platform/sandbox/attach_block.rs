//! `volumeAttachBlock` in a sandbox: volumes are unmounted with their pods, and the mount for the next pods is held.
//!
//! As in a cluster the pods of the chosen ordinals are deleted, and what replaces them waits for its volumes. Here the
//! kubelet's own mount step is what is held, because nothing attaches. It is known to init alone, so that nothing of it can
//! outlive the sandbox; at its deadline it lapses by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::time::{sleep_until, timeout};

use super::board::Board;
use super::pod::Deadline;
use super::pod_spec::StartOrder;
use super::set::Set;
use crate::api::{InjectionSpec, Ordinal, Snapshot};
use crate::platform::proving::Proving;

/// How often the proof is renewed.
const LOOK: Duration = Duration::from_secs(1);
/// How long a revert waits for the mounts.
const MOUNT: Duration = Duration::from_secs(20);

/// Whose volumes are held, and by which Injections.
#[derive(Debug, Default)]
pub struct Held {
    blocks: watch::Sender<BTreeMap<String, BTreeSet<Ordinal>>>,
    /// Pods that wait by now, with their UIDs.
    waiting: watch::Sender<BTreeMap<Ordinal, String>>,
}

impl Held {
    /// Waits until nobody holds the volumes of this pod, or it is deleted.
    pub async fn wait(
        &self,
        board: &Board,
        ordinal: Ordinal,
        uid: &str,
        deletion: &mut watch::Receiver<Deadline>,
    ) {
        let mut blocks = self.blocks.subscribe();
        let holder = blocks.borrow_and_update().iter().find(|(_, held)| held.contains(&ordinal)).map(name);
        let Some(holder) = holder else { return };
        board.update(ordinal, |entry| {
            for status in &mut entry.pod.containers {
                status.waiting = Some(format!("ContainerCreating (FailedAttachVolume: held by {holder})"));
            }
        });
        self.waiting.send_modify(|waiting| {
            waiting.insert(ordinal, uid.to_owned());
        });
        let is_free = |blocks: &BTreeMap<String, BTreeSet<Ordinal>>| {
            !blocks.values().any(|held| held.contains(&ordinal))
        };
        tokio::select! {
            _ = blocks.wait_for(is_free) => {}
            _ = deletion.wait_for(Option::is_some) => {}
        }
        self.waiting.send_modify(|waiting| {
            waiting.remove(&ordinal);
        });
    }
}

fn name((injection, _): (&String, &BTreeSet<Ordinal>)) -> String {
    injection.clone()
}

/// Holds the volumes of these ordinals until it is asked back or over, and says what it sees.
pub async fn hold(
    set: Arc<Set>,
    spec: InjectionSpec,
    ordinals: BTreeSet<Ordinal>,
    mut asked_back: oneshot::Receiver<()>,
) {
    let mut proving = Proving::default();
    let ends = Instant::now() + spec.deadline.within;
    let held = &set.held;
    let before = set.board.snapshots().borrow().clone();
    held.blocks.send_modify(|blocks| {
        blocks.insert(spec.name.clone(), ordinals.clone());
    });
    for &ordinal in &ordinals {
        let _taken = set.delete(ordinal, None).await;
    }
    let mut waiting = held.waiting.subscribe();
    let mut away: Option<Instant> = None;
    loop {
        let missing = {
            let now = set.board.snapshots().borrow().clone();
            missing(&ordinals, &before, &now, set.spec.start, &waiting.borrow_and_update())
        };
        if missing.is_empty() {
            away.get_or_insert_with(Instant::now);
            let waiting = waiting.borrow();
            let there = ordinals.iter().filter(|ordinal| waiting.contains_key(ordinal)).copied().collect();
            proving.holds(told(&there, &before.name, "waits for its volume, which is not mounted"));
        } else {
            proving.misses(told(&missing, &before.name, "does not wait for its volume yet"));
        }
        set.world.injections.report(&spec.name, proving.status());
        tokio::select! {
            biased;
            _ = &mut asked_back => break,
            () = sleep_until(ends.into()) => break,
            _ = timeout(LOOK, waiting.changed()) => {}
        }
    }
    held.blocks.send_modify(|blocks| {
        blocks.remove(&spec.name);
    });
    let freed = Instant::now();
    let mut snapshots = set.board.snapshots();
    let are_back = |now: &Snapshot| {
        let has_volumes = |ordinal: &Ordinal| set.board.located(*ordinal).is_some();
        now.ordinals().filter(|ordinal| ordinals.contains(ordinal)).all(|ordinal| has_volumes(&ordinal))
    };
    let is_mounted = timeout(MOUNT, snapshots.wait_for(are_back)).await.is_ok();
    let outcome = away.filter(|_| is_mounted).map(|away| {
        let (blocked, mounted) = (freed - away, freed.elapsed());
        format!(
            "the volumes were away for {:.1} s and mounted {:.1} s later",
            blocked.as_secs_f64(),
            mounted.as_secs_f64()
        )
    });
    proving.taken_back(outcome);
    set.world.injections.report(&spec.name, proving.status());
}

/// Who has the pod of before, or one that does not wait. In order a pod is made when the one before it is Ready: one that
/// is not made because another waits has no volume either.
fn missing(
    ordinals: &BTreeSet<Ordinal>,
    before: &Snapshot,
    now: &Snapshot,
    order: StartOrder,
    waiting: &BTreeMap<Ordinal, String>,
) -> BTreeSet<Ordinal> {
    let is_new = |ordinal: Ordinal, uid: &String| before.pod(ordinal).is_none_or(|pod| pod.uid != *uid);
    let waits = |ordinal: Ordinal| waiting.get(&ordinal).is_some_and(|uid| is_new(ordinal, uid));
    let first = ordinals.iter().copied().find(|&ordinal| waits(ordinal));
    let is_not_made = |ordinal: Ordinal| {
        order == StartOrder::Ordered
            && now.pod(ordinal).is_none()
            && first.is_some_and(|first| first < ordinal)
    };
    ordinals.iter().copied().filter(|&ordinal| !waits(ordinal) && !is_not_made(ordinal)).collect()
}

/// `etcd-0, etcd-2: …`
fn told(ordinals: &BTreeSet<Ordinal>, set: &str, what: &str) -> String {
    let mut text = String::new();
    for (place, ordinal) in ordinals.iter().enumerate() {
        let between = if place == 0 { "" } else { ", " };
        let _ = write!(text, "{between}{set}-{ordinal}");
    }
    text + ": " + what
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::missing;
    use crate::api::{Ordinal, Pod, PodPhase, Snapshot};
    use crate::platform::sandbox::pod_spec::StartOrder;

    fn snapshot(pods: &[(Ordinal, &str)]) -> Snapshot {
        let pod = |&(ordinal, uid): &(Ordinal, &str)| Pod {
            name: format!("web-{ordinal}"),
            ordinal,
            uid: uid.to_owned(),
            ip: None,
            node: String::new(),
            phase: PodPhase::Pending,
            ready: false,
            revision: None,
            containers: Vec::new(),
        };
        Snapshot { replicas: 3, pods: pods.iter().map(pod).collect(), ..Snapshot::default() }
    }

    #[test]
    fn a_pod_that_is_not_made_because_one_before_it_waits_has_no_volume() {
        let before = snapshot(&[(0, "a"), (1, "b"), (2, "c")]);
        let missing = |now: &[(Ordinal, &str)], order, waiting: &[(Ordinal, &str)]| {
            let waiting: BTreeMap<Ordinal, String> =
                waiting.iter().map(|&(ordinal, uid)| (ordinal, uid.to_owned())).collect();
            missing(&[1, 2].into(), &before, &snapshot(now), order, &waiting)
        };
        let one = [(0, "a"), (1, "new")];
        let both = [(0, "a"), (1, "new"), (2, "c")];
        assert_eq!(missing(&one, StartOrder::Ordered, &[(1, "new")]), [].into());
        assert_eq!(missing(&both, StartOrder::Ordered, &[(1, "new")]), [2].into(), "the old one lives still");
        assert_eq!(missing(&one, StartOrder::Ordered, &[(1, "b")]), [1, 2].into(), "the old one waits");
        assert_eq!(missing(&one, StartOrder::Ordered, &[]), [1, 2].into());
        assert_eq!(missing(&one, StartOrder::Parallel, &[(1, "new")]), [2].into());
        let all = [(1, "new"), (2, "newer")];
        assert_eq!(missing(&both, StartOrder::Parallel, &all), [].into());
        assert_eq!(missing(&[(0, "a"), (2, "newer")], StartOrder::Ordered, &[(2, "newer")]), [1].into());
    }
}

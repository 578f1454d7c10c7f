//! Rolling restarts: what the StatefulSet controller of Kubernetes does when a template changes, with the same template.
//!
//! As there: from the highest ordinal to the lowest, one at a time, and never on while a pod that was replaced is not
//! Ready; in an ordered set, while any pod is not. Each restart is an Injection that no node has a part in: it counts as
//! injected once the new revision is asked for, and ends by itself when every pod has it and is Ready.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::pod_spec::StartOrder;
use super::set::Set;
use crate::api::{InjectionSpec, Ordinal, PodPhase, Snapshot};
use crate::platform::proving::Proving;

/// How often the progress is told.
const LOOK: Duration = Duration::from_secs(1);

/// Replaces every pod, and says how far it is.
pub async fn restart(set: Arc<Set>, spec: InjectionSpec, mut asked_back: oneshot::Receiver<()>) {
    let mut proving = Proving::default();
    let mut snapshots = set.board.snapshots();
    set.board.begin_rollout();
    let ends = Instant::now() + spec.deadline.within;
    let mut told = Instant::now();
    let mut rolling = Rolling::default();
    let mut first = true;
    while Instant::now() < ends {
        let now = snapshots.borrow_and_update().clone();
        let behind = now.behind().unwrap_or_default();
        if first || told.elapsed() >= LOOK || behind.is_empty() {
            first = false;
            told = Instant::now();
            proving.holds(progress(&now, &behind));
            set.world.injections.report(&spec.name, proving.status());
        }
        if behind.is_empty() {
            proving.reverted();
            set.world.injections.report(&spec.name, proving.status());
            return;
        }
        rolling.go_on(&set, &now).await;
        tokio::select! {
            _ = &mut asked_back => {
                proving.reverted();
                set.world.injections.report(&spec.name, proving.status());
                return;
            }
            _ = tokio::time::timeout(LOOK, snapshots.changed()) => {}
        }
    }
    proving.misses(format!("the rollout was not complete within {} s", spec.deadline.within.as_secs()));
    set.world.injections.report(&spec.name, proving.status());
}

/// Pods that are replaced one after the other.
#[derive(Debug, Default)]
pub struct Rolling {
    /// The pod that was deleted last, and its UID.
    asked: Option<(Ordinal, String)>,
}

impl Rolling {
    /// Deletes the next pod, if it is time.
    pub async fn go_on(&mut self, set: &Set, now: &Snapshot) {
        if let Some((ordinal, uid)) = next(now, set.spec.start)
            && self.asked.as_ref() != Some(&(ordinal, uid.clone()))
        {
            self.asked = Some((ordinal, uid));
            let _taken = set.delete(ordinal, None).await;
        }
    }
}

/// `revision etcd-2 is asked for, 1 of 3 pods have it and are Ready`
pub fn progress(snapshot: &Snapshot, behind: &[Ordinal]) -> String {
    let revision = snapshot.rollout.as_ref().map_or("", |rollout| rollout.revision.as_str());
    let all = snapshot.replicas as usize;
    format!("revision {revision} is asked for, {} of {all} pods have it and are Ready", all - behind.len())
}

/// The pod that is to be replaced next, if it is time.
fn next(snapshot: &Snapshot, order: StartOrder) -> Option<(Ordinal, String)> {
    let revision = &snapshot.rollout.as_ref()?.revision;
    if order == StartOrder::Ordered && snapshot.ready() < snapshot.replicas as usize {
        return None;
    }
    let ordinals: Vec<Ordinal> = snapshot.ordinals().collect();
    for ordinal in ordinals.into_iter().rev() {
        let pod = snapshot.pod(ordinal)?;
        if pod.revision.as_ref() != Some(revision) {
            let is_going = pod.phase == PodPhase::Terminating;
            return (!is_going).then(|| (ordinal, pod.uid.clone()));
        }
        if !pod.ready {
            return None;
        }
    }
    None
}

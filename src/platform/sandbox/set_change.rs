//! `scale` and `setEnv` in a sandbox: what is asked for of the StatefulSet is changed, and put back afterwards.
//!
//! As in a cluster it is proven once it is asked for, and taken back once what was there before is asked for again; the pods
//! follow one after the other, as a rolling update does it, whether somebody waits for that or not. It is known to init
//! alone, so that nothing of it can outlive the sandbox; at its deadline it lapses by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout};

use super::rollout::{Rolling, progress};
use super::set::Set;
use crate::api::{ApiFault, InjectionSpec, Snapshot, are, counted};
use crate::platform::proving::Proving;

/// How often the proof is renewed.
const LOOK: Duration = Duration::from_secs(1);

/// Changes the StatefulSet until it is asked back or over, and says what it sees.
pub async fn hold(
    set: Arc<Set>,
    spec: InjectionSpec,
    fault: ApiFault,
    mut asked_back: oneshot::Receiver<()>,
) {
    let mut proving = Proving::default();
    let ends = Instant::now() + spec.deadline.within;
    if let Err(why) = set.board.change_set(&spec.name, &fault) {
        proving.failed(why);
        set.world.injections.report(&spec.name, proving.status());
        return;
    }
    let mut snapshots = set.board.snapshots();
    let mut rolling = Rolling::default();
    let mut told: Option<Instant> = None;
    loop {
        let now = snapshots.borrow_and_update().clone();
        if told.is_none_or(|told| told.elapsed() >= LOOK) {
            told = Some(Instant::now());
            proving.holds(seen(&fault, &now));
            set.world.injections.report(&spec.name, proving.status());
        }
        rolling.go_on(&set, &now).await;
        tokio::select! {
            biased;
            _ = &mut asked_back => break,
            () = sleep_until(ends.into()) => break,
            _ = timeout(LOOK, snapshots.changed()) => {}
        }
    }
    set.board.put_set_back(&spec.name);
    proving.taken_back(Some(seen(&fault, &snapshots.borrow())));
    set.world.injections.report(&spec.name, proving.status());
    loop {
        let now = snapshots.borrow_and_update().clone();
        if now.behind().unwrap_or_default().is_empty() {
            return;
        }
        rolling.go_on(&set, &now).await;
        let _ = timeout(LOOK, snapshots.changed()).await;
    }
}

/// What is asked for, and how much of it is there.
fn seen(fault: &ApiFault, now: &Snapshot) -> String {
    match fault {
        ApiFault::Scale { .. } => {
            let (asked, there) = (now.replicas, now.pods.len());
            let asked = format!("{} {} asked for", counted(asked, "replica"), are(asked));
            format!("{asked}, {there} {} there", are(there))
        }
        _ => progress(now, &now.behind().unwrap_or_default()),
    }
}

//! While volumes are measured: nothing is changed, so there is neither a record nor a guardian, and nothing to take back.
//!
//! A look every second, and a status for each. A pod that is made anew is found by its name again; on another node, it is the
//! run that asks there. A look may hang where a volume does, which neither keeps anybody waiting nor begins another one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, pending};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{Actor, Phase, Wish, locate};
use crate::api::{Desired, InjectionSpec, InjectionState, Measured};
use crate::host::process::boot::uptime;
use crate::node::blocking::blocking;
use crate::node::meter::Meter;
use crate::node::{Channel, Locate, Node};
use crate::undo::Expiry;

/// From one look to the next.
const PERIOD: Duration = Duration::from_secs(1);
/// How long it is believed where a pod's volumes are: a container that starts later may have more of them.
const BELIEVED: Duration = Duration::from_secs(10);

/// How long a look may take: as long as the one before is believed.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is known of the pod, and since when.
type Known = Option<(Instant, Meter)>;

impl<C: Channel + 'static, L: Locate + 'static> Actor<C, L> {
    /// Measures until nobody asks any more.
    pub(super) async fn measure(&mut self) -> Phase {
        let mut looks = interval(PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known: Known = None;
        let mut under_way: Option<(Instant, BoxFuture<'static, (Measured, Known)>)> = None;
        loop {
            let Some(spec) = &self.spec else { return Phase::End };
            if spec.desired == Desired::Reverted || Expiry::new(&spec.deadline, self.began).is_over() {
                self.status.enter(InjectionState::Reverted);
                self.report().await;
                return Phase::Over;
            }
            tokio::select! {
                wish = self.wishes.recv() => match wish {
                    Some(Wish::Put(spec)) => self.spec = Some(spec),
                    Some(Wish::Gone) | None => return Phase::End,
                },
                _ = looks.tick() => match &under_way {
                    None => {
                        let look = look_at_volumes(Arc::clone(&self.node), spec.clone(), known.take());
                        under_way = Some((Instant::now(), Box::pin(look)));
                    }
                    Some((since, _)) if since.elapsed() >= PATIENCE => {
                        let why = format!("a look at the volumes has not ended after {} s", PATIENCE.as_secs());
                        self.status.measured(Measured::unknown(now(), why));
                        self.report().await;
                    }
                    Some(_) => {}
                },
                (measured, meter) = end_of(&mut under_way) => {
                    (under_way, known) = (None, meter);
                    self.status.measured(measured);
                    self.report().await;
                }
            }
        }
    }
}

async fn end_of<T>(look: &mut Option<(Instant, BoxFuture<'static, T>)>) -> T {
    match look {
        Some((_, look)) => look.await,
        None => pending().await,
    }
}

/// One look, by what is known of the pod, or by where it is now.
async fn look_at_volumes<C: Channel, L: Locate>(
    node: Arc<Node<C, L>>,
    spec: Box<InjectionSpec>,
    known: Known,
) -> (Measured, Known) {
    let mut before = None;
    if let Some((since, meter)) = known
        && let (Some(measured), meter) = look(meter).await
    {
        let is_complete = meter.is_complete(&measured.volumes);
        if is_complete && since.elapsed() < BELIEVED {
            return (measured, Some((since, meter)));
        }
        before = Some((measured, is_complete, (since, meter)));
    }
    let pod = match locate(&node, &spec).await {
        Ok(Some(pod)) => pod,
        Ok(None) => return (Measured::no_pod(now()), None),
        Err(error) => return without_location(before, &error),
    };
    let earlier = before.map(|(_, _, (_, meter))| meter);
    match Meter::of(pod, node.options.undo_dir.clone(), earlier) {
        Ok(Some(meter)) => match look(meter).await {
            (Some(measured), meter) => (measured, Some((Instant::now(), meter))),
            (None, _) => (Measured::no_pod(now()), None),
        },
        Ok(None) => (Measured::no_pod(now()), None),
        Err(error) => (Measured::unknown(now(), format!("its pod cannot be looked at: {error}")), None),
    }
}

/// What a look by what was known says where nobody tells where the pod is, though its holder lives: all, where every volume
/// was there; and where the containers were seen before and are not any more, that volumes are at rest.
fn without_location(
    before: Option<(Measured, bool, (Instant, Meter))>,
    error: &io::Error,
) -> (Measured, Known) {
    match before {
        Some((measured, is_complete, known)) if is_complete || error.kind() == io::ErrorKind::NotFound => {
            (measured, Some(known))
        }
        before => (Measured::unknown(now(), error.to_string()), before.map(|(_, _, known)| known)),
    }
}

/// In nanoseconds since the node was started.
fn now() -> u64 {
    u64::try_from(uptime().as_nanos()).unwrap_or(u64::MAX)
}

/// Looks at volumes that may hang at once on one node: each keeps one of the threads by which faults are taken back.
static LOOKS: Semaphore = Semaphore::const_new(4);

/// Nothing where the pod is not there any more.
async fn look(mut meter: Meter) -> (Option<Measured>, Meter) {
    let Ok(Ok(turn)) = timeout(PATIENCE, LOOKS.acquire()).await else {
        return (Some(Measured::unknown(now(), "looks at other volumes of this node hang".into())), meter);
    };
    blocking(move || {
        let _turn = turn;
        let at = now();
        let volumes = meter.look();
        let took = Duration::from_nanos(now().saturating_sub(at));
        let measured = volumes.map(|volumes| {
            if took < PATIENCE {
                return Measured::volumes(at, meter.pod(), volumes);
            }
            // Nobody knows which moment of it each value is about.
            Measured::unknown(now(), format!("a look at the volumes took {} s", took.as_secs()))
        });
        (measured, meter)
    })
    .await
}

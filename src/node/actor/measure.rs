//! While volumes are measured: nothing is changed, so there is neither a record nor a guardian, and nothing to take back.
//!
//! A look every second, and a status for each. A pod that is made anew is found by its name again; on another node, it is the
//! run that asks there.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Actor, Phase, Wish};
use crate::api::{Desired, InjectionState, Measured};
use crate::host::process::boot::uptime;
use crate::node::blocking::blocking;
use crate::node::meter::Meter;
use crate::node::{Channel, Locate};
use crate::undo::Expiry;

/// From one look to the next.
const PERIOD: Duration = Duration::from_secs(1);
/// How long it is believed where a pod's volumes are: a container that starts later may have more of them.
const BELIEVED: Duration = Duration::from_secs(10);

impl<C: Channel + 'static, L: Locate + 'static> Actor<C, L> {
    /// Measures until nobody asks any more.
    pub(super) async fn measure(&mut self) -> Phase {
        let mut looks = interval(PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known: Option<(Instant, Meter)> = None;
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
                _ = looks.tick() => {
                    let meter = known.take().filter(|(since, _)| since.elapsed() < BELIEVED);
                    let (measured, meter) = self.look_at_volumes(meter).await;
                    known = meter;
                    self.status.measured(measured);
                    self.report().await;
                }
            }
        }
    }

    /// One look, by what is known of the pod, or by where it is now.
    async fn look_at_volumes(&self, known: Option<(Instant, Meter)>) -> (Measured, Option<(Instant, Meter)>) {
        if let Some((since, meter)) = known
            && let (Some(measured), meter) = look(meter).await
            && is_complete(&measured)
        {
            return (measured, Some((since, meter)));
        }
        let pod = match self.locate().await {
            Ok(Some(pod)) => pod,
            Ok(None) => return (Measured::no_pod(now()), None),
            Err(why) => return (Measured::unknown(now(), why), None),
        };
        match Meter::of(pod, self.node.options.undo_dir.clone()) {
            Ok(Some(meter)) => match look(meter).await {
                (Some(measured), meter) => (measured, Some((Instant::now(), meter))),
                (None, _) => (Measured::no_pod(now()), None),
            },
            Ok(None) => (Measured::no_pod(now()), None),
            Err(error) => (Measured::unknown(now(), format!("its pod cannot be looked at: {error}")), None),
        }
    }
}

/// In nanoseconds since the node was started.
fn now() -> u64 {
    u64::try_from(uptime().as_nanos()).unwrap_or(u64::MAX)
}

/// Whether every volume was where it was believed to be; those of a container that was started again are not.
fn is_complete(measured: &Measured) -> bool {
    !measured.volumes.is_empty() && measured.volumes.iter().all(|volume| volume.room.is_some())
}

async fn look(mut meter: Meter) -> (Option<Measured>, Meter) {
    blocking(move || {
        let at = now();
        let measured = meter.look().map(|volumes| Measured::volumes(at, meter.pod(), volumes));
        (measured, meter)
    })
    .await
}

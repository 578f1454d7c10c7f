//! While volumes are measured: nothing is changed, so there is neither a record nor a guardian, and nothing to take back.
//!
//! A look every second, and a status for each. A pod that is made anew is found by its name again; on another node, it is the
//! run that asks there.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Actor, Phase, Wish};
use crate::api::{Desired, InjectionState, Measured, Seen};
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
                    let (seen, meter) = self.look_at_volumes(meter).await;
                    known = meter;
                    let at = u64::try_from(uptime().as_nanos()).unwrap_or(u64::MAX);
                    self.status.measured(Measured { at, seen });
                    self.report().await;
                }
            }
        }
    }

    /// One look, by what is known of the pod, or by where it is now.
    async fn look_at_volumes(&self, known: Option<(Instant, Meter)>) -> (Seen, Option<(Instant, Meter)>) {
        if let Some((since, meter)) = known
            && let (Some(seen), meter) = look(meter).await
            && is_complete(&seen)
        {
            return (seen, Some((since, meter)));
        }
        let pod = match self.locate().await {
            Ok(Some(pod)) => pod,
            Ok(None) => return (Seen::NoPod {}, None),
            Err(why) => return (Seen::Unknown { why }, None),
        };
        match Meter::of(pod, self.node.options.undo_dir.clone()) {
            Ok(Some(meter)) => match look(meter).await {
                (Some(seen), meter) => (seen, Some((Instant::now(), meter))),
                (None, _) => (Seen::NoPod {}, None),
            },
            Ok(None) => (Seen::NoPod {}, None),
            Err(error) => (Seen::Unknown { why: format!("its pod cannot be looked at: {error}") }, None),
        }
    }
}

/// Whether every volume was where it was believed to be; those of a container that was started again are not.
fn is_complete(seen: &Seen) -> bool {
    let Seen::Volumes { volumes, .. } = seen else { return false };
    !volumes.is_empty() && volumes.iter().all(|volume| volume.room.is_some())
}

async fn look(mut meter: Meter) -> (Option<Seen>, Meter) {
    blocking(move || {
        let volumes = meter.look();
        (volumes.map(|volumes| Seen::Volumes { pod: meter.pod().to_owned(), volumes }), meter)
    })
    .await
}

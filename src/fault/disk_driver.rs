//! Which driver carries out `diskLatency` or `diskError` on a host: the named one, or the first that finds all that it
//! needs on this node, for this volume and in these processes. What was chosen is the first word of the proof.

use super::host::{HostError, Own, Prepared};
use super::{disk_latency, gated_disk, mapped_disk};
use crate::api::{ErrorDriver, FailingDisk, LatencyDriver, SlowDisk};
use crate::node::LocatedPod;

/// Why no driver can do it.
#[derive(Debug, thiserror::Error)]
#[error("no driver can do it here: {}", .0.iter().map(|(driver, why)| format!("{driver}: {why}")).collect::<Vec<_>>().join("; "))]
pub struct Error(Vec<(&'static str, String)>);

type Attempt = Result<Box<dyn Prepared>, HostError>;

/// Finds what slows a volume down.
pub(super) fn slow(slow: &SlowDisk, pod: &LocatedPod, container: Option<&str>, own: Own<'_>) -> Attempt {
    let drivers = slow.drivers().into_iter().map(|driver| (driver.name(), driver));
    first(drivers.collect(), |driver| {
        if let Some((_, why)) = slow.misfit(driver) {
            return Err(Error(vec![(driver.name(), why)]).into());
        }
        Ok(match driver {
            LatencyDriver::Auto | LatencyDriver::Syscall => {
                Box::new(disk_latency::host::prepare(&slow.into(), pod, container, own)?)
            }
            LatencyDriver::DmDelay => Box::new(mapped_disk::host::slow(slow, pod, container, own)?),
            LatencyDriver::Fanotify => Box::new(gated_disk::host::slow(slow, pod, container, own)?),
        })
    })
}

/// Finds what has a volume fail.
pub(super) fn failing(
    failing: &FailingDisk,
    pod: &LocatedPod,
    container: Option<&str>,
    own: Own<'_>,
) -> Attempt {
    let drivers = failing.drivers().into_iter().map(|driver| (driver.name(), driver));
    first(drivers.collect(), |driver| {
        if let Some((_, why)) = failing.misfit(driver) {
            return Err(Error(vec![(driver.name(), why)]).into());
        }
        Ok(match driver {
            ErrorDriver::Auto | ErrorDriver::Syscall => {
                Box::new(disk_latency::host::prepare(&failing.into(), pod, container, own)?)
            }
            ErrorDriver::DmError => Box::new(mapped_disk::host::failing(failing, pod, container, own)?),
            ErrorDriver::Fanotify => Box::new(gated_disk::host::failing(failing, pod, container, own)?),
        })
    })
}

/// The first that can, in their order.
fn first<D>(drivers: Vec<(&'static str, D)>, mut prepare: impl FnMut(D) -> Attempt) -> Attempt {
    let is_only = drivers.len() == 1;
    let mut refused = Vec::new();
    for (name, driver) in drivers {
        match prepare(driver) {
            Err(why) if !is_only => refused.push((name, why.to_string())),
            found => return found,
        }
    }
    Err(Error(refused).into())
}

//! What a container's manifest wants to be done after its start and before its end.

use std::net::IpAddr;
use std::time::Duration;

use super::PodSandbox;
use super::probing::Inside;
use crate::platform::sandbox::pod_spec::{Container, Hook, Probe};
use crate::platform::sandbox::probe::{ProbeFailure, check};

/// Runs a hook of the container that was started under `id`, for at most `limit`. As with a kubelet, an answer over HTTP is
/// success, whatever it says.
pub async fn run(
    pod: &PodSandbox<'_>,
    container: &Container,
    id: u64,
    hook: &Hook,
    limit: Duration,
) -> Result<(), ProbeFailure> {
    let check_of = match hook {
        Hook::Sleep(time) => {
            tokio::time::sleep((*time).min(limit)).await;
            return Ok(());
        }
        Hook::Check(check) => check.clone(),
    };
    let once = Probe {
        check: check_of,
        initial_delay: Duration::ZERO,
        period: limit,
        timeout: limit,
        success_threshold: 1,
        failure_threshold: 1,
    };
    match check(&once, IpAddr::V4(pod.facts.address), &Inside { pod, container, id }).await {
        Err(ProbeFailure::Status(_)) => Ok(()),
        done => done,
    }
}

//! What `attachSuccess`, `attachLatency` and `claimsReclaimed` are measured by: the claims of the target, as the platform
//! tells them.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::api::Volumes;
use crate::experiment::{Experiment, Sli};
use crate::platform::{Cluster, PlatformError};

/// Every change of the target's claims, where the experiment wants to know and the platform can tell.
pub async fn sample(
    experiment: &Experiment,
    cluster: &Arc<dyn Cluster>,
) -> Result<Option<mpsc::Receiver<Volumes>>, PlatformError> {
    if super::asks(experiment, Sli::needs_volumes) { cluster.volumes().await } else { Ok(None) }
}

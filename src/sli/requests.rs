//! `apiErrors`: the run's own requests to the API server, one a second.
//!
//! Own requests and not the server's `/metrics`: what counts is what the run itself could do, and the metrics need a right
//! of their own and mix in every other client. Each one reads the target past the caches, as a quorum read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::experiment::{Experiment, Sli};
use crate::platform::Cluster;

/// From one request to the next.
const PERIOD: Duration = Duration::from_secs(1);

/// A request without an answer after this has failed.
const LIMIT: Duration = Duration::from_secs(1);

/// Begins to ask, where the experiment wants to know. Each answer is why a request failed, or nothing.
pub fn sample(experiment: &Experiment, cluster: &Arc<dyn Cluster>) -> Option<mpsc::Receiver<Option<String>>> {
    if !super::asks(experiment, |sli| matches!(sli, Sli::ApiErrors {})) {
        return None;
    }
    let (answers, answered) = mpsc::channel(4);
    let cluster = Arc::clone(cluster);
    tokio::spawn(async move {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let error = match timeout(LIMIT, cluster.ask()).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {} s", LIMIT.as_secs())),
            };
            if answers.send(error).await.is_err() {
                return;
            }
        }
    });
    Some(answered)
}

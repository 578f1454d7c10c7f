//! The run's clock: nanoseconds since the run began, of one process's monotonic clock.

use std::time::{Duration, Instant};

use crate::api::Nanos;

/// A run's clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    begin: Instant,
}

impl Clock {
    /// Time 0 is now.
    pub fn start() -> Self {
        Self { begin: Instant::now() }
    }

    /// How long the run has gone on.
    pub fn now(&self) -> Nanos {
        u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
    }

    /// Returns at `moment`; never where there is none.
    pub async fn sleep_until(&self, moment: Option<Nanos>) {
        match moment {
            Some(moment) => {
                tokio::time::sleep_until((self.begin + Duration::from_nanos(moment)).into()).await;
            }
            None => std::future::pending().await,
        }
    }
}

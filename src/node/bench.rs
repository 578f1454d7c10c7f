//! How long it takes from an order to the status that says it is done.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout};

use super::{Channel, Locate, Options, Order, serve};
use crate::api::{Deadline, Desired, InjectionSpec, InjectionState, InjectionStatus};

/// For how long one round may take, and every fault of it lasts at most.
const LIMIT: Duration = Duration::from_secs(30);

/// How long each round took, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latencies {
    /// From the order to the status Injected with a proof.
    pub inject: Vec<Duration>,
    /// From the order to the status Reverted, after everything was read back.
    pub revert: Vec<Duration>,
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The node ended or did not answer.
    #[error("the node did not answer within {} s", LIMIT.as_secs())]
    Silent,
    /// The node said no.
    #[error("round {round} ended as {state:?}: {error}")]
    Refused {
        /// From 0.
        round: usize,
        /// Where it stands.
        state: InjectionState,
        /// Why.
        error: String,
    },
}

/// A channel whose other end is in this process.
struct Loopback {
    orders: Mutex<Option<mpsc::Receiver<Order>>>,
    statuses: mpsc::UnboundedSender<(String, InjectionStatus)>,
}

#[async_trait]
impl Channel for Loopback {
    async fn orders(&self) -> std::io::Result<mpsc::Receiver<Order>> {
        self.orders.lock().await.take().ok_or_else(|| std::io::ErrorKind::AlreadyExists.into())
    }

    async fn report(&self, name: &str, status: InjectionStatus) -> std::io::Result<()> {
        self.statuses.send((name.to_owned(), status)).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
}

/// Injects and reverts `spec` that many times through a node of its own, and measures both. The name, the desired state
/// and the deadline of `spec` are set per round.
pub async fn bench_rounds(
    locate: impl Locate + 'static,
    options: Options,
    spec: &InjectionSpec,
    rounds: usize,
) -> Result<Latencies, BenchError> {
    let (orders, receiver) = mpsc::channel(4);
    let (sender, mut statuses) = mpsc::unbounded_channel();
    let channel = Loopback { orders: Mutex::new(Some(receiver)), statuses: sender };
    let node = tokio::spawn(serve(channel, locate, options));
    let mut latencies = Latencies::default();
    for round in 0..rounds {
        let mut spec = InjectionSpec {
            name: format!("{}.{round}", spec.name),
            deadline: Deadline { at: Timestamp::now() + LIMIT, within: LIMIT },
            desired: Desired::Injected,
            ..spec.clone()
        };
        for (desired, wanted, times) in [
            (Desired::Injected, InjectionState::Injected, &mut latencies.inject),
            (Desired::Reverted, InjectionState::Reverted, &mut latencies.revert),
        ] {
            spec.desired = desired;
            let asked = Instant::now();
            orders.send(Order::Put(spec.clone())).await.map_err(|_| BenchError::Silent)?;
            await_state(&mut statuses, &spec.name, wanted, round).await?;
            times.push(asked.elapsed());
        }
        orders.send(Order::Gone(spec.name)).await.map_err(|_| BenchError::Silent)?;
    }
    drop(orders);
    match timeout(LIMIT, node).await {
        Ok(Ok(Ok(()))) => Ok(latencies),
        Ok(Ok(Err(_)) | Err(_)) | Err(_) => Err(BenchError::Silent),
    }
}

async fn await_state(
    statuses: &mut mpsc::UnboundedReceiver<(String, InjectionStatus)>,
    name: &str,
    wanted: InjectionState,
    round: usize,
) -> Result<(), BenchError> {
    loop {
        let Ok(Some((of, status))) = timeout(LIMIT, statuses.recv()).await else {
            return Err(BenchError::Silent);
        };
        match status.state {
            state if of == name && state == wanted => return Ok(()),
            InjectionState::Failed | InjectionState::Lost | InjectionState::RevertFailed if of == name => {
                let error = status.error.unwrap_or_default();
                return Err(BenchError::Refused { round, state: status.state, error });
            }
            InjectionState::Pending
            | InjectionState::Injected
            | InjectionState::Reverted
            | InjectionState::Failed
            | InjectionState::Lost
            | InjectionState::RevertFailed => {}
        }
    }
}

//! A node of its own in this process, to measure what one does.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{Channel, Locate, Options, Order, ServeError, serve};
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
    #[error("{name} ended as {state:?}: {error}")]
    Refused {
        /// The Injection.
        name: String,
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

/// A node that takes its orders from this process.
pub struct Rig {
    orders: mpsc::Sender<Order>,
    statuses: mpsc::UnboundedReceiver<(String, InjectionStatus)>,
    node: JoinHandle<Result<(), ServeError>>,
}

impl Rig {
    /// Starts it, within a runtime.
    pub fn start(locate: impl Locate + 'static, options: Options) -> Self {
        let (orders, receiver) = mpsc::channel(4);
        let (sender, statuses) = mpsc::unbounded_channel();
        let channel = Loopback { orders: Mutex::new(Some(receiver)), statuses: sender };
        Self { orders, statuses, node: tokio::spawn(serve(channel, locate, options)) }
    }

    /// Orders what `spec` says; returns when its status says that it is done.
    pub async fn order(&mut self, spec: &InjectionSpec) -> Result<(), BenchError> {
        let wanted = match spec.desired {
            Desired::Injected => InjectionState::Injected,
            Desired::Reverted => InjectionState::Reverted,
        };
        self.orders.send(Order::Put(spec.clone())).await.map_err(|_| BenchError::Silent)?;
        await_state(&mut self.statuses, &spec.name, wanted).await
    }

    /// Ends it, when it has taken everything back.
    pub async fn end(self) -> Result<(), BenchError> {
        drop(self.orders);
        match timeout(LIMIT, self.node).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => Err(BenchError::Silent),
        }
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
    let mut rig = Rig::start(locate, options);
    let mut latencies = Latencies::default();
    for round in 0..rounds {
        let mut spec = InjectionSpec {
            name: format!("{}.{round}", spec.name),
            deadline: Deadline { at: Timestamp::now() + LIMIT, within: LIMIT },
            desired: Desired::Injected,
            ..spec.clone()
        };
        for (desired, times) in
            [(Desired::Injected, &mut latencies.inject), (Desired::Reverted, &mut latencies.revert)]
        {
            spec.desired = desired;
            let asked = Instant::now();
            rig.order(&spec).await?;
            times.push(asked.elapsed());
        }
        rig.orders.send(Order::Gone(spec.name)).await.map_err(|_| BenchError::Silent)?;
    }
    rig.end().await?;
    Ok(latencies)
}

async fn await_state(
    statuses: &mut mpsc::UnboundedReceiver<(String, InjectionStatus)>,
    name: &str,
    wanted: InjectionState,
) -> Result<(), BenchError> {
    loop {
        let Ok(Some((of, status))) = timeout(LIMIT, statuses.recv()).await else {
            return Err(BenchError::Silent);
        };
        match status.state {
            state if of == name && state == wanted => return Ok(()),
            InjectionState::Failed | InjectionState::Lost | InjectionState::RevertFailed if of == name => {
                let error = status.error.unwrap_or_default();
                return Err(BenchError::Refused { name: of, state: status.state, error });
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

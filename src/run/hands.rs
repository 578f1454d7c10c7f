//! Carries out what the engine asks for: each effect in a task of its own, whose answer is an input.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use super::record::Recorder;
use super::{Platform, Setup};
use crate::api::{Ordinal, Snapshot};
use crate::experiment;
use crate::journal::entry::{Effect, Entry, Line};
use crate::platform::Cluster;
use crate::store::Adapter;
use crate::workload::{self, Rates, Running, Workload};

/// The answer to an effect: its id, and why it was not carried out.
pub(super) type Answer = (u64, Option<String>);

/// What can be done.
pub(super) struct Hands {
    platform: Platform,
    clients: Option<Clients>,
    recorder: Arc<Recorder>,
    answers: mpsc::Sender<Answer>,
    /// The newest word about each Injection: a later one waits for it, so that an old spec never replaces a new one.
    said: HashMap<String, JoinHandle<()>>,
}

/// The workload, before, while and after it works.
#[derive(Clone)]
struct Clients {
    adapter: Arc<dyn Adapter>,
    members: Vec<Ordinal>,
    spec: experiment::Workload,
    seed: u64,
    running: Arc<Mutex<Option<Running>>>,
    rates: Arc<watch::Sender<Rates>>,
}

impl Hands {
    pub(super) fn new(
        setup: &Setup,
        target: &Snapshot,
        recorder: Arc<Recorder>,
        answers: mpsc::Sender<Answer>,
    ) -> Self {
        let clients = setup.experiment.workload.as_ref().zip(setup.platform.store.as_ref()).map(
            |(workload, adapter)| Clients {
                adapter: Arc::clone(adapter),
                members: target.ordinals().collect(),
                spec: workload.clone(),
                seed: setup.seed,
                running: Arc::default(),
                rates: Arc::default(),
            },
        );
        Self { platform: setup.platform.clone(), clients, recorder, answers, said: HashMap::new() }
    }

    /// How the clients fare.
    pub(super) fn rates(&self) -> Rates {
        self.clients.as_ref().map(|clients| *clients.rates.borrow()).unwrap_or_default()
    }

    /// Removes the workload's keys, unless they are to be kept.
    pub(super) async fn clean_up(&self, setup: &Setup) {
        if let (Some(clients), Some(workload)) = (&self.clients, &setup.experiment.workload)
            && let Err(error) = workload::clean_up(&*clients.adapter, &clients.members, &workload.scope).await
        {
            tracing::warn!(%error, "keys below {} were left in the store", workload.scope.prefix);
        }
    }

    /// Begins to carry out an effect.
    pub(super) fn carry_out(&mut self, id: u64, effect: Effect) {
        let nodes = Arc::clone(&self.platform.nodes);
        match effect {
            Effect::Apply(spec) => {
                let name = spec.name.clone();
                self.in_order(
                    id,
                    name,
                    async move { nodes.apply(spec).await.map_err(|error| error.to_string()) },
                );
            }
            Effect::DeletePod { set, ordinal, grace } => {
                let cluster = self.cluster(set.as_deref());
                self.spawn(id, async move {
                    cluster?.delete_pod(ordinal, grace).await.map_err(|error| error.to_string())
                });
            }
            Effect::Forget { name } => {
                let forgotten = name.clone();
                self.in_order(id, name, async move {
                    nodes.forget(&forgotten).await.map_err(|error| error.to_string())
                });
            }
            Effect::StartWorkload {} => self.with_clients(id, Clients::start),
            Effect::StopWorkload {} => self.with_clients(id, |clients, _| clients.stop()),
            Effect::ReadLedger {} => self.with_clients(id, Clients::read_ledger),
            // These say something; there is nothing to do.
            Effect::Phase(_)
            | Effect::Chosen { .. }
            | Effect::Began { .. }
            | Effect::Ended { .. }
            | Effect::Doubt { .. }
            | Effect::Refused { .. }
            | Effect::Abort { .. }
            | Effect::RevertFailed { .. }
            | Effect::Finish {} => {}
        }
    }

    /// Where the pods are of a further StatefulSet, or of the target.
    fn cluster(&self, set: Option<&str>) -> Result<Arc<dyn Cluster>, String> {
        match set {
            None => Ok(Arc::clone(&self.platform.cluster)),
            Some(name) => {
                let found = self.platform.others.get(name).map(Arc::clone);
                found.ok_or_else(|| format!("nobody reaches the StatefulSet {name}"))
            }
        }
    }

    /// Dropping the handle lets the task go on.
    fn spawn(
        &self,
        id: u64,
        work: impl Future<Output = Result<(), String>> + Send + 'static,
    ) -> JoinHandle<()> {
        let answers = self.answers.clone();
        tokio::spawn(async move {
            let error = work.await.err();
            // Nobody listens only when the run is over.
            let _ = answers.send((id, error)).await;
        })
    }

    fn in_order(
        &mut self,
        id: u64,
        name: String,
        work: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let before = self.said.remove(&name);
        let said = self.spawn(id, async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            work.await
        });
        self.said.insert(name, said);
    }

    fn with_clients<F>(&self, id: u64, work: impl FnOnce(Clients, Arc<Recorder>) -> F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        match self.clients.clone() {
            Some(clients) => self.spawn(id, work(clients, Arc::clone(&self.recorder))),
            None => self.spawn(id, async { Ok(()) }),
        };
    }
}

impl Clients {
    async fn start(self, recorder: Arc<Recorder>) -> Result<(), String> {
        // Held until they run, so that a stop which comes meanwhile stops them.
        let mut slot = self.running.lock().await;
        let workload = Workload {
            adapter: self.adapter,
            members: self.members,
            spec: self.spec,
            seed: self.seed,
            record: recorder,
        };
        let running = workload.start().await.map_err(|error| error.to_string())?;
        let mut source = running.rates();
        *slot = Some(running);
        let rates = self.rates;
        tokio::spawn(async move {
            while source.changed().await.is_ok() {
                rates.send_replace(*source.borrow_and_update());
            }
            rates.send_replace(Rates::default());
        });
        Ok(())
    }

    async fn stop(self) -> Result<(), String> {
        if let Some(running) = self.running.lock().await.take() {
            running.stop().await;
        }
        Ok(())
    }

    async fn read_ledger(self, recorder: Arc<Recorder>) -> Result<(), String> {
        let ledger =
            workload::read_ledger(self.adapter, &self.members, &self.spec.scope.prefix, workload::CATCH_UP)
                .await;
        for (member, held) in ledger {
            let line = Line { time: recorder.clock().now(), entry: Entry::FinalRead { member, held } };
            recorder.entry(&line).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

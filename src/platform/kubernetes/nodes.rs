//! Injections as objects of the API server: this side writes their specs, the agents write their statuses.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::watcher::{Config, Event};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use super::RUNNER;
use super::api_faults::{ApiFaults, Site, write_statuses};
use super::failure::{insist, is_absent};
use super::watching::watch;
use crate::api::{HostFault, Injection, InjectionSpec, InjectionStatus};
use crate::platform::{Nodes, PlatformError};
use crate::resource::{self, RUN_LABEL};

/// How many statuses a slow reader may be behind before its watch waits.
const BACKLOG: usize = 256;
/// How many requests are under way at once, each of which takes a connection: a fault on a thousand pods asks for a
/// thousand Injections in the same moment.
const AT_ONCE: usize = 32;

/// The Injections of one run.
#[derive(Clone)]
pub struct Injections {
    objects: Api<resource::Injection>,
    run: String,
    owner: Option<OwnerReference>,
    turns: Arc<Semaphore>,
    /// Who carries out those that no node has a part in.
    faults: Option<Arc<ApiFaults>>,
}

impl Injections {
    /// Those of `run`, in its namespace. What is created belongs to `owner` and goes when it goes.
    pub fn of(client: &Client, namespace: &str, run: &str, owner: Option<OwnerReference>) -> Self {
        Self {
            objects: Api::namespaced(client.clone(), namespace),
            run: run.to_owned(),
            owner,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            faults: None,
        }
    }

    /// The same, where faults of the control plane are carried out by this process.
    #[must_use]
    pub fn with_api_faults(self, site: Site) -> Self {
        let (faults, reported) = ApiFaults::new(site);
        tokio::spawn(write_statuses(self.objects.clone(), reported));
        Self { faults: Some(Arc::new(faults)), ..self }
    }

    /// How one stands that this process itself makes or takes back.
    pub fn said(&self, name: &str) -> Option<InjectionStatus> {
        self.faults.as_ref()?.said(name)
    }

    /// All that exist now.
    pub async fn list(&self) -> Result<Vec<resource::Injection>, PlatformError> {
        let ours = kube::api::ListParams::default().labels(&format!("{RUN_LABEL}={}", self.run));
        Ok(insist(|| self.objects.list(&ours)).await?.items)
    }
}

/// The object that says this spec, as it is applied.
fn applied(spec: &InjectionSpec, owner: Option<&OwnerReference>) -> serde_json::Value {
    json!({
        "apiVersion": crate::spec::API_VERSION,
        "kind": "Injection",
        "metadata": {
            "name": spec.name,
            "labels": {RUN_LABEL: spec.run},
            "ownerReferences": owner.into_iter().collect::<Vec<_>>(),
        },
        "spec": spec,
    })
}

#[async_trait]
impl Nodes for Injections {
    /// Also brings back an Injection that somebody deleted, so that its agent says once more how it stands.
    async fn apply(&self, spec: InjectionSpec) -> Result<(), PlatformError> {
        let object = Patch::Apply(applied(&spec, self.owner.as_ref()));
        let parameters = PatchParams::apply(RUNNER).force();
        let turn = self.turns.acquire().await;
        insist(|| self.objects.patch(&spec.name, &parameters, &object)).await?;
        drop(turn);
        if let (HostFault::Api(_), Some(faults)) = (&spec.fault, &self.faults) {
            faults.put(spec);
        }
        Ok(())
    }

    async fn forget(&self, name: &str) -> Result<(), PlatformError> {
        if let Some(faults) = &self.faults {
            faults.forget(name);
        }
        let _turn = self.turns.acquire().await;
        insist(async || match self.objects.delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(error),
        })
        .await
    }

    async fn statuses(&self) -> Result<mpsc::Receiver<Injection>, PlatformError> {
        let ours = Config::default().labels(&format!("{RUN_LABEL}={}", self.run));
        let mut events = watch(self.objects.clone(), ours, "the run's Injections");
        let (sender, receiver) = mpsc::channel(BACKLOG);
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = events.next() => event,
                    () = sender.closed() => return,
                };
                let changed = match event {
                    Some(Event::Apply(object) | Event::InitApply(object)) => object,
                    // An Injection that was deleted is reverted by its agent, which has nowhere left to say so.
                    Some(Event::Delete(_) | Event::Init | Event::InitDone) => continue,
                    None => return,
                };
                let injection = Injection { spec: changed.spec.injection, status: changed.status };
                if sender.send(injection).await.is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}

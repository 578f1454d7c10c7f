//! Writes statuses: the newest of each Injection, as often as it takes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::key::Key;
use super::known::{Known, Version, version_of};
use super::pace::Pace;
use crate::api::{InjectionState, InjectionStatus};
use crate::resource::Injection;

/// How long the API server may take for one request.
const ANSWER: Duration = Duration::from_secs(5);
/// For how long a status that says that nothing has happened yet waits for one that says more.
const COURTESY: Duration = Duration::from_millis(50);

/// The statuses that are to be written.
#[derive(Clone)]
pub(super) struct Statuses {
    client: Client,
    node: String,
    known: Arc<Mutex<Known>>,
    slots: Arc<Mutex<BTreeMap<Key, Slot>>>,
    emptied: Arc<Notify>,
}

/// One per Injection whose status is being written.
#[derive(Debug, Default)]
struct Slot {
    /// Newer than the one that is being written.
    next: Option<InjectionStatus>,
    /// Told when `next` is replaced.
    replaced: Arc<Notify>,
}

/// What became of one attempt.
enum Written {
    /// It is there, or nobody wants it any more.
    Done,
    /// The API server will never take it.
    Refused(kube::Error),
    /// The object was changed meanwhile and is still this node's.
    Again,
    /// It is worth another attempt, later.
    NotYet(String),
}

impl Statuses {
    pub(super) fn new(client: Client, node: &str, known: Arc<Mutex<Known>>) -> Self {
        Self { client, node: node.to_owned(), known, slots: Arc::default(), emptied: Arc::default() }
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<Key, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces what is to be written of an Injection.
    pub(super) fn put(&self, key: Key, status: InjectionStatus) {
        let mut slots = self.slots();
        if let Some(slot) = slots.get_mut(&key) {
            slot.next = Some(status);
            slot.replaced.notify_one();
            return;
        }
        slots.insert(key.clone(), Slot { next: Some(status), replaced: Arc::default() });
        drop(slots);
        let all = self.clone();
        tokio::spawn(async move { all.write_all(key).await });
    }

    /// Waits until there is nothing left to write, for at most `limit`; whether there is nothing.
    pub(super) async fn flush(&self, limit: Duration) -> bool {
        let empty = async {
            loop {
                let emptied = self.emptied.notified();
                if self.slots().is_empty() {
                    return;
                }
                emptied.await;
            }
        };
        timeout(limit, empty).await.is_ok()
    }

    fn take(&self, key: &Key) -> Option<InjectionStatus> {
        let mut slots = self.slots();
        let next = slots.get_mut(key)?.next.take();
        if next.is_none() {
            slots.remove(key);
            self.emptied.notify_waiters();
        }
        next
    }

    /// What tells that a status comes which says more than the one that waits.
    fn replaced_if_empty(&self, key: &Key) -> Option<Arc<Notify>> {
        let slots = self.slots();
        let slot = slots.get(key)?;
        let is_empty = slot.next.as_ref().is_some_and(|status| status.state == InjectionState::Pending);
        is_empty.then(|| Arc::clone(&slot.replaced))
    }

    async fn write_all(&self, key: Key) {
        if let Some(replaced) = self.replaced_if_empty(&key) {
            // Where nothing comes, it is written after all.
            let _ = timeout(COURTESY, replaced.notified()).await;
        }
        while let Some(status) = self.take(&key) {
            self.write(&key, status).await;
        }
    }

    async fn write(&self, key: &Key, mut status: InjectionStatus) {
        let mut pace = Pace::default();
        loop {
            match self.attempt(key, &status).await {
                Written::Done => return,
                Written::Refused(error) => {
                    tracing::error!(injection = %key, %error, "the API server refuses a status");
                    return;
                }
                Written::Again => {}
                Written::NotYet(why) => {
                    tracing::warn!(injection = %key, why, "cannot write a status yet");
                    sleep(pace.next().unwrap_or_default()).await;
                }
            }
            if let Some(newer) = self.slots().get_mut(key).and_then(|slot| slot.next.take()) {
                status = newer;
            }
        }
    }

    async fn attempt(&self, key: &Key, status: &InjectionStatus) -> Written {
        let Some(version) = self.known().version(key) else {
            return Written::Done;
        };
        let api: Api<Injection> = Api::namespaced(self.client.clone(), &key.namespace);
        // With its version in it, the patch is for exactly that object as it was seen.
        let patch = serde_json::json!({
            "metadata": { "uid": version.uid, "resourceVersion": version.resource_version },
            "status": status,
        });
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(patch));
        match timeout(ANSWER, api.patch_status(&key.name, &parameters, &patch)).await {
            Ok(Ok(injection)) => {
                if let Some(version) = version_of(&injection) {
                    self.known().renew(key, version);
                }
                Written::Done
            }
            Ok(Err(kube::Error::Api(answer))) if answer.code == 404 => Written::Done,
            Ok(Err(kube::Error::Api(answer))) if answer.code == 409 => {
                self.look_again(&api, key, &version).await
            }
            Ok(Err(kube::Error::Api(answer))) if answer.code == 422 => {
                Written::Refused(kube::Error::Api(answer))
            }
            Ok(Err(error)) => Written::NotYet(error.to_string()),
            Err(_) => Written::NotYet("the API server does not answer".to_owned()),
        }
    }

    /// After a conflict: somebody has changed the spec, or it is another object.
    async fn look_again(&self, api: &Api<Injection>, key: &Key, seen: &Version) -> Written {
        match timeout(ANSWER, api.get_opt(&key.name)).await {
            Ok(Ok(Some(injection))) => match version_of(&injection) {
                Some(version)
                    if version.uid == seen.uid && injection.spec.injection.pod.node == self.node =>
                {
                    self.known().renew(key, version);
                    Written::Again
                }
                // The watch tells the node.
                Some(_) | None => Written::Done,
            },
            Ok(Ok(None)) => Written::Done,
            Ok(Err(error)) => Written::NotYet(error.to_string()),
            Err(_) => Written::NotYet("the API server does not answer".to_owned()),
        }
    }
}

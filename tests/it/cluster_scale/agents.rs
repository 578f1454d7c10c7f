//! What the agents of nodes without machines would write: that they are there, and that whatever is asked for is so. Each
//! renews its proofs every second, as real ones do; where the API server is slower than that, the newest counts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, ResourceExt};
use seatrial::api::{Desired, InjectionState, InjectionStatus, Proof};
use seatrial::resource::{Injection, NodeAgent};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::NAMESPACE;

/// How many requests are under way at once. A thousand agents would have one each.
const AT_ONCE: usize = 64;
/// In how many turns of a second all agents say once that they are there: each does so every twenty seconds, and they do not
/// agree on when.
const BEAT: usize = 20;

/// What agents have seen and said.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub asked: usize,
    pub reverted: usize,
    pub statuses: usize,
    /// The first and the last Injection that was seen, that was said to be in force, that was wanted back, and that was
    /// said to be taken back.
    pub moments: HashMap<&'static str, (Instant, Instant)>,
}

impl Seen {
    fn mark(&mut self, what: &'static str) {
        let now = Instant::now();
        self.moments.entry(what).or_insert((now, now)).1 = now;
    }
}

/// One Injection as its agent knows it.
#[derive(Clone)]
struct Held {
    since: Timestamp,
    desired: Desired,
    is_told: bool,
}

#[derive(Default)]
struct Known {
    held: HashMap<String, Held>,
    seen: Seen,
}

/// All agents.
pub struct Agents {
    runtime: Runtime,
    known: Arc<Mutex<Known>>,
}

impl Agents {
    pub fn start(kubeconfig: &Path, nodes: usize) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let known = Arc::<Mutex<Known>>::default();
        let client = runtime.block_on(connect(kubeconfig));
        runtime.block_on(beat(&client, 0..nodes));
        let (beating, watching, telling) = (client.clone(), client.clone(), client);
        runtime.spawn(async move {
            let turn = nodes.div_ceil(BEAT).max(1);
            for first in (0..nodes).step_by(turn).cycle() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                beat(&beating, first..nodes.min(first + turn)).await;
            }
        });
        runtime.spawn(hear(watching, Arc::clone(&known)));
        runtime.spawn(tell(telling, Arc::clone(&known)));
        Self { runtime, known }
    }

    /// Ends them, and says what they have seen.
    pub fn end(self) -> Seen {
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        self.known.lock().expect("nobody panics with it").seen.clone()
    }
}

async fn connect(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig is readable");
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("it is complete")).expect("a client")
}

fn applied(kind: &str, status: &Value) -> Patch<Value> {
    Patch::Merge(json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": kind, "status": status}))
}

async fn beat(client: &Client, nodes: std::ops::Range<usize>) {
    let agents: Api<NodeAgent> = Api::all(client.clone());
    let status = json!({
        "version": env!("CARGO_PKG_VERSION"), "kernel": "none", "cgroups": "v2",
        "faults": ["processPause"], "injections": 0, "seenAt": Timestamp::now(),
    });
    let told = stream::iter(nodes).map(Ok).try_for_each_concurrent(AT_ONCE, |node| {
        let (agents, status, name) = (agents.clone(), applied("NodeAgent", &status), format!("scale-{node}"));
        async move {
            let object = Patch::Apply(json!({
                "apiVersion": "seatrial.dev/v1alpha1", "kind": "NodeAgent", "metadata": {"name": name}, "spec": {},
            }));
            agents.patch(&name, &PatchParams::apply("agents").force(), &object).await?;
            agents.patch_status(&name, &PatchParams::default(), &status).await.map(drop)
        }
    });
    told.await.expect("the API server takes what agents say");
}

/// Notes what is asked for.
async fn hear(client: Client, known: Arc<Mutex<Known>>) {
    let objects: Api<Injection> = Api::namespaced(client, NAMESPACE);
    let mut events = Box::pin(watcher(objects, Config::default()));
    while let Some(event) = events.next().await {
        let mut known = known.lock().expect("nobody panics with it");
        match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                let name = object.name_any();
                let desired = object.spec.injection.desired;
                if !known.held.contains_key(&name) {
                    known.seen.asked += 1;
                    known.seen.mark("asked");
                    let held = Held { since: Timestamp::now(), desired: Desired::Injected, is_told: false };
                    known.held.insert(name.clone(), held);
                }
                let held = known.held.get_mut(&name).expect("it was put there");
                if held.desired != desired {
                    *held = Held { desired, is_told: false, ..held.clone() };
                    known.seen.mark("wanted back");
                }
            }
            Ok(Event::Delete(object)) => {
                known.held.remove(&object.name_any());
                known.seen.mark("gone");
            }
            Ok(Event::Init | Event::InitDone) | Err(_) => {}
        }
    }
}

/// Says how things stand: what is news at once, proofs every second.
async fn tell(client: Client, known: Arc<Mutex<Known>>) {
    let objects: Api<Injection> = Api::namespaced(client, NAMESPACE);
    let mut proven_at = Instant::now();
    loop {
        let is_due = proven_at.elapsed() >= Duration::from_secs(1);
        if is_due {
            proven_at = Instant::now();
        }
        let due: Vec<(String, Held)> = {
            let known = known.lock().expect("nobody panics with it");
            let wanted = known
                .held
                .iter()
                .filter(|(_, held)| !held.is_told || (is_due && held.desired == Desired::Injected));
            wanted.map(|(name, held)| (name.clone(), held.clone())).collect()
        };
        stream::iter(due)
            .for_each_concurrent(AT_ONCE, |(name, held)| {
                let (objects, known) = (objects.clone(), Arc::clone(&known));
                async move {
                    let status = applied("Injection", &json!(status(&held)));
                    // One that is gone needs no status.
                    if objects.patch_status(&name, &PatchParams::default(), &status).await.is_ok() {
                        told(&mut known.lock().expect("nobody panics with it"), &name, held.desired);
                    }
                }
            })
            .await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn told(known: &mut Known, name: &str, desired: Desired) {
    known.seen.statuses += 1;
    let Some(held) = known.held.get_mut(name).filter(|held| held.desired == desired && !held.is_told) else {
        return;
    };
    held.is_told = true;
    match desired {
        Desired::Injected => known.seen.mark("in force"),
        Desired::Reverted => {
            known.seen.reverted += 1;
            known.seen.mark("taken back");
        }
    }
}

fn status(held: &Held) -> InjectionStatus {
    let now = Timestamp::now();
    let effective_for = Duration::try_from(now.duration_since(held.since)).unwrap_or_default();
    let (state, since) = match held.desired {
        Desired::Injected => (InjectionState::Injected, held.since),
        Desired::Reverted => (InjectionState::Reverted, now),
    };
    let proof = Proof { at: now, holds: true, observed: "nothing is behind this pod".into() };
    InjectionStatus {
        state,
        since,
        proof: Some(proof),
        effective_for,
        error: None,
        done: false,
        measured: None,
    }
}

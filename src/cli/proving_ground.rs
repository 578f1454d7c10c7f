//! A namespace of its own in a cluster with Seatrial installed, with pods that do nothing and can be broken: what `bench`
//! measures on and `soak` kills over.
//!
//! Injections are made as a run makes them, in the name of the namespace's runner and past every admission policy. No runner
//! is started for that: the right to impersonate one, which an administrator has, is enough.
//!
//! What it leaves when it is killed: the namespace, and in it Injections that end by their own deadlines.

mod idle;
mod installed;
mod processes;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::time::{Instant, sleep};

pub(super) use idle::{IDLE, main as idle};
pub(super) use installed::{Installed, node_of};
pub(super) use processes::{container_process, guardians_of, invisible};

use super::args;
use super::console;
use super::exit::Exit;
use super::runtime::{block_on, interrupts};
use crate::platform::kubernetes::access::{self, Access};
use crate::platform::kubernetes::failure::{is_absent, words};
use crate::platform::kubernetes::nodes::Injections;
use crate::resource::{ALLOW_LABEL, Experiment, RUNNER_ACCOUNT};

/// How long pods may take to start, and a namespace to go.
pub(super) const PATIENCE: Duration = Duration::from_mins(5);
/// Between two looks at something that takes seconds.
const PAUSE: Duration = Duration::from_millis(200);

/// The namespace, and who is installed around it.
pub(super) struct ProvingGround {
    pub(super) access: Access,
    pub(super) installed: Installed,
    pub(super) namespace: String,
    image: String,
}

/// Reaches a cluster, makes a namespace there, works in it, and removes it however the work ends.
pub(super) fn with_ground(
    place: &args::Operated,
    purpose: &str,
    what: &str,
    work: impl AsyncFnOnce(&ProvingGround) -> Result<Exit, String>,
) -> Exit {
    let done = block_on(async {
        let access = match access::connect(place.context.context.as_deref()).await {
            Ok(access) => access,
            Err(error) => return Ok(console::failure(&error, Exit::Unreachable)),
        };
        console::say(format_args!("cluster {} ({}), {}", access.context, access.server, access.version));
        if !place.yes {
            let exit = console::error(format_args!("nothing was done: this {what}"), Exit::Usage);
            console::hint("add --yes to do it");
            return Ok(exit);
        }
        let ground = match ProvingGround::make(access, &place.namespace, purpose).await {
            Ok(ground) => ground,
            Err(why) => return Ok(console::error(why, Exit::PreflightUnmet)),
        };
        let mut interrupts = interrupts();
        let done = tokio::select! {
            done = work(&ground) => done,
            Some(_) = interrupts.recv() => Err("interrupted".into()),
        };
        let ended = ground.end().await;
        Ok(match (done, ended) {
            (Err(why), ended) => {
                if let Err(left) = ended {
                    console::say(left);
                }
                console::error(why, Exit::Unexpected)
            }
            (Ok(_), Err(left)) => console::error(left, Exit::RevertFailed),
            (Ok(exit), Ok(())) => exit,
        })
    });
    done.unwrap_or_else(|why| console::error(why, Exit::Unexpected))
}

impl ProvingGround {
    async fn make(access: Access, system: &str, purpose: &str) -> Result<Self, String> {
        let installed = Installed::new(access.client.clone(), system);
        let image = installed.image().await?;
        let namespaces: Api<Namespace> = Api::all(access.client.clone());
        let asked: Namespace = written(json!({ "metadata": {
            "generateName": format!("seatrial-{purpose}-"),
            "labels": { ALLOW_LABEL: "true" },
        } }));
        let made = namespaces.create(&PostParams::default(), &asked).await;
        let made = made.map_err(told("make a namespace"))?;
        let ground = Self { access, installed, namespace: made.name_any(), image };
        match ground.let_run().await {
            Ok(()) => Ok(ground),
            Err(why) => {
                let _ = ground.end().await;
                Err(why)
            }
        }
    }

    /// What the controller gives to runners before it starts the first one.
    async fn let_run(&self) -> Result<(), String> {
        let account: ServiceAccount = written(json!({ "metadata": { "name": RUNNER_ACCOUNT } }));
        let made = self.objects::<ServiceAccount>().create(&PostParams::default(), &account).await;
        made.map_err(told("make a service account"))?;
        let binding: RoleBinding = written(json!({
            "metadata": { "name": RUNNER_ACCOUNT },
            "subjects": [{ "kind": "ServiceAccount", "name": RUNNER_ACCOUNT, "namespace": self.namespace }],
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": RUNNER_ACCOUNT,
            },
        }));
        let made = self.objects::<RoleBinding>().create(&PostParams::default(), &binding).await;
        made.map_err(told("bind the rights of runners")).map(drop)
    }

    /// The objects of a kind in this namespace.
    pub(super) fn objects<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.access.client.clone(), &self.namespace)
    }

    pub(super) fn client(&self) -> &Client {
        &self.access.client
    }

    /// The Injections of a run, in the name of its runner.
    pub(super) fn run(&self, run: &str) -> Result<Injections, String> {
        let client = self.access.impersonate(&self.namespace, RUNNER_ACCOUNT, run);
        let client = client.map_err(|error| error.to_string())?;
        Ok(Injections::of(&client, &self.namespace, run, None))
    }

    /// Starts a StatefulSet of pods that do nothing, all on one node where one is named.
    pub(super) async fn start(&self, set: &str, replicas: usize, node: Option<&str>) -> Result<(), String> {
        let set = written(idle::stateful_set(set, replicas, node, &self.image));
        let made = self.objects().create(&PostParams::default(), &set).await;
        made.map(|_: k8s_openapi::api::apps::v1::StatefulSet| ()).map_err(told("make a StatefulSet"))
    }

    /// Waits until so many pods are Ready whose StatefulSet has such a name; they are those.
    pub(super) async fn ready(&self, sets: &str, count: usize) -> Result<Vec<Pod>, String> {
        let ours = kube::api::ListParams::default().labels(&format!("{}={sets}", idle::SETS_LABEL));
        let mut last = String::new();
        let pods = until(PATIENCE, async || {
            let pods = self.objects::<Pod>().list(&ours).await.map_err(told("list pods"))?.items;
            let unready: Vec<&Pod> = pods.iter().filter(|pod| !is_ready(pod)).collect();
            last = unready.first().map_or_else(
                || format!("{} of {count} pods are there", pods.len()),
                |pod| format!("{} is not Ready: {}", pod.name_any(), hindrance(pod)),
            );
            Ok((unready.is_empty() && pods.len() >= count).then_some(pods))
        });
        let pods = pods.await?;
        pods.ok_or_else(|| format!("the pods to break did not start within {} s: {last}", PATIENCE.as_secs()))
    }

    /// Removes the namespace, and waits until it is gone.
    async fn end(&self) -> Result<(), String> {
        // The runners that live here take everything back first, and the controller hears of it.
        let experiments = self.objects::<Experiment>();
        let all = kube::api::ListParams::default();
        let _ = experiments.delete_collection(&DeleteParams::default(), &all).await;
        let bindings: Api<ClusterRoleBinding> = Api::all(self.access.client.clone());
        let binding = format!("{RUNNER_ACCOUNT}-{}", self.namespace);
        gone(bindings.delete(&binding, &DeleteParams::default()).await)?;
        let namespaces: Api<Namespace> = Api::all(self.access.client.clone());
        gone(namespaces.delete(&self.namespace, &DeleteParams::default()).await)?;
        let ended = until(PATIENCE, async || {
            let found = namespaces.get_opt(&self.namespace).await.map_err(told("look at the namespace"))?;
            Ok(found.is_none().then_some(()))
        });
        match ended.await? {
            Some(()) => Ok(()),
            None => Err(format!("namespace {} does not go", self.namespace)),
        }
    }
}

/// Asks until there is an answer, for at most `limit`.
pub(super) async fn until<T>(
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, String>,
) -> Result<Option<T>, String> {
    let end = Instant::now() + limit;
    loop {
        let answer = ask().await;
        if matches!(answer, Ok(Some(_))) || Instant::now() >= end {
            return answer;
        }
        // An API server that does not answer just now may do so in a moment.
        sleep(PAUSE).await;
    }
}

/// What could not be done, with the API server's words.
pub(super) fn told(doing: &'static str) -> impl Fn(kube::Error) -> String {
    move |error| format!("cannot {doing}: {}", words(&error))
}

/// Whether a pod's containers all run and say that they are ready.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Why a pod does not run, as far as it says.
fn hindrance(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        waiting.message.clone().or_else(|| waiting.reason.clone())
    });
    let unmet = status.conditions.iter().flatten().find(|condition| condition.status == "False");
    waiting.or_else(|| unmet?.message.clone()).unwrap_or_else(|| "nothing says why".into())
}

fn written<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("written in the shape of its kind")
}

fn gone<T>(answer: kube::Result<T>) -> Result<(), String> {
    match answer {
        Err(error) if !is_absent(&error) => Err(told("remove what was made")(error)),
        Ok(_) | Err(_) => Ok(()),
    }
}

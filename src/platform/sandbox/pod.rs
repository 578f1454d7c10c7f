//! One pod, from its creation to its end: what a kubelet does for it.
//!
//! A pod outlives its pod sandbox (its first process with the namespaces): when that dies, volumes are unmounted and
//! mounted again, a new one is made with a new address, and the containers start again in the same pod with the same
//! UID. A deleted pod gets its grace period, then everything of it is killed and removed; its claims stay.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::holder::Holder;
use super::network::{GATEWAY, Network};
use super::set::Set;
use super::wanted::EnvChange;
use crate::api::{ContainerStatus, Ordinal, Pod, PodPhase};
use crate::host::cgroup;
use crate::node::LocatedPod;

mod backoff;
mod environment;
mod hooks;
mod last_words;
mod order;
mod owner;
mod plan;
mod probing;
mod shown;
mod status;
mod supervise;
mod volumes;

pub use owner::Group;

use environment::PodFacts;
use supervise::History;
use volumes::Volumes;

/// How long to wait after a pod sandbox that could not be made.
const RETRY: Duration = Duration::from_secs(1);
/// For how long killed processes may wait for a volume.
const PATIENCE: Duration = Duration::from_secs(10);

/// When a deleted pod's grace ends; `None` while it is not deleted.
pub type Deadline = Option<Instant>;

/// How long containers have after their grace where a hook took it, as with a kubelet.
const AFTER_HOOKS: Duration = Duration::from_secs(2);

/// Whether a pod is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    /// It is not.
    No,
    /// It has been deleted.
    Asked,
    /// Its grace is over, which hooks must not outlast.
    Overdue,
}

/// A pod sandbox that is up, as its containers' supervisors see it.
#[derive(Clone)]
struct PodSandbox<'a> {
    set: &'a Set,
    facts: &'a PodFacts,
    volumes: &'a Volumes,
    holder: &'a Holder,
    /// Whether the pod is going.
    stopping: watch::Receiver<Going>,
    /// Whether its containers may be asked to end then; sidecars have turns of their own.
    turn: watch::Receiver<order::Turn>,
    /// Told once a container has started: its hook is done, and its startup probe has succeeded.
    has_started: watch::Sender<bool>,
}

/// Who a pod is from its creation to its end.
struct Identity {
    ordinal: Ordinal,
    name: String,
    uid: String,
    /// What its template has in place of the manifest's variables.
    env: Vec<EnvChange>,
}

/// What the containers of a pod have behind them.
struct Histories {
    init: Vec<History>,
    main: Vec<History>,
}

/// Runs the pod of `ordinal` to its end.
pub async fn run(set: Arc<Set>, ordinal: Ordinal, mut deletion: watch::Receiver<Deadline>) {
    let uid = new_uid();
    let name = format!("{}-{ordinal}", set.spec.name);
    let env = set.board.insert(pending(&set, &name, ordinal, &uid));
    let pod = Identity { ordinal, name, uid, env };
    let Identity { name, uid, .. } = &pod;
    let template = &set.spec.pod;
    let mut histories = Histories {
        init: vec![History::default(); template.init_containers.len()],
        main: vec![History::default(); template.containers.len()],
    };
    while deletion.borrow().is_none() {
        set.held.wait(&set.board, ordinal, uid, &mut deletion).await;
        if deletion.borrow().is_some() {
            break;
        }
        if let Err(error) = run_sandbox(&set, &pod, &mut histories, &mut deletion).await {
            tracing::warn!(pod = name, %error, "the pod sandbox failed");
            set.board.update(ordinal, |entry| {
                for status in &mut entry.pod.containers {
                    status.waiting = Some(format!("ContainerCreating ({error})"));
                }
            });
            let _ = tokio::time::timeout(RETRY, deletion.wait_for(Option::is_some)).await;
        }
    }
    if let Err(error) = volumes::remove_empty_dirs(&set, uid).await {
        tracing::warn!(pod = name, %error, "cannot remove the pod's emptyDirs");
    }
    set.board.remove(ordinal);
}

/// Makes a pod sandbox and runs the pod in it, until one of them ends; nothing of it is left then.
async fn run_sandbox(
    set: &Set,
    pod: &Identity,
    histories: &mut Histories,
    deletion: &mut watch::Receiver<Deadline>,
) -> io::Result<()> {
    let Identity { name, uid, .. } = pod;
    let mut volumes = Volumes::mount(set, name, uid).await?;
    let result = run_with_volumes(set, pod, &volumes, histories, deletion).await;
    set.board.update(pod.ordinal, |entry| {
        entry.located = None;
        entry.pod.ip = None;
        for status in &mut entry.pod.containers {
            status.running = false;
            status.ready = false;
        }
    });
    for path in set.world.pod_cgroups(uid) {
        let removed =
            tokio::task::spawn_blocking(move || cgroup::remove(&path, Duration::from_secs(5))).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(pod = name, %error, "cannot remove the pod's cgroup");
        }
    }
    result.and(volumes.unmount().await)
}

async fn run_with_volumes(
    set: &Set,
    pod: &Identity,
    volumes: &Volumes,
    histories: &mut Histories,
    deletion: &mut watch::Receiver<Deadline>,
) -> io::Result<()> {
    let Identity { ordinal, name, uid, env } = pod;
    let holder = Holder::start(&set.world, &set.hostname(name))?;
    let result = async {
        let lease = set.world.network.lease();
        Network::connect(lease, holder.pid())?;
        holder.configure_network(lease.address).await?;
        set.board.update(*ordinal, |entry| {
            entry.pod.ip = Some(IpAddr::V4(lease.address));
            entry.located = Some(LocatedPod {
                uid: uid.clone(),
                holder: holder.pid().as_raw(),
                containers: Vec::new(),
                unnamed: Vec::new(),
                volumes: volumes.located(),
                unreached: Vec::new(),
            });
        });
        let facts = PodFacts {
            name: name.clone(),
            ordinal: *ordinal,
            uid: uid.clone(),
            address: lease.address,
            host: GATEWAY,
            node: set.world.setup.options.name.clone(),
            env: env.clone(),
        };
        shown::show(set, &facts)?;
        live(set, &facts, volumes, &holder, histories, deletion).await;
        Ok(())
    }
    .await;
    holder.kill();
    if tokio::time::timeout(PATIENCE, holder.ended()).await.is_err() {
        volumes.give_up();
        holder.ended().await;
    }
    result
}

/// Runs the containers until the pod's first process dies, or the pod is deleted and its containers have ended or its
/// grace has.
async fn live(
    set: &Set,
    facts: &PodFacts,
    volumes: &Volumes,
    holder: &Holder,
    histories: &mut Histories,
    deletion: &mut watch::Receiver<Deadline>,
) {
    let (stop, stopping) = watch::channel(Going::No);
    let (_, turn) = watch::channel(order::Turn::Ends);
    let has_started = watch::Sender::new(false);
    let pod = PodSandbox { set, facts, volumes, holder, stopping, turn, has_started };
    let has_hooks = set.spec.pod.lasting().any(|container| container.pre_stop.is_some());
    let containers = order::run(&pod, histories);
    tokio::pin!(containers);
    loop {
        let deadline = *deletion.borrow_and_update();
        if deadline.is_some() {
            set.board.update(facts.ordinal, |entry| entry.pod.phase = PodPhase::Terminating);
            stop.send_replace(Going::Asked);
        }
        let grace_ends = async {
            match deadline {
                Some(time) => tokio::time::sleep_until(time.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = holder.ended() => return,
            // What was not synced on it is lost: that is a power cut, and only a new mount ends it.
            () = volumes.broken() => return,
            () = &mut containers => {
                // They end because the pod is going, or because its first process is.
                if deadline.is_some() {
                    return;
                }
                return holder.ended().await;
            }
            _ = deletion.changed() => {}
            () = grace_ends => {
                if has_hooks {
                    stop.send_replace(Going::Overdue);
                    let _ = tokio::time::timeout(AFTER_HOOKS, &mut containers).await;
                }
                return;
            }
        }
    }
}

fn pending(set: &Set, name: &str, ordinal: Ordinal, uid: &str) -> Pod {
    let containers = set.spec.pod.lasting();
    Pod {
        name: name.to_owned(),
        ordinal,
        uid: uid.to_owned(),
        ip: None,
        node: set.world.setup.options.name.clone(),
        phase: PodPhase::Pending,
        ready: false,
        revision: None,
        containers: containers
            .map(|container| ContainerStatus {
                name: container.name.clone(),
                running: false,
                ready: false,
                restarts: 0,
                waiting: Some("ContainerCreating".to_owned()),
            })
            .collect(),
    }
}

/// A random UUID (RFC 9562, version 4).
fn new_uid() -> String {
    let bits = rand::random::<u128>();
    let bits = bits & !(0xf << 76) | (4 << 76);
    let bits = bits & !(0x3 << 62) | (2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

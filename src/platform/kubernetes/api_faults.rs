//! What a run does through the API server itself: faults of the control plane, and actions.
//!
//! Each is an Injection like any other, whose pod has no node; the object is there before anything changes. What it
//! promises:
//!
//! - every change of a foreign object carries how it is put back in the same request ([`crate::resource::Undo`]), so that
//!   the controller and the reaper can do it when the runner is gone; an object that somebody changed already is refused,
//! - an effect counts only once it was seen, and is looked for again every second,
//! - a revert needs no memory: it goes by what the objects say, so that a runner that was restarted can do it; it is
//!   tried until it is done, and verified by reading the object again.

mod attach_block;
mod budget;
mod delete_claims;
mod deny;
mod effect;
mod evict;
mod made;
mod neighbours;
mod node_down;
mod policy;
mod restart;
mod restore_snapshot;
mod set;
mod take_snapshot;
mod template;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use tokio::sync::{mpsc, watch};

use self::effect::{Effect, Look, Obstacle};
use crate::api::{Desired, InjectionSpec, InjectionState, InjectionStatus};
use crate::platform::proving::Proving;

/// How often an effect is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// How often it is looked for until it was seen, and a revert that is not done yet is tried.
const SOON: Duration = Duration::from_millis(300);

/// Where faults happen.
#[derive(Clone)]
pub struct Site {
    /// For requests.
    pub client: Client,
    /// The target's namespace.
    pub namespace: String,
    /// The target's StatefulSet, if it is one.
    pub set: Option<String>,
    /// The further StatefulSets that steps act on.
    pub others: BTreeSet<String>,
    /// `spec.guards.allowQuorumLoss`: whether other StatefulSets on a node may lose their majority.
    pub allow_quorum_loss: bool,
    /// The name of the pod that this runs in, if any: its node is never taken away, and pods that read restored volumes
    /// are of its image.
    pub own_pod: Option<String>,
    /// Who owns what is made here: it goes when the owner goes.
    pub owner: Option<OwnerReference>,
    /// When the run is over for certain: what it made may be removed then by whoever finds it.
    pub over_by: Timestamp,
}

impl Site {
    /// The same where an Injection acts: its StatefulSet is that of the step.
    fn of(&self, spec: &InjectionSpec) -> Self {
        let named = spec.pod.set();
        let other = self.others.contains(named).then(|| named.to_owned());
        Self { set: other.or_else(|| self.set.clone()), ..self.clone() }
    }
}

/// The Injections of one run that no node has a part in.
pub struct ApiFaults {
    site: Site,
    reports: mpsc::Sender<(String, InjectionStatus)>,
    going: Mutex<HashMap<String, Going>>,
}

/// One that is being carried out.
struct Going {
    wish: watch::Sender<InjectionSpec>,
    said: watch::Receiver<InjectionStatus>,
}

impl ApiFaults {
    /// None yet. Statuses come out of the channel; whoever has it writes them into the objects.
    pub fn new(site: Site) -> (Self, mpsc::Receiver<(String, InjectionStatus)>) {
        let (reports, reported) = mpsc::channel(64);
        (Self { site, reports, going: Mutex::default() }, reported)
    }

    /// Makes an Injection so: begins with it, or reverts it. Must be called after the object was written.
    pub fn put(&self, spec: InjectionSpec) {
        let mut going = self.going.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = going.get(&spec.name)
            && task.wish.send(spec.clone()).is_ok()
        {
            return;
        }
        let site = self.site.of(&spec);
        let (wish, wished) = watch::channel(spec.clone());
        let proving = Proving::default();
        let (say, said) = watch::channel(proving.status());
        let told = Told { name: spec.name.clone(), proving, reports: self.reports.clone(), say };
        going.insert(spec.name, Going { wish, said });
        tokio::spawn(carry_out(site, wished, told));
    }

    /// How one stands.
    pub fn said(&self, name: &str) -> Option<InjectionStatus> {
        let going = self.going.lock().unwrap_or_else(PoisonError::into_inner);
        going.get(name).map(|going| going.said.borrow().clone())
    }

    /// Forgets an Injection whose status is final.
    pub fn forget(&self, name: &str) {
        self.going.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// One Injection, from its first word to its verified end.
async fn carry_out(site: Site, mut wished: watch::Receiver<InjectionSpec>, mut told: Told) {
    let spec = wished.borrow_and_update().clone();
    let ends = Instant::now() + spec.deadline.within;
    let mut effect = match effect::of(&site, &spec) {
        Ok(effect) => effect,
        Err(why) => {
            told.change(|proving| proving.failed(why)).await;
            return;
        }
    };
    let end = match spec.desired {
        Desired::Reverted => End::MayBeThere(None),
        Desired::Injected => hold(&mut *effect, &mut wished, ends, &spec, &mut told).await,
    };
    if let End::MayBeThere(refused) = end {
        take_back(&mut *effect, refused, &mut told).await;
    }
    // Somebody may ask again for a revert that is done: it is said again.
    while wished.changed().await.is_ok() {
        told.say().await;
    }
}

/// How it came to its end.
enum End {
    /// Nothing is left, and that is told.
    Told,
    /// Something may be left. With the reason why it could not be made whole, where that was it.
    MayBeThere(Option<String>),
}

/// Injects, and looks until the end is asked for or due.
async fn hold(
    effect: &mut dyn Effect,
    wished: &mut watch::Receiver<InjectionSpec>,
    ends: Instant,
    spec: &InjectionSpec,
    told: &mut Told,
) -> End {
    let mut is_injected = false;
    loop {
        let is_asked_back = wished.borrow_and_update().desired == Desired::Reverted;
        if is_asked_back || Instant::now() >= ends || Timestamp::now() >= spec.deadline.at {
            return End::MayBeThere(None);
        }
        if !is_injected {
            match effect.inject().await {
                Ok(()) => is_injected = true,
                Err(Obstacle::Later(why)) => told.change(|proving| proving.misses(why)).await,
                Err(Obstacle::Refused(why)) => {
                    return End::MayBeThere(Some(why));
                }
            }
        }
        if is_injected {
            match effect.look().await {
                Look::Seen(observed) => told.change(|proving| proving.holds(observed)).await,
                Look::Missed(why) => told.change(|proving| proving.misses(why)).await,
                Look::Done(observed) => {
                    told.change(|proving| proving.holds(observed)).await;
                    told.change(Proving::done).await;
                    return End::Told;
                }
            }
        }
        let pause =
            if told.proving.status().state == InjectionState::Injected { effect.pace() } else { SOON };
        let _ = tokio::time::timeout(pause, wished.changed()).await;
    }
}

/// Reverts until it is done. What was refused has failed then.
async fn take_back(effect: &mut dyn Effect, refused: Option<String>, told: &mut Told) {
    while let Err(left) = effect.revert().await {
        let why = match &refused {
            Some(refused) => format!("{refused}; and what was begun is not taken back yet: {left}"),
            None => left,
        };
        told.change(|proving| proving.revert_failed(why)).await;
        tokio::time::sleep(SOON).await;
    }
    let outcome = effect.outcome();
    told.change(|proving| match refused {
        Some(why) => proving.failed(why),
        None => proving.taken_back(outcome),
    })
    .await;
}

/// The status, and who hears of it.
struct Told {
    name: String,
    proving: Proving,
    reports: mpsc::Sender<(String, InjectionStatus)>,
    say: watch::Sender<InjectionStatus>,
}

impl Told {
    async fn change(&mut self, change: impl FnOnce(&mut Proving)) {
        let before = self.proving.status();
        change(&mut self.proving);
        if self.proving.status() != before {
            self.say().await;
        }
    }

    async fn say(&self) {
        self.say.send_replace(self.proving.status());
        let _ = self.reports.send((self.name.clone(), self.proving.status())).await;
    }
}

/// Writes statuses into the objects of a run, for as long as any come. A status that cannot be written now is overtaken
/// by the next one, which comes within a second while the effect is there, and is tried until then.
pub async fn write_statuses(
    objects: kube::Api<crate::resource::Injection>,
    mut reported: mpsc::Receiver<(String, InjectionStatus)>,
) {
    let parameters = kube::api::PatchParams::apply(super::RUNNER).force();
    while let Some((name, status)) = reported.recv().await {
        let object = serde_json::json!({
            "apiVersion": crate::spec::API_VERSION,
            "kind": "Injection",
            "status": status,
        });
        let patch = kube::api::Patch::Apply(object);
        let written = super::failure::insist(|| objects.patch_status(&name, &parameters, &patch)).await;
        if let Err(error) = written {
            tracing::warn!(injection = name, %error, "its status could not be written");
        }
    }
}

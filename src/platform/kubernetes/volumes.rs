//! The claims of a target and the nodes that their volumes are attached to: a watch on both, folded into one list.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment};
use kube::runtime::watcher::Config;
use kube::{Api, Client, Error, ResourceExt};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::claims::Owners;
use super::pulse;
use super::watching::{Known, watch};
use crate::api::{ClaimedVolume, Ordinal, Volumes};

/// How long an answer about a volume may take, and how long after a failure it is asked for again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Follows a target's claims in a namespace.
pub fn follow(client: Client, namespace: &str, mut owners: Owners) -> mpsc::Receiver<Volumes> {
    let (sender, told) = mpsc::channel(16);
    let mut heard = pulse::follow(client.clone(), namespace);
    let of_namespace = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace);
    tokio::spawn(async move {
        let hear_claims = || watch(of_namespace.clone(), Config::default(), "the target's claims");
        let of_cluster = Api::<VolumeAttachment>::all(client.clone());
        let hear_attachments = || watch(of_cluster.clone(), Config::default(), "VolumeAttachments");
        let (mut claim_events, mut attachment_events) = (hear_claims(), hear_attachments());
        let (mut known, mut attached) = (Known::default(), Known::default());
        let mut kinds = Kinds::new(client);
        let mut last = None;
        loop {
            tokio::select! {
                Some(event) = claim_events.next() => known.hear(event),
                Some(event) = attachment_events.next() => attached.hear(event),
                Ok(()) = owners.changed() => {}
                Some(()) = kinds.answered() => {}
                Ok(()) = heard.changed() => {
                    // A watch may not know yet that its connection is dead, so what is true now is asked for anew.
                    if *heard.borrow() {
                        (claim_events, attachment_events) = (hear_claims(), hear_attachments());
                        (known, attached) = (Known::default(), Known::default());
                    }
                }
                () = sender.closed() => return,
            }
            if !known.is_complete() {
                continue;
            }
            let is_ours = |claim: &&PersistentVolumeClaim| owners.of(&claim.name_any()).is_some();
            for name in known.iter().filter(is_ours).filter_map(volume_of) {
                kinds.ask(name);
            }
            let claims = claimed(&owners, &known, &attached, &kinds.known);
            let now = Some(Volumes { claims, unheard: !*heard.borrow() });
            if now != last
                && let Some(now) = now.clone()
                && sender.send(now).await.is_err()
            {
                return;
            }
            last = now;
        }
    });
    told
}

/// Which PersistentVolumes Kubernetes attaches, by name.
struct Kinds {
    client: Client,
    known: BTreeMap<String, bool>,
    asked: BTreeSet<String>,
    answers: FuturesUnordered<BoxFuture<'static, (String, bool)>>,
}

impl Kinds {
    fn new(client: Client) -> Self {
        Self { client, known: BTreeMap::new(), asked: BTreeSet::new(), answers: FuturesUnordered::new() }
    }

    /// Asks for a volume once, without waiting: an API server that is slow must not hold back what was heard. Until its
    /// answer is there, it counts as one that is not attached, because nobody can say that it has to be.
    fn ask(&mut self, name: &str) {
        if self.asked.insert(name.to_owned()) {
            self.answers.push(learn(self.client.clone(), name.to_owned()).boxed());
        }
    }

    /// Waits for an answer; nothing where none is to come.
    async fn answered(&mut self) -> Option<()> {
        let (name, is_attachable) = self.answers.next().await?;
        self.known.insert(name, is_attachable);
        Some(())
    }
}

/// Asks for a volume until it is known whether Kubernetes attaches it.
async fn learn(client: Client, name: String) -> (String, bool) {
    let mut is_warned = false;
    loop {
        match timeout(PATIENCE, is_attachable(&client, &name)).await {
            Ok(Ok(Some(is_attachable))) => return (name, is_attachable),
            Ok(Err(error)) if !is_warned => {
                tracing::warn!(%error, volume = name, "whether it is attached to nodes cannot be read");
                is_warned = true;
            }
            Ok(Ok(None) | Err(_)) | Err(_) => {}
        }
        sleep(PATIENCE).await;
    }
}

/// Whether a PersistentVolume is attached to nodes by its CSI driver; nothing where it does not exist.
async fn is_attachable(client: &Client, name: &str) -> Result<Option<bool>, Error> {
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let Some(volume) = volumes.get_opt(name).await? else { return Ok(None) };
    let Some(csi) = volume.spec.and_then(|spec| spec.csi) else { return Ok(Some(false)) };
    let drivers: Api<CSIDriver> = Api::all(client.clone());
    let driver = drivers.get_opt(&csi.driver).await?;
    // A driver that registered nothing is attached.
    Ok(Some(driver.is_none_or(|driver| driver.spec.attach_required != Some(false))))
}

fn volume_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.volume_name.as_deref().filter(|name| !name.is_empty())
}

fn claimed(
    owners: &Owners,
    known: &Known<PersistentVolumeClaim>,
    attached: &Known<VolumeAttachment>,
    attachable: &BTreeMap<String, bool>,
) -> Vec<ClaimedVolume> {
    let ours = known.iter().filter_map(|claim| {
        let name = claim.name_any();
        let members = owners.of(&name)?;
        let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
        let volume = volume_of(claim);
        let of_volume = || {
            attached.iter().filter(|attachment| {
                volume.is_some() && attachment.spec.source.persistent_volume_name.as_deref() == volume
            })
        };
        let (mut nodes, mut errors) = (Vec::new(), BTreeMap::new());
        for attachment in of_volume() {
            let Some(status) = &attachment.status else { continue };
            let node = &attachment.spec.node_name;
            // What is being detached cannot be relied on, and has to be attached anew.
            if status.attached && attachment.metadata.deletion_timestamp.is_none() {
                nodes.push(node.clone());
            }
            let said = status.detach_error.as_ref().or(status.attach_error.as_ref());
            if let Some(error) = said.and_then(|error| error.message.clone()) {
                errors.insert(node.clone(), error);
            }
        }
        let told = ClaimedVolume {
            ordinal: None,
            uid: claim.uid().unwrap_or_default(),
            deleted: claim.metadata.deletion_timestamp.is_some(),
            lost: phase == Some("Lost"),
            // Without the whole list of attachments every volume would look as if it had to be attached.
            attachable: attached.is_complete()
                && volume.is_some_and(|volume| attachable.get(volume).copied().unwrap_or(false)),
            nodes,
            errors,
            claim: name,
        };
        Some(each(told, &members))
    });
    ours.flatten().collect()
}

/// A claim for each of its members, and once where it has none.
fn each(claim: ClaimedVolume, members: &BTreeSet<Ordinal>) -> Vec<ClaimedVolume> {
    if members.is_empty() {
        return vec![claim];
    }
    members.iter().map(|&member| ClaimedVolume { ordinal: Some(member), ..claim.clone() }).collect()
}

#[cfg(test)]
mod tests;

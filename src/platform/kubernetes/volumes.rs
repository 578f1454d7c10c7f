//! The claims of a target and the nodes that their volumes are attached to: a watch on both, folded into one list.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{CSIDriver, VolumeAttachment};
use kube::runtime::watcher::Config;
use kube::{Api, Client, Error, ResourceExt};
use tokio::sync::mpsc;

use super::claims::Owners;
use super::watching::{Known, watch};
use crate::api::{ClaimedVolume, Ordinal, Volumes};

/// Follows a target's claims in a namespace.
pub fn follow(client: Client, namespace: &str, mut owners: Owners) -> mpsc::Receiver<Volumes> {
    let (sender, told) = mpsc::channel(16);
    let of_namespace = Api::<PersistentVolumeClaim>::namespaced(client.clone(), namespace);
    tokio::spawn(async move {
        let mut claim_events = watch(of_namespace, Config::default(), "the target's claims");
        let attachments = Api::<VolumeAttachment>::all(client.clone());
        let mut attachment_events = watch(attachments, Config::default(), "VolumeAttachments");
        let (mut known, mut attached) = (Known::default(), Known::default());
        let mut kinds = Kinds { client, known: BTreeMap::new() };
        let mut last = None;
        loop {
            tokio::select! {
                Some(event) = claim_events.next() => known.hear(event),
                Some(event) = attachment_events.next() => attached.hear(event),
                Ok(()) = owners.changed() => {}
                () = sender.closed() => return,
            }
            if !known.is_complete() {
                continue;
            }
            let is_ours = |claim: &&PersistentVolumeClaim| owners.of(&claim.name_any()).is_some();
            for name in known.iter().filter(is_ours).filter_map(volume_of) {
                kinds.learn(name).await;
            }
            let now = Some(volumes(&owners, &known, &attached, &kinds.known));
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
}

impl Kinds {
    /// Asks once for each volume. One that cannot be read is asked for again at the next change, and counts as one that is
    /// not attached until then, because nobody can say that it has to be.
    async fn learn(&mut self, name: &str) {
        if self.known.contains_key(name) {
            return;
        }
        match is_attachable(&self.client, name).await {
            Ok(Some(is_attachable)) => {
                self.known.insert(name.to_owned(), is_attachable);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, volume = name, "whether it is attached to nodes cannot be read");
            }
        }
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

fn volumes(
    owners: &Owners,
    known: &Known<PersistentVolumeClaim>,
    attached: &Known<VolumeAttachment>,
    attachable: &BTreeMap<String, bool>,
) -> Volumes {
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
    Volumes { claims: ours.flatten().collect() }
}

/// A claim for each of its members, and once where it has none.
fn each(claim: ClaimedVolume, members: &BTreeSet<Ordinal>) -> Vec<ClaimedVolume> {
    if members.is_empty() {
        return vec![claim];
    }
    members.iter().map(|&member| ClaimedVolume { ordinal: Some(member), ..claim.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};
    use tokio::sync::watch;

    use super::*;
    use crate::platform::kubernetes::claims::Mounts;

    fn known<K: kube::Resource + serde::de::DeserializeOwned>(objects: &[Value]) -> Known<K> {
        let mut known = Known::default();
        known.hear(Event::Init);
        for object in objects {
            known.hear(Event::InitApply(
                serde_json::from_value(object.clone()).expect("an object of Kubernetes"),
            ));
        }
        known.hear(Event::InitDone);
        known
    }

    fn claim(name: &str, volume: &str, phase: &str) -> Value {
        json!({
            "metadata": { "name": name, "uid": format!("uid-{name}") },
            "spec": { "volumeName": volume },
            "status": { "phase": phase },
        })
    }

    fn attachment(name: &str, volume: &str, node: &str, status: &Value) -> Value {
        json!({
            "metadata": { "name": name },
            "spec": { "attacher": "d", "nodeName": node, "source": { "persistentVolumeName": volume } },
            "status": status,
        })
    }

    #[test]
    fn a_volume_that_is_being_detached_is_not_attached_and_each_node_has_its_own_reason() {
        let (_sender, mounts) = watch::channel(Mounts::new());
        let owners = Owners::new("db".into(), vec!["data".into()], mounts);
        let status = json!({ "attached": true, "detachError": { "message": "it is in use" } });
        let mut leaving = attachment("a", "pv-0", "n1", &status);
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let failed = json!({ "attached": false, "attachError": { "message": "the disk is busy" } });
        let attachments = [leaving, attachment("b", "pv-0", "n2", &failed)];
        let claims = known(&[claim("data-db-0", "pv-0", "Bound")]);
        let told = volumes(&owners, &claims, &known(&attachments), &BTreeMap::new());
        assert_eq!(told.claims[0].nodes, [""; 0]);
        let errors = [("n1", "it is in use"), ("n2", "the disk is busy")];
        assert_eq!(told.claims[0].errors, errors.map(|(node, why)| (node.into(), why.into())).into());
    }

    #[test]
    fn a_claim_is_told_without_attachments_and_when_its_deletion_is_asked_for() {
        let (_sender, mounts) = watch::channel(Mounts::new());
        let owners = Owners::new("db".into(), vec!["data".into()], mounts);
        let mut held = claim("data-db-0", "pv-0", "Bound");
        held["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let claims = known(&[held, claim("data-db-1", "pv-1", "Bound")]);
        let attachable = BTreeMap::from([("pv-0".to_owned(), true), ("pv-1".to_owned(), true)]);
        let told = volumes(&owners, &claims, &Known::default(), &attachable);
        let told: Vec<_> = told.claims.iter().map(|claim| (claim.deleted, claim.attachable)).collect();
        assert_eq!(told, [(true, false), (false, false)]);
    }

    #[test]
    fn a_claim_is_told_with_the_nodes_that_have_its_volume_and_with_what_the_attacher_says() {
        let mounts = Mounts::from([("shared".to_owned(), BTreeSet::from([0, 1]))]);
        let (_sender, mounts) = watch::channel(mounts);
        let owners = Owners::new("db".into(), vec!["data".into()], mounts);
        let objects = [
            claim("data-db-0", "pv-0", "Bound"),
            claim("data-db-1", "pv-1", "Lost"),
            claim("of-somebody-else", "pv-9", "Bound"),
            claim("shared", "", "Pending"),
        ];
        let failed = json!({ "attached": false, "attachError": { "message": "the disk is busy" } });
        let attachments = [
            attachment("a", "pv-0", "n1", &json!({ "attached": true })),
            attachment("b", "pv-0", "n2", &failed),
            attachment("c", "pv-9", "n1", &json!({ "attached": true })),
        ];
        let attachable = BTreeMap::from([("pv-0".to_owned(), true), ("pv-1".to_owned(), false)]);
        let told = volumes(&owners, &known(&objects), &known(&attachments), &attachable);
        let volume = |ordinal: Ordinal| ClaimedVolume {
            claim: format!("data-db-{ordinal}"),
            ordinal: Some(ordinal),
            uid: format!("uid-data-db-{ordinal}"),
            deleted: false,
            lost: false,
            attachable: false,
            nodes: Vec::new(),
            errors: BTreeMap::new(),
        };
        let first = ClaimedVolume {
            attachable: true,
            nodes: vec!["n1".into()],
            errors: BTreeMap::from([("n2".into(), "the disk is busy".into())]),
            ..volume(0)
        };
        let shared =
            |ordinal| ClaimedVolume { claim: "shared".into(), uid: "uid-shared".into(), ..volume(ordinal) };
        let second = ClaimedVolume { lost: true, ..volume(1) };
        assert_eq!(told.claims, [first, second, shared(0), shared(1)]);
    }
}

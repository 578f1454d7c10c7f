//! Which claims are a target's, and whose: those that its templates name, and those that its pods mount.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::sync::watch;

use super::pods::ordinal;
use crate::api::{Ordinal, Snapshot};

/// Claims that pods mount, by name, each with the members whose pods these are.
pub type Mounts = BTreeMap<String, BTreeSet<Ordinal>>;

/// What the pods of a snapshot mount.
pub fn mounts<'a>(snapshot: &Snapshot, pods: impl Iterator<Item = &'a Pod>) -> Mounts {
    let members: BTreeMap<&str, Ordinal> =
        snapshot.pods.iter().map(|member| (member.name.as_str(), member.ordinal)).collect();
    let mut mounts = Mounts::new();
    for pod in pods {
        let Some(&member) = members.get(pod.name_any().as_str()) else { continue };
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        for claim in volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref()) {
            mounts.entry(claim.claim_name.clone()).or_default().insert(member);
        }
    }
    mounts
}

/// Tells the claims of a target from those of others.
#[derive(Debug)]
pub struct Owners {
    set: String,
    templates: Vec<String>,
    mounts: watch::Receiver<Mounts>,
    /// Claims that a pod of the target has mounted: they stay the target's while no pod does.
    ever: BTreeSet<String>,
}

impl Owners {
    /// Those of the StatefulSet (or group) `set`, which has claim templates of these names.
    pub fn new(set: String, templates: Vec<String>, mounts: watch::Receiver<Mounts>) -> Self {
        let ever = mounts.borrow().keys().cloned().collect();
        Self { set, templates, mounts, ever }
    }

    /// Waits until pods mount other claims than before.
    pub async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        self.mounts.changed().await?;
        self.ever.extend(self.mounts.borrow_and_update().keys().cloned());
        Ok(())
    }

    /// The members that a claim belongs to now, which may be none; nothing where it was never the target's.
    pub fn of(&self, claim: &str) -> Option<BTreeSet<Ordinal>> {
        let mut members = self.mounts.borrow().get(claim).cloned().unwrap_or_default();
        // As the StatefulSet's controller names them: TEMPLATE-SET-ORDINAL.
        let named =
            |template: &String| ordinal(&self.set, claim.strip_prefix(template.as_str())?.strip_prefix('-')?);
        members.extend(self.templates.iter().filter_map(named));
        (!members.is_empty() || self.ever.contains(claim)).then_some(members)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::experiment::OrdinalFrom;
    use crate::platform::kubernetes::pods::{group, lean};

    fn pod(name: &str, claims: &[&str]) -> Pod {
        let volumes: Vec<_> = claims
            .iter()
            .map(|claim| json!({ "name": "v", "persistentVolumeClaim": { "claimName": claim } }))
            .chain([json!({ "name": "tmp", "emptyDir": {} })])
            .collect();
        let mut pod = serde_json::from_value(json!({
            "metadata": { "name": name, "uid": name }, "spec": { "containers": [], "volumes": volumes },
        }))
        .expect("it is a pod");
        lean(&mut pod);
        pod
    }

    fn mounted(pods: &[Pod]) -> Mounts {
        mounts(&group("db", OrdinalFrom::NameSuffix, pods.iter(), &Snapshot::default()), pods.iter())
    }

    #[tokio::test]
    async fn a_claim_belongs_to_whom_it_is_named_after_and_to_everybody_who_mounts_it() {
        let before =
            [pod("db-0", &["data-db-0", "shared"]), pod("db-1", &["shared", "old"]), pod("web-0", &["web"])];
        let (sender, mounts) = watch::channel(mounted(&before));
        let mut owners = Owners::new("db".into(), vec!["data".into()], mounts);
        let of = |owners: &Owners, claim: &str| {
            owners.of(claim).map(|found| found.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(of(&owners, "data-db-0"), Some(vec![0]));
        assert_eq!(of(&owners, "data-db-7"), Some(vec![7]), "a member that is added later");
        assert_eq!(of(&owners, "shared"), Some(vec![0, 1]));
        for others in ["web", "data-db-07", "data-db", "data-other-0", "log-db-0"] {
            assert_eq!(of(&owners, others), None, "{others}");
        }
        sender.send_replace(mounted(&[pod("db-0", &["data-db-0"]), pod("db-1", &["new"])]));
        owners.changed().await.expect("somebody tells");
        assert_eq!(of(&owners, "new"), Some(vec![1]));
        assert_eq!(of(&owners, "old"), Some(vec![]), "it is still the target's");
    }
}

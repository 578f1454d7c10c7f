//! `apiDeny`: the API server refuses to create what members need.
//!
//! Scheduling (`pods/binding`) is not among the kinds: a Binding carries no creation time to compare with the deadline.
//! `provisionBlock`, `snapshotBlock` and `schedulingBlock` are names of their own for one kind each.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Kind, Resolved, Wrong};
use crate::api::{ApiFault, DeniedResource};
use crate::experiment::Selection;

/// Denies the creation of members' objects.
///
/// Changes: a ValidatingAdmissionPolicy of our own denies CREATE of the named kinds in the target's namespace: of pods
/// and claims by the names that members' have, of VolumeSnapshots by the claims that they are of. Where no members are
/// named that is everybody's, also of members that a scale-up adds. It is `failurePolicy: Ignore`, and its expression
/// compares the creation time of the object with a deadline, so that it stops denying by itself.
///
/// Undone: the policy and its binding are deleted, and the StatefulSet is touched, because its controller backs off
/// after denials (up to 1000 s).
///
/// Left if everything of ours dies: an object that denies nothing after the deadline; the controller or the reaper
/// deletes it.
///
/// Needs: Kubernetes 1.30.
///
/// Proof: creations that are tried without effect (dry run) are denied by this very policy, several times in a row,
/// because each API server takes up to a second to learn of it; again every second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApiDeny {
    /// Which kinds: pods, persistentVolumeClaims, volumeSnapshots.
    #[schemars(length(min = 1))]
    pub resources: BTreeSet<DeniedResource>,
    /// Whose; everybody's where it is left out, also of members that a scale-up adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Selection>,
}

impl Kind for ApiDeny {
    const NAME: &'static str = "apiDeny";
    const SUMMARY: &'static str = "the API server denies the creation of pods, claims or snapshots";
    const EXAMPLE: &'static str = "resources: [pods]\nmembers: {ordinals: [2]}";

    fn must_last(&self) -> bool {
        true
    }

    fn may_last(&self, _follow: bool) -> bool {
        true
    }

    fn selection(&self) -> Option<&Selection> {
        self.members.as_ref()
    }

    fn needs_kubernetes(&self) -> bool {
        true
    }

    fn denies(&self) -> Vec<DeniedResource> {
        self.resources.iter().copied().collect()
    }

    fn wrong(&self) -> Vec<Wrong> {
        let message = "denies nothing: write for example resources: [pods]";
        Wrong::when(self.resources.is_empty(), "resources", message).into_iter().collect()
    }

    /// Nobody is down by it: pods that are there stay. Who loses a pod meanwhile does not get it back, which the guard
    /// sees when that happens.
    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        deny(self.denies(), self.members.as_ref(), chooser)
    }
}

/// The denial of these kinds for the members that are selected, or for everybody. Nobody is down by it.
pub(super) fn deny(
    resources: Vec<DeniedResource>,
    members: Option<&Selection>,
    chooser: &mut dyn Chooser,
) -> Result<Resolved, String> {
    let ordinals = match members {
        Some(members) => chooser.pick(members)?,
        // Not those that there are now: what a scale-up adds is meant as well.
        None => Vec::new(),
    };
    Ok(Resolved {
        set: Some(Action::Api(ApiFault::Deny { resources, ordinals })),
        damage: Damage::default(),
        ..Resolved::default()
    })
}

#[cfg(test)]
mod tests {
    use super::super::Fault;
    use super::*;
    use crate::api::Ordinal;

    /// Members 0 to 2, of whom nobody leads.
    struct Three;

    impl Chooser for Three {
        fn seed(&self) -> u32 {
            0
        }

        fn all(&self) -> Vec<Ordinal> {
            vec![0, 1, 2]
        }

        fn pick(&mut self, selection: &Selection) -> Result<Vec<Ordinal>, String> {
            match selection {
                Selection::Ordinals(set) => Ok(set.iter().collect()),
                Selection::Role { .. } | Selection::Count(_) => Err("nobody is chosen here".into()),
            }
        }

        fn shuffled(&mut self) -> Vec<Ordinal> {
            self.all()
        }

        fn leader(&self) -> Option<Ordinal> {
            None
        }

        fn node(&self, _: Ordinal) -> Option<String> {
            None
        }
    }

    fn resolved(text: &str) -> Resolved {
        let fault: Fault = serde_json::from_str(text).expect(text);
        assert!(fault.must_last() && !fault.acts_on_a_node(), "{text}");
        fault.resolve(&mut Three).expect(text)
    }

    #[test]
    fn each_name_denies_its_own_kind_and_takes_nobody_down() {
        for (text, kind, ordinals) in [
            (
                r#"{"provisionBlock":{"members":{"ordinals":[2]}}}"#,
                DeniedResource::PersistentVolumeClaims,
                vec![2],
            ),
            (r#"{"schedulingBlock":{"members":{"ordinals":[0,1]}}}"#, DeniedResource::Pods, vec![0, 1]),
            (r#"{"snapshotBlock":{"members":{"ordinals":[1]}}}"#, DeniedResource::VolumeSnapshots, vec![1]),
            // Nobody is listed, so that members of a scale-up are denied as well.
            (r#"{"provisionBlock":{}}"#, DeniedResource::PersistentVolumeClaims, vec![]),
        ] {
            let resolved = resolved(text);
            let deny = ApiFault::Deny { resources: vec![kind], ordinals };
            assert_eq!(resolved.set, Some(Action::Api(deny)), "{text}");
            assert_eq!(resolved.damage, Damage::default(), "{text}");
        }
    }

    #[test]
    fn a_member_whose_attach_is_blocked_counts_as_down() {
        let resolved = resolved(r#"{"volumeAttachBlock":{"members":{"ordinals":[1]},"claims":["data"]}}"#);
        let block = ApiFault::BlockAttach { ordinals: vec![1], claims: vec!["data".into()] };
        assert_eq!(resolved.set, Some(Action::Api(block)));
        assert_eq!(resolved.damage.down.into_iter().collect::<Vec<_>>(), [1]);
    }
}

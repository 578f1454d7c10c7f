//! `rolloutBreak`: a rolling update whose new pods cannot start.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Chooser, Damage, Kind, Resolved};
use crate::api::{ApiFault, Breakage, Ordinal};
use crate::experiment::Selection;

/// Rolls out a template that does not work.
///
/// Changes: the StatefulSet gets a template with an image or a command that does not exist, under a partition, so that
/// pods below it keep the good template.
///
/// Undone: template and partition are set back, the pods of the broken revision are deleted where they are not Ready,
/// because the controller waits for them for ever (a known limitation that Kubernetes calls "forced rollback"), and the
/// StatefulSet is touched, so that its back-off is not mistaken for recovery.
///
/// Left if everything of ours dies: the template, until the controller or the reaper sets it back by the annotation on
/// the StatefulSet.
///
/// Needs: Kubernetes, the update strategy RollingUpdate.
///
/// Proof: a pod of the new revision that is not Ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutBreak {
    /// Only pods from this ordinal on get the broken template. Default: the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Ordinal>,
    /// What is wrong with the template: image or command. Default image.
    #[serde(default)]
    pub by: Breakage,
}

impl Kind for RolloutBreak {
    const NAME: &'static str = "rolloutBreak";
    const SUMMARY: &'static str = "roll out a template that does not start, under a partition";
    const EXAMPLE: &'static str = "partition: 2\nby: image";

    fn must_last(&self) -> bool {
        true
    }

    fn may_last(&self, _follow: bool) -> bool {
        true
    }

    fn selection(&self) -> Option<&Selection> {
        None
    }

    fn needs_kubernetes(&self) -> bool {
        true
    }

    fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let all = chooser.all();
        let last = *all.last().ok_or("there are no members")?;
        let partition = self.partition.unwrap_or(last);
        if partition > last {
            return Err(format!("no member has an ordinal from {partition} on: the last one is {last}"));
        }
        let down = all.into_iter().filter(|&ordinal| ordinal >= partition).collect();
        Ok(Resolved {
            set: Some(Action::Api(ApiFault::BreakRollout { partition, by: self.by })),
            damage: Damage { down, ..Damage::default() },
            ..Resolved::default()
        })
    }
}

//! One thing that is done through the API server: made so, looked for, taken back.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    LOOK, Site, attach_block, delete_claims, deny, evict, node_down, restart, restore_snapshot, set,
    take_snapshot,
};
use crate::api::{ApiFault, HostFault, InjectionSpec};

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// It may be possible in a moment.
    Later(String),
    /// It is not, and waiting does not help.
    Refused(String),
}

/// What a look saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// The effect.
    Seen(String),
    /// No effect.
    Missed(String),
    /// The effect, and that it is over by itself.
    Done(String),
}

/// A change with its effect.
#[async_trait]
pub(super) trait Effect: Send {
    /// Makes the change; called again until it is made, so that doing it twice does no more than once.
    async fn inject(&mut self) -> Result<(), Obstacle>;

    /// Looks for the effect.
    async fn look(&mut self) -> Look;

    /// How long to wait after a look that saw the effect.
    fn pace(&self) -> Duration {
        LOOK
    }

    /// Takes the change back, going by the objects alone, and reads them again. Says what is left.
    async fn revert(&mut self) -> Result<(), String>;

    /// What was measured by it, once it is taken back.
    fn outcome(&self) -> Option<String> {
        None
    }
}

/// The effect that an Injection asks for.
pub(super) fn of(site: &Site, spec: &InjectionSpec) -> Result<Box<dyn Effect>, String> {
    let HostFault::Api(fault) = &spec.fault else {
        return Err("this is a node's to do".into());
    };
    let set = || site.set.clone().ok_or("the target is no StatefulSet");
    Ok(match fault {
        ApiFault::Evict { budgets } => Box::new(evict::Evict::new(site, spec, *budgets)),
        ApiFault::DeleteClaims { claims, with_pod, budgets } => {
            let budgets = with_pod.then_some(*budgets);
            Box::new(delete_claims::DeleteClaims::new(site, spec, set()?, claims, budgets))
        }
        ApiFault::NodeDown { node, budgets, out_of_service } => {
            Box::new(node_down::NodeDown::new(site, spec, node, *budgets, *out_of_service))
        }
        ApiFault::Deny { resources, ordinals } => Box::new(deny::Deny::new(site, spec, resources, ordinals)),
        ApiFault::BlockAttach { ordinals, claims } => {
            Box::new(attach_block::AttachBlock::new(site, spec, set()?, ordinals, claims))
        }
        ApiFault::TakeSnapshot { ordinals, claims, class } => {
            Box::new(take_snapshot::TakeSnapshot::new(site, spec, set()?, ordinals, claims, class.as_deref()))
        }
        ApiFault::RestoreSnapshot { from, read } => {
            Box::new(restore_snapshot::RestoreSnapshot::new(site, spec, from, *read))
        }
        ApiFault::Restart {} => Box::new(restart::Restart::new(site, spec, set()?)),
        ApiFault::BreakRollout { .. }
        | ApiFault::Scale { .. }
        | ApiFault::SetImage { .. }
        | ApiFault::SetEnv { .. } => Box::new(set::SetChange::new(site, spec, set()?, fault.clone())),
    })
}

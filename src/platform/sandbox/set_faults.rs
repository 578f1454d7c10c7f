//! What Injections ask of a StatefulSet itself: no node has a part in it.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::init::World;
use super::protocol::InjectionEvent;
use super::set::Sets;
use super::{attach_block, rollout, set_change};
use crate::api::{ApiFault, Desired, HostFault, Injection};
use crate::platform::proving::Proving;

/// What was begun.
struct Going {
    task: JoinHandle<()>,
    /// Asks it back, once.
    ask: Option<oneshot::Sender<()>>,
}

/// Does it, for ever. Whatever is begun hears on a channel of its own that it is asked back, and says itself when that is
/// done.
pub async fn serve(world: Arc<World>, sets: Sets) {
    let mut injections = world.injections.watch();
    let mut going: HashMap<String, Going> = HashMap::new();
    while let Some(events) = injections.next().await {
        for event in events {
            match event {
                InjectionEvent::Put(injection) => {
                    let HostFault::Api(fault) = &injection.spec.fault else { continue };
                    let name = &injection.spec.name;
                    match injection.spec.desired {
                        // What has a status was begun, or refused.
                        Desired::Injected if going.contains_key(name) || injection.status.is_some() => {}
                        Desired::Injected => {
                            going.extend(begin(&world, &sets, &injection, fault));
                        }
                        Desired::Reverted => {
                            match going.get_mut(name).filter(|going| !going.task.is_finished()) {
                                // What it tells comes back here, as often as it tells something, until it is over.
                                Some(going) => drop(going.ask.take().map(|ask| ask.send(()))),
                                None => say_reverted(&world, &injection),
                            }
                        }
                    }
                }
                InjectionEvent::Gone(name) => {
                    going.remove(&name);
                }
            }
        }
    }
}

/// Begins what the Injection asks for, and tells by which name it goes.
fn begin(world: &World, sets: &Sets, injection: &Injection, fault: &ApiFault) -> Option<(String, Going)> {
    let spec = injection.spec.clone();
    let name = spec.name.clone();
    let refuse = |why: String| {
        let mut proving = Proving::default();
        proving.failed(why);
        world.injections.report(&name, proving.status());
    };
    let Some(set) = sets.of(&spec).cloned() else {
        refuse(format!("this sandbox has no StatefulSet that {} is or belongs to", spec.pod.name));
        return None;
    };
    let (ask, asked_back) = oneshot::channel();
    let task = match fault {
        ApiFault::Restart {} => tokio::spawn(rollout::restart(set, spec, asked_back)),
        ApiFault::BlockAttach { ordinals, .. } => {
            let ordinals = ordinals.iter().copied().collect();
            tokio::spawn(attach_block::hold(set, spec, ordinals, asked_back))
        }
        ApiFault::Scale { .. } | ApiFault::SetEnv { .. } => {
            tokio::spawn(set_change::hold(set, spec, fault.clone(), asked_back))
        }
        _ => {
            refuse(
                "a sandbox can restart, scale and change its StatefulSet and hold volumes, nothing else: run it in a cluster"
                    .into(),
            );
            return None;
        }
    };
    Some((name, Going { task, ask: Some(ask) }))
}

/// Of what is over, or was never begun.
fn say_reverted(world: &World, injection: &Injection) {
    let mut proving = Proving::default();
    proving.reverted();
    let is_told = injection
        .status
        .as_ref()
        .is_some_and(|status| status.state == proving.status().state && status.error.is_none());
    if !is_told {
        world.injections.report(&injection.spec.name, proving.status());
    }
}

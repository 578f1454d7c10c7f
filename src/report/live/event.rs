//! The lines of a live view: only what a person wants to know when it happens.

use super::State;
use crate::api::{InjectionState, Members};
use crate::fault::Damage;
use crate::journal::entry::{Effect, Entry, Held, Input, Phase};
use crate::judge::affected;
use crate::judge::judgement::name_of;

/// What an entry says, given what was known before it; nothing where nobody would want to read it.
pub(super) fn tell(before: &State, entry: &Entry) -> Option<String> {
    match entry {
        Entry::Header(header) => Some(format!("{} with seed {}", header.experiment.name, header.seed)),
        Entry::Input(input) => heard(before, input),
        Entry::Effect { effect, .. } => asked(before, effect),
        Entry::FinalRead { member, held } => match held {
            Held::Values(_) => None,
            Held::Unreadable(why) => Some(format!("the ledger of member {member} could not be read: {why}")),
        },
    }
}

fn heard(before: &State, input: &Input) -> Option<String> {
    match input {
        Input::Pods(pods) => {
            let (now, earlier) = (pods.ready(), before.pods.ready());
            (now != earlier || before.pods.replicas != pods.replicas)
                .then(|| format!("{now} of {} pods are Ready", pods.replicas))
        }
        Input::Members(members) => leader_change(&before.members, members),
        Input::Injection { name, status } => match status.state {
            InjectionState::Lost | InjectionState::Failed | InjectionState::RevertFailed => {
                (before.troubles.get(name) != Some(&status.error))
                    .then(|| format!("{name}: {}", status.error.as_deref().unwrap_or("no reason given")))
            }
            InjectionState::Pending | InjectionState::Injected | InjectionState::Reverted => None,
        },
        Input::AbortCondition(why) => Some(format!("abort condition: {why}")),
        Input::Interrupted {} => Some("interrupted: everything is reverted first".into()),
        Input::Stopped { reason } => Some(format!("stopped: {reason}")),
        Input::Answer { error, .. } => error.clone(),
        Input::Request { error } => error.as_ref().map(|why| format!("the API server: {why}")),
        Input::Volumes(_) | Input::Disks { .. } | Input::Unmet(_) | Input::Conditions(_) | Input::Wake {} => {
            None
        }
    }
}

fn leader_change(before: &Members, now: &Members) -> Option<String> {
    match (before.leader(), now.leader()) {
        (earlier, Some(leader)) if earlier != Some(leader) => Some(format!("member {leader} leads")),
        (Some(earlier), None) => Some(format!("member {earlier} leads no longer")),
        (_, _) => None,
    }
}

fn asked(before: &State, effect: &Effect) -> Option<String> {
    match effect {
        Effect::Phase(phase) => Some(
            match phase {
                Phase::Preflight => "preflight: waiting for the target to be healthy",
                Phase::Baseline => "baseline: the steady state must hold before anything is broken",
                Phase::Faulting => "faulting",
                Phase::Recovering => "recovering: every fault is reverted",
                Phase::Reverting => "reverting",
                Phase::Settling => "settling: reading the ledger from every member",
                Phase::Judged => return None,
            }
            .into(),
        ),
        Effect::Chosen { step, occurrence, picked, damage, .. } => {
            let what = picked.as_ref().map_or_else(String::new, |picked| format!(" {}", picked.name));
            Some(format!("{}: injecting{what} on {}", name_of(step, *occurrence), whom(before, damage)))
        }
        Effect::Began { step, occurrence } => {
            Some(format!("{}: in force, proven", name_of(step, *occurrence)))
        }
        Effect::Ended { step, occurrence, unproven } => Some(match unproven {
            None => format!("{}: reverted, verified", name_of(step, *occurrence)),
            Some(why) => format!("{}: over, NOT PROVEN: {why}", name_of(step, *occurrence)),
        }),
        Effect::Doubt { reason } => Some(format!("doubt: {reason}")),
        Effect::Refused { step, reason } => Some(format!("{step} refused: {reason}")),
        Effect::Abort { reason } => Some(format!("aborted: {reason}")),
        Effect::RevertFailed { reason } => Some(format!("REVERT FAILED: {reason}")),
        Effect::Apply(_)
        | Effect::DeletePod { .. }
        | Effect::Forget { .. }
        | Effect::StartWorkload {}
        | Effect::StopWorkload {}
        | Effect::ReadLedger {}
        | Effect::Finish {} => None,
    }
}

/// Whom a fault takes away from its group, in words.
pub(super) fn whom(state: &State, damage: &Damage) -> String {
    let affected = affected::members(&state.pods.ordinals().collect(), &[damage]);
    let list = affected.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if affected.is_empty() {
        return "the StatefulSet".into();
    }
    if affected.len() == 1 { format!("member {list}") } else { format!("members {list}") }
}

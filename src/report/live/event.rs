//! The lines of a live view: only what a person wants to know when it happens.

use super::State;
use crate::api::{InjectionState, Members, Ordinal, Snapshot};
use crate::fault::Damage;
use crate::journal::entry::{Effect, Entry, Held, Input, Phase};
use crate::judge::affected;
use crate::judge::judgement::name_of;
use crate::judge::words;

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
            has_changed(Some(&before.pods), pods).then(|| format!("{} pods are Ready", share(pods)))
        }
        Input::OtherPods(pods) => has_changed(before.others.get(&pods.name), pods)
            .then(|| format!("{} pods of {} are Ready", share(pods), pods.name)),
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

fn has_changed(before: Option<&Snapshot>, now: &Snapshot) -> bool {
    before.is_none_or(|before| (before.ready(), before.replicas) != (now.ready(), now.replicas))
}

/// `2 of 3`.
pub(super) fn share(pods: &Snapshot) -> String {
    format!("{} of {}", pods.ready(), pods.replicas)
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
        Effect::Chosen { step, occurrence, picked, set, members, damage, along: _ } => {
            let what = picked.as_ref().map_or_else(String::new, |picked| format!(" {}", picked.name));
            let whom = whom(before, set.as_deref(), members, damage);
            Some(format!("{}: injecting{what} on {whom}", name_of(step, *occurrence)))
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

/// Whom a fault takes away from its group, or where it is applied if that is nobody, in words.
pub(super) fn whom(state: &State, set: Option<&str>, members: &[Ordinal], damage: &Damage) -> String {
    let pods = set.map_or(Some(&state.pods), |set| state.others.get(set));
    let all = pods.map(|pods| pods.ordinals().collect()).unwrap_or_default();
    let affected: Vec<Ordinal> = affected::members(&all, &[damage]).into_iter().collect();
    let whom = if affected.is_empty() { members } else { affected.as_slice() };
    match (whom.is_empty(), set) {
        (false, _) => words::members_of(set, whom),
        (true, Some(set)) => format!("StatefulSet {set}"),
        (true, None) => "the StatefulSet".into(),
    }
}

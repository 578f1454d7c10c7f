//! The block that is drawn again on a terminal.

use std::time::Duration;

use super::{State, event, role, stamp};
use crate::api::{Nanos, PodPhase, counted};
use crate::journal::entry::Phase;
use crate::judge::words;

/// The block's lines, none of them wider than `width`.
pub(super) fn block(state: &State, now: Nanos, width: usize) -> Vec<String> {
    let phase = match state.phase {
        None => "starting",
        Some(Phase::Preflight) => "preflight",
        Some(Phase::Baseline) => "baseline",
        Some(Phase::Faulting) => "faulting",
        Some(Phase::Recovering) => "recovering",
        Some(Phase::Reverting) => "reverting",
        Some(Phase::Settling) => "settling",
        Some(Phase::Judged) => "judged",
    };
    let mut lines = vec![format!("── {} · {phase} · {} ", state.experiment, stamp(now))];
    let fill = width.saturating_sub(lines[0].chars().count());
    lines[0].push_str(&"─".repeat(fill));
    for ordinal in state.pods.ordinals() {
        let pod = match state.pods.pod(ordinal) {
            None => "no pod".into(),
            Some(pod) => {
                let restarts: u32 = pod.containers.iter().map(|container| container.restarts).sum();
                let life = match (pod.phase, pod.ready) {
                    (PodPhase::Terminating, _) => "terminating",
                    (PodPhase::Pending, _) => "pending",
                    (PodPhase::Running, true) => "ready",
                    (PodPhase::Running, false) => "not ready",
                };
                if restarts == 0 {
                    life.to_owned()
                } else {
                    format!("{life}, {}", counted(restarts, "restart"))
                }
            }
        };
        let member = state.members.members.iter().find(|member| member.ordinal == ordinal);
        let role = member.map(|member| role(&member.sample)).unwrap_or_default();
        lines.push(format!("  {:<16} {pod:<24} {role}", format!("{}-{ordinal}", state.pods.name)));
    }
    for pods in state.others.values() {
        lines.push(format!("  {:<16} {} ready", pods.name, event::share(pods)));
    }
    for (step, members) in &state.faults {
        lines.push(format!("  fault   {step} on {members}"));
    }
    let rates = &state.rates;
    if rates.ok + rates.fail + rates.unknown + rates.missed > 0 {
        let latency = |latency: Option<Duration>| {
            latency.map_or_else(|| "–".into(), |latency| words::time(latency.as_nanos() as Nanos))
        };
        lines.push(format!(
            "  load    {} ok, {} failed, {} unknown per second; p50 {}, p99 {}",
            rates.ok,
            rates.fail,
            rates.unknown,
            latency(rates.p50),
            latency(rates.p99)
        ));
    }
    if let Some(waiting) = &state.waiting {
        lines.push(format!("  waiting for {waiting}"));
    }
    for line in &mut lines {
        if line.chars().count() > width {
            *line = line.chars().take(width.saturating_sub(1)).chain(['…']).collect();
        }
    }
    lines
}

//! What a draft claims, with where each number comes from.

use std::time::Duration;

use super::text::Loss;
use super::{Choice, Found};
use crate::experiment::duration::format;
use crate::fault::Repeated;

/// How long a target may take to come back where nothing of Kubernetes waits longer.
const RECOVERY: Duration = Duration::from_mins(1);

/// How long clients may be without a leader where an election is all that has to happen.
const OUTAGE: Duration = Duration::from_secs(10);

/// How long after the fault everything has to be back.
pub(super) fn recovery(choice: &Choice<'_>, lasting: Duration) -> Duration {
    let repeated = Repeated { lasting, times: 1, follow: false };
    let waits = choice.fault.fault().back_off(&repeated).map_or(Duration::ZERO, |back_off| back_off.wait);
    RECOVERY.max(waits * 2)
}

/// `hypothesis` without its key, as lines of YAML with comments.
pub(super) fn of(found: &Found, choice: &Choice<'_>, lasting: Duration, loss: Loss) -> String {
    match &choice.store {
        Some(_) => of_store(choice, lasting, loss),
        None => of_pods(found, choice, lasting),
    }
}

fn of_store(choice: &Choice<'_>, lasting: Duration, loss: Loss) -> String {
    let within = format(recovery(choice, lasting));
    let outage = format(if lasting.is_zero() { OUTAGE } else { OUTAGE.min(lasting / 2) });
    let during = match loss {
        Loss::Guarded => format!(
            "      # How long clients may be without it while the fault is there: an election takes a few of its timeouts.\n\
             \x20     during: {{longestOutage: {outage}}}\n"
        ),
        Loss::Allowed => "      # While the fault is there nobody can have a majority, so nothing is claimed for that time.\n".into(),
    };
    let mut text = format!(
        "    - name: a majority follows one leader, and does so again soon afterwards\n\
         \x20     sli: {{quorum: {{}}}}\n\
         {during}\
         \x20     # How long after the last revert it has to be back: as long as your users would bear it.\n\
         \x20     recoverWithin: {within}\n\
         \x20   - name: commits are about as quick again as they were before\n\
         \x20     # Nine of ten commits, from when they should have begun, so that a stall is not hidden.\n\
         \x20     sli: {{commitLatency: {{quantile: 0.9}}}}\n\
         \x20     # Of what the run measures before the fault; write max: 50ms for what you have promised to somebody.\n\
         \x20     after: {{maxIncrease: 10x}}\n\
         \x20     recoverWithin: {within}\n"
    );
    if choice.fault.fault().writes_out() {
        text.push_str(
            "    # Not `durability`: this fault writes out what is dirty, so that a missing fsync is not found by it. An\n\
             \x20   # experiment with powerLoss finds it.\n",
        );
    } else {
        text.push_str(
            "    - name: no acknowledged write is lost\n\
             \x20     # Every write that was acknowledged is read from every member in the end. It has no number.\n\
             \x20     sli: {durability: {}}\n",
        );
    }
    text.push_str(
        "    - name: reads see the newest acknowledged write\n\
         \x20     # If your clients read from any member and bear old answers: workload.reads: local, and replicationLag instead.\n\
         \x20     sli: {linearizability: {}}\n",
    );
    text
}

fn of_pods(found: &Found, choice: &Choice<'_>, lasting: Duration) -> String {
    let within = format(recovery(choice, lasting));
    let is_of_all = choice.fault.example.contains("count: all");
    let always = if found.replicas < 2 || is_of_all {
        String::new()
    } else {
        let spared = 100 * (u64::from(found.replicas) - 1) / u64::from(found.replicas);
        format!(
            "      # All but one of {}: the share of pods that are Ready, in the mean over the time of the fault.\n\
             \x20     during: {{min: {spared}%}}\n",
            found.replicas
        )
    };
    format!(
        "    - name: only who is hit is away, and everybody is back soon afterwards\n\
         \x20     sli: {{podAvailability: {{}}}}\n\
         {always}\
         \x20     after: {{min: 100%}}\n\
         \x20     # How long after the last revert every pod has to be Ready: starting, mounting and probing are in it.\n\
         \x20     recoverWithin: {within}\n"
    )
}

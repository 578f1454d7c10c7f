//! What the judge says: everything that a report shows, in integers, so that the same journal gives the same bytes on
//! every machine.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Nanos, Ordinal};
use crate::experiment::Verdict;
use crate::journal::entry::Phase;
use crate::judge::words;

/// The answer to an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// The experiment's name.
    pub experiment: String,
    /// The run's name.
    pub run: String,
    /// `NAMESPACE/NAME` of the StatefulSet.
    pub target: String,
    /// Its replicas when the run began.
    pub replicas: u32,
    /// Where it ran.
    pub environment: String,
    /// The version that wrote the journal.
    pub version: String,
    /// Every random choice of the run came from this.
    pub seed: u64,
    /// The wall clock when it began.
    pub started_at: Timestamp,
    /// From the beginning to the last line of the journal.
    pub lasted: Nanos,
    /// The worst of everything below.
    pub verdict: Verdict,
    /// One sentence that says why.
    pub headline: String,
    /// What is worse than Pass beside the hypotheses, worst first.
    pub reasons: Vec<Reason>,
    /// Why a guard refused a step, if one did: the first one, or a later one of a run that stopped there.
    pub refused: Option<String>,
    /// Faults that could not be taken back: somebody has to look. Beside the verdict.
    pub revert_failed: Vec<String>,
    /// StatefulSets that were broken and whose pods were not all Ready again, each in a sentence. Beside the verdict, which
    /// is about what was claimed.
    #[serde(default)]
    pub not_back: Vec<String>,
    /// Whether the journal's last line was torn.
    pub torn: bool,
    /// Whether the journal holds the run's end.
    pub finished: bool,
    /// The run's phases, in order.
    pub phases: Vec<PhaseSpan>,
    /// What was broken, in order.
    pub steps: Vec<StepOutcome>,
    /// One for each hypothesis, in the order of the experiment.
    pub claims: Vec<Claim>,
    /// What the clients did.
    pub workload: WorkloadTotals,
    /// The first leader that was seen, which is no change.
    #[serde(default)]
    pub first_leader: Option<Election>,
    /// Every change of the leader or its term that was seen.
    pub elections: Vec<Election>,
}

/// Something that makes the verdict worse than Pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// How bad.
    pub verdict: Verdict,
    /// When it showed, if at one moment.
    pub at: Option<Nanos>,
    /// For a person.
    pub text: String,
}

/// A phase with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PhaseSpan {
    /// Which.
    pub phase: Phase,
    /// When it began.
    pub from: Nanos,
    /// When the next one began, or the journal ended.
    pub to: Nanos,
}

/// One occurrence of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepOutcome {
    /// The step.
    pub step: String,
    /// Which occurrence, from 0.
    pub occurrence: u32,
    /// The fault's name in documents.
    pub fault: String,
    /// The further StatefulSet whose members the next two are; those of the target where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Where it was applied; both ends of a cut.
    pub members: Vec<Ordinal>,
    /// Whom it took down or cut off.
    #[serde(default)]
    pub affected: Vec<Ordinal>,
    /// When it was decided.
    pub chosen: Nanos,
    /// When every hit was proven.
    pub began: Option<Nanos>,
    /// When every hit was reverted and verified.
    pub ended: Option<Nanos>,
    /// For how much of its time its effect was proven, in thousandths; none for what happens once.
    pub effective_share: Option<u32>,
    /// Every observation of its effect was counted here.
    pub proofs: u32,
    /// The newest observation of its effect, for a person.
    pub proof: Option<String>,
    /// Why it does not count as proven, where it does not.
    pub unproven: Option<String>,
}

impl StepOutcome {
    /// `cut-leader`, or `kill #3` of a step that happens several times.
    pub fn name(&self) -> String {
        name_of(&self.step, self.occurrence)
    }

    /// Whom it took away, or where it was applied if that is nobody; in words, if it is anybody.
    pub fn whom(&self) -> Option<String> {
        let whom = if self.affected.is_empty() { &self.members } else { &self.affected };
        match &self.set {
            _ if !whom.is_empty() => Some(self.named(whom)),
            Some(set) => Some(format!("StatefulSet {set}")),
            None => None,
        }
    }

    /// Members of where it acted, in words.
    pub fn named(&self, ordinals: &[Ordinal]) -> String {
        words::members_of(self.set.as_deref(), ordinals)
    }
}

/// A step's occurrence: `cut-leader`, or `kill #3` of a step that happens several times.
pub fn name_of(step: &str, occurrence: u32) -> String {
    if occurrence == 0 { step.into() } else { format!("{step} #{}", occurrence + 1) }
}

/// Violations of a claim whose operation is named; further ones are counted.
pub const MOST_VIOLATIONS: usize = 500;

/// What became of one hypothesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// In the words of the experiment.
    pub name: String,
    /// The SLI's name in documents.
    pub sli: String,
    /// The worst of its findings.
    pub verdict: Verdict,
    /// The worst finding's sentence.
    pub sentence: String,
    /// One for each bound.
    pub findings: Vec<Finding>,
    /// The numbers of each phase, bounded or not.
    pub phases: Vec<Numbers>,
    /// How long it took to be good again after the last revert; none where that was not judged, as where the run stopped
    /// early.
    pub recovery: Option<Recovery>,
    /// The operations that prove a violation.
    pub witness: Vec<WitnessOperation>,
    /// One operation for each violation that was found, at most [`MOST_VIOLATIONS`]: a write that is not where it should
    /// be, or the last operation of a contradiction.
    #[serde(default)]
    pub violations: Vec<WitnessOperation>,
}

impl Claim {
    /// The times in which it was bad, each once: parts of a run overlap where an outage goes on from one to the next.
    pub fn outages(&self) -> Vec<&Outage> {
        let mut all: Vec<&Outage> = self.phases.iter().flat_map(|numbers| &numbers.outages).collect();
        all.sort_by_key(|outage| (outage.from, std::cmp::Reverse(outage.to)));
        let mut until = 0;
        all.retain(|outage| {
            let is_news = outage.to > until;
            until = until.max(outage.to);
            is_news
        });
        all
    }
}

/// What was found about one bound of a hypothesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Of which part of the run it speaks.
    pub scope: Scope,
    /// Only this step's time, where the bound names one.
    pub step: Option<String>,
    /// Whether it leaves out members that faults have; the numbers of its part are those of all members.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub excludes_faulted: bool,
    /// Whether it held.
    pub verdict: Verdict,
    /// For a person.
    pub sentence: String,
}

/// The part of a run that a bound speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// Before the first fault.
    Before,
    /// While faults are there.
    During,
    /// From the last revert to the moment of recovery.
    Recovery,
    /// From the moment of recovery.
    After,
    /// From the steady state to the last sample.
    Always,
}

/// An SLI's numbers in one phase. Values are in the SLI's unit: millionths, events, or nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Numbers {
    /// Which phase.
    pub scope: Scope,
    /// When the phase began.
    pub from: Nanos,
    /// When it ended.
    pub to: Nanos,
    /// Samples (or operations, for a latency of operations).
    pub samples: u64,
    /// Samples in which the target did not answer (or operations with an unknown outcome).
    pub unreachable: u64,
    /// Samples that we did not take.
    pub not_sampled: u64,
    /// The phase's value: an average over time, a quantile, a number of events, or the worst value.
    pub value: Option<u64>,
    /// The lowest value of a sample.
    pub lowest: Option<u64>,
    /// The highest value of a sample.
    pub highest: Option<u64>,
    /// The times in which it was bad.
    pub outages: Vec<Outage>,
}

/// A time without a break in which an SLI was bad: from the last good sample before to the next good one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outage {
    /// When it began, at the earliest.
    pub from: Nanos,
    /// When it was over, at the latest.
    pub to: Nanos,
    /// What the first bad sample said.
    pub why: String,
}

/// When an SLI was good again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// The last revert.
    pub from: Nanos,
    /// The first moment from which it was good for long enough; none where that never came.
    pub recovered: Option<Nanos>,
    /// How long at most, where the hypothesis says so.
    pub within: Option<Nanos>,
}

/// What the clients did, all together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadTotals {
    /// Operations that happened.
    pub ok: u64,
    /// Operations that provably did not.
    pub failed: u64,
    /// Operations of which nobody knows.
    pub unknown: u64,
    /// Operations of all outcomes per second, in thousandths.
    pub rate: u64,
    /// Acknowledged writes by phase.
    pub writes: Vec<WriteLatency>,
}

/// Latency of acknowledged writes in one phase, from their intended start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WriteLatency {
    /// Which phase.
    pub scope: Scope,
    /// How many were acknowledged.
    pub acknowledged: u64,
    /// How many provably did not happen or have an unknown outcome.
    pub unacknowledged: u64,
    /// Half of them were at most this slow.
    pub p50: Option<Nanos>,
    /// 99 % of them were at most this slow.
    pub p99: Option<Nanos>,
}

/// A leader seen for the first time in its term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Election {
    /// When it was seen.
    pub at: Nanos,
    /// The term.
    pub term: u64,
    /// Who leads.
    pub leader: Ordinal,
    /// Another member that was seen as leader in the same term: a broken promise of the store.
    pub beside: Option<Ordinal>,
}

/// One operation of a witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WitnessOperation {
    /// Its index in the journal.
    pub index: u64,
    /// The client.
    pub process: u32,
    /// The member that it was pinned to.
    pub member: Option<Ordinal>,
    /// When it was sent.
    pub call: Nanos,
    /// When its answer was there; none where its outcome is unknown.
    pub ret: Option<Nanos>,
    /// What it did, for a person: `write 5`, `read 4`.
    pub what: String,
}

impl Judgement {
    /// Whether a guard refused it before anything was begun. Guards rule again before each step, and what came of the
    /// steps before that one counts.
    pub fn was_refused(&self) -> bool {
        self.refused.is_some() && self.verdict == Verdict::Inconclusive && self.steps.is_empty()
    }

    /// As JSON, the same bytes for the same journal.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings, integers and lists always become JSON")
    }
}

//! The claims about data: checks of the whole history, told in one sentence with times, members and the fault that was
//! there.

mod ledger;
mod registers;

use super::claim::Evidence;
use super::judgement::{Claim, Finding, Scope, WitnessOperation};
use crate::experiment::{Hypothesis, Sli, Verdict};

/// Violations that are told; further ones are counted.
const TOLD: usize = 5;

/// What a check says.
struct Said {
    verdict: Verdict,
    sentences: Vec<String>,
    witness: Vec<WitnessOperation>,
    violations: Vec<WitnessOperation>,
}

impl Said {
    fn inconclusive(why: impl Into<String>) -> Self {
        Self::without_violation(Verdict::Inconclusive, why.into())
    }

    fn without_violation(verdict: Verdict, sentence: String) -> Self {
        Self { verdict, sentences: vec![sentence], witness: Vec::new(), violations: Vec::new() }
    }
}

/// What the experiment puts before every key of the workload.
fn prefix<'e>(evidence: &Evidence<'e>) -> &'e str {
    let workload = evidence.journal.header.experiment.workload.as_ref();
    workload.map_or("", |workload| workload.scope.prefix.as_str())
}

fn without_prefix<'k>(key: &'k str, prefix: &str) -> &'k str {
    key.strip_prefix(prefix).unwrap_or(key)
}

/// Judges a hypothesis about data.
pub(super) fn judge(evidence: &Evidence<'_>, hypothesis: &Hypothesis) -> Claim {
    let said = match hypothesis.sli {
        Sli::Linearizability {} => registers::judge(evidence),
        Sli::Durability {} => ledger::judge(evidence),
        Sli::PodAvailability {}
        | Sli::Quorum {}
        | Sli::LeaderElections {}
        | Sli::ReplicationLag {}
        | Sli::CommitLatency { .. }
        | Sli::SchedulerPending {}
        | Sli::RolloutSuccess {}
        | Sli::AttachSuccess {}
        | Sli::AttachLatency {}
        | Sli::ClaimsReclaimed {}
        | Sli::SnapshotSuccess {}
        | Sli::RestoreTime {}
        | Sli::DiskUsage { .. }
        | Sli::VolumeIops { .. }
        | Sli::ApiErrors {} => Said::inconclusive("it is measured, not checked"),
    };
    let name = hypothesis.sli.name();
    let findings: Vec<Finding> = said
        .sentences
        .iter()
        .map(|sentence| Finding {
            scope: Scope::Always,
            step: None,
            excludes_faulted: false,
            verdict: said.verdict,
            sentence: format!("{name}: {sentence}"),
        })
        .collect();
    Claim {
        name: hypothesis.name.clone(),
        sli: name.into(),
        verdict: said.verdict,
        sentence: findings.first().map_or_else(String::new, |finding| finding.sentence.clone()),
        findings,
        phases: Vec::new(),
        recovery: None,
        witness: said.witness,
        violations: said.violations,
    }
}

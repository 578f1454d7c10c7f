//! Judgements as a journal gives them, for tests of what is made from them.

use serde_json::{Value, json};

use crate::judge::judgement::{Claim, Judgement};

/// A second in the unit of a journal.
pub(crate) const S: u64 = 1_000_000_000;

/// A run of three members whose leader was cut off, with these claims. Its verdict is the worst of theirs.
pub(crate) fn judgement(claims: Vec<Claim>) -> Judgement {
    let verdict = claims.iter().map(|claim| claim.verdict).max();
    let mut judgement: Judgement = read(json!({
        "experiment": "leader-cut", "run": "leader-cut-1", "target": "default/db", "replicas": 3,
        "environment": "sandbox, Linux 6.1.0, 2 CPUs, as root", "version": "0.1.0", "seed": 7,
        "startedAt": "2026-01-01T00:00:00Z", "lasted": 41 * S, "verdict": "Pass",
        "headline": "all claims held while cut-leader hit member 0", "reasons": [], "refused": null,
        "revertFailed": [], "torn": false, "finished": true,
        "phases": [{"phase": "baseline", "from": 0, "to": 8 * S}],
        "steps": [{
            "step": "cut-leader", "occurrence": 0, "fault": "networkPartition", "members": [0, 1, 2],
            "affected": [0], "chosen": 8 * S, "began": 8 * S, "ended": 16 * S, "effectiveShare": 1000,
            "proofs": 8, "proof": "260 packets dropped", "unproven": null,
        }],
        "claims": [],
        "workload": {"ok": 90, "failed": 0, "unknown": 10, "rate": 200_000, "writes": []},
        "elections": [],
    }));
    judgement.claims = claims;
    judgement.verdict = verdict.unwrap_or(judgement.verdict);
    judgement
}

/// A claim without numbers.
pub(crate) fn claim(name: &str, sli: &str, verdict: &str) -> Claim {
    read(json!({
        "name": name, "sli": sli, "verdict": verdict, "sentence": format!("{sli}: measured"),
        "findings": [], "phases": [], "recovery": null, "witness": [],
    }))
}

/// A claim with its value before and during the fault, an outage of so long, and a recovery that took so long. All of
/// it is bounded but what was before.
pub(crate) fn measured(
    sli: &str,
    (before, during): (u64, u64),
    outage: u64,
    recovered: Option<u64>,
) -> Claim {
    let phase = |scope: &str, value: u64, outages: Value| {
        json!({"scope": scope, "from": 0, "to": 8 * S, "samples": 40, "unreachable": 0, "notSampled": 0,
               "value": value, "lowest": value, "highest": value, "outages": outages})
    };
    let outages = if outage == 0 {
        json!([])
    } else {
        json!([{"from": 9 * S, "to": 9 * S + outage, "why": "no leader"}])
    };
    let mut claim = claim("a claim", sli, "Pass");
    let bound =
        |scope: &str| json!({"scope": scope, "step": null, "verdict": "Pass", "sentence": claim.sentence});
    claim.findings = read(json!([bound("during"), bound("recovery")]));
    claim.phases = read(json!([phase("before", before, json!([])), phase("during", during, outages)]));
    claim.recovery = read(json!({
        "from": 16 * S, "recovered": recovered.map(|took| 16 * S + took), "within": 15 * S,
    }));
    claim
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("it is written as a report is")
}

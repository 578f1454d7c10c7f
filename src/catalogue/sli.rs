//! SLIs.

use serde_json::{Value, json};

use super::entry::{Entry, Fact, Place};
use super::{parameter, prose};
use crate::experiment::{Sli, Unit};
use crate::judge::defaults::{self, Bounds};

pub(super) fn entries() -> Vec<Entry> {
    let schema = schema();
    parameter::variants(&schema).into_iter().map(|(name, inner, said)| entry(name, inner, said)).collect()
}

/// The name of every SLI.
pub fn names() -> Vec<&'static str> {
    parameter::variants(&schema()).into_iter().map(|(name, ..)| named(name).name()).collect()
}

fn schema() -> Value {
    parameter::generator().into_root_schema_for::<Sli>().to_value()
}

fn named(name: &str) -> Sli {
    serde_json::from_value(json!({ name: {} })).expect("every SLI can be written without parameters")
}

fn entry(name: &str, schema: &Value, said: &str) -> Entry {
    let sli = named(name);
    let (description, mut facts) = prose::read(said);
    let description = without_number(&description);
    facts.push(Fact::new("What it needs", needs(&sli)));
    facts.push(Fact::new("How it is bounded", bounds(&sli)));
    facts.extend(usual(&sli).map(|usual| Fact::new("Where nothing is said", usual)));
    Entry {
        name: sli.name(),
        summary: prose::first_sentence(description),
        description: description.to_owned(),
        works: Place::ALL
            .into_iter()
            .filter(|&place| place == Place::Cluster || !sli.needs_kubernetes())
            .collect(),
        facts,
        parameters: parameter::fields(schema),
        example: example(&sli),
    }
}

/// What it measures, without the number by which the design calls it.
fn without_number(description: &str) -> &str {
    match description.split_once(": ") {
        Some((number, rest)) if number.starts_with('M') && number[1..].parse::<u32>().is_ok() => rest,
        Some(_) | None => description,
    }
}

fn needs(sli: &Sli) -> String {
    let parts = [
        (sli.needs_store(), "`spec.target.store`, because a store is asked"),
        (sli.needs_workload(), "`spec.workload`, because clients read and write"),
        (sli.needs_disks(), "volumes of claim templates; in a cluster, agents on the target's nodes"),
        (sli.needs_kubernetes(), "a cluster"),
    ];
    let parts: Vec<_> = parts.into_iter().filter_map(|(is_needed, what)| is_needed.then_some(what)).collect();
    if parts.is_empty() { "Nothing but pods.".into() } else { format!("It needs {}.", parts.join("; ")) }
}

fn bounds(sli: &Sli) -> &'static str {
    match sli.unit() {
        Unit::Availability if sli.counts_attempts() => "By `min`, as in `always: {min: 99%}`.",
        Unit::Availability => {
            "By `min` (66%), `longestOutage` and `totalOutage` of a phase, and by `recoverWithin`. As a guard: `below`."
        }
        Unit::Condition => {
            "It holds or not: by `longestOutage` and `totalOutage` of a phase, and by `recoverWithin`. As a guard: `for`."
        }
        Unit::Usage => {
            "By `max` or `maxIncrease` (1.2x of the run's own baseline) of a phase, and by `recoverWithin`. As a guard: `above`."
        }
        Unit::Rate => {
            "By `min`, `max` or `maxIncrease` (2x of the run's own baseline) of a phase: one of them it has to have. As a guard: `below` or `above`."
        }
        Unit::Events => "By `max` of a phase: how many there may be. As a guard: `above`.",
        Unit::Latency if sli.counts_attempts() => "By `max`, as in `always: {max: 1m}`.",
        Unit::Latency => {
            "By `max` or `maxIncrease` (2x of the run's own baseline) of a phase, and by `recoverWithin`. As a guard: `above`."
        }
        Unit::Property => "It holds over the whole run or is violated: it takes no budget, and is no guard.",
    }
}

/// What a claim means that bounds no phase, where there is such a claim.
fn usual(sli: &Sli) -> Option<String> {
    let written = json!({ "name": "a claim", "sli": { sli.name(): {} } });
    let hypothesis = serde_json::from_value(written).ok()?;
    let Bounds { before, during, after, always, recovered: _ } = defaults::bounds(&hypothesis);
    let phases = [("before", before), ("during", during), ("after", after), ("always", always)];
    let told: Vec<_> = phases
        .into_iter()
        .filter_map(|(phase, budget)| {
            let written = serde_json::to_value(budget?).expect("a budget is JSON");
            let fields = written.as_object().into_iter().flatten();
            let fields: Vec<_> = fields
                .map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or_default()))
                .collect();
            Some(format!("`{phase}: {{{}}}`", fields.join(", ")))
        })
        .collect();
    let is_bare = told.iter().any(|budget| budget.ends_with("{}`"));
    let meant = if is_bare { "; with nothing in the braces, it has to hold all of that time" } else { "" };
    (!told.is_empty()).then(|| format!("It is judged by {}{meant}.", told.join(" and ")))
}

/// A claim about it.
fn example(sli: &Sli) -> String {
    let name = sli.name();
    let (claim, bounds) = match sli.unit() {
        Unit::Availability if sli.counts_attempts() => ("nearly all succeed", "    always: {min: 99%}\n"),
        Unit::Availability => ("two of three are nearly always there", "    always: {min: 60%}\n"),
        Unit::Condition => {
            ("a break of ten seconds at most", "    during: {longestOutage: 10s}\n    recoverWithin: 30s\n")
        }
        Unit::Usage => ("a fifth is always free", "    always: {max: 80%}\n"),
        Unit::Rate => ("it goes on meanwhile", "    during: {min: 100}\n"),
        Unit::Events => ("at most one", "    always: {max: 1}\n"),
        Unit::Latency if sli.counts_attempts() => ("a minute at most", "    always: {max: 1m}\n"),
        Unit::Latency => ("as before soon afterwards", "    after: {max: 2s}\n    recoverWithin: 20s\n"),
        Unit::Property => ("it holds from the first operation to the last", ""),
    };
    format!("hypothesis:\n  - name: {claim}\n    sli: {{{name}: {{}}}}\n{bounds}")
}

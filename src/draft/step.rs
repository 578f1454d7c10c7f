//! The one step of a draft: the example of its fault, for the members and volumes that there are.

use super::{Choice, Found};
use crate::experiment::Selection;

/// Lines of YAML: the parameters of the fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) lines: Vec<String>,
    /// In words, whom it hits.
    pub(super) whom: String,
}

/// The example's parameters with each choice of members that makes sense, the best first.
pub(super) fn candidates(found: &Found, choice: &Choice<'_>) -> Vec<Parameters> {
    let example = choice.fault.fault();
    let is_of_all = matches!(example.selection(), Some(Selection::Count(_)));
    let last = found.last();
    let mut selections: Vec<(String, String)> = Vec::new();
    match example.selection() {
        None => selections.push((String::new(), "the StatefulSet as a whole".into())),
        Some(_) if is_of_all => selections.push(("{count: all}".into(), "all members at once".into())),
        Some(Selection::Role { .. }) if choice.store.is_some() => {
            let is_leader = choice.fault.example.contains("role: leader");
            let leader = ("{role: leader}".into(), "the leader".into());
            let follower = ("{role: follower, count: 1}".into(), "one follower".into());
            if is_leader {
                selections.push(leader);
            }
            // A group of one has nobody else.
            if found.replicas > 1 {
                selections.push(follower);
            } else if !is_leader {
                selections.push(("{count: 1}".into(), "the only member".into()));
            }
        }
        Some(Selection::Role { .. } | Selection::Count(_)) => {
            selections.push(("{count: 1}".into(), "one member (the seed says which)".into()));
        }
        Some(Selection::Ordinals(_)) => {
            selections.push((format!("{{ordinals: [{last}]}}"), format!("the member {}-{last}", found.name)));
        }
    }
    let claims = claims(found, choice);
    selections
        .into_iter()
        .map(|(selection, whom)| Parameters { lines: lines(choice, &selection, &claims, last), whom })
        .collect()
}

/// The claim templates that are meant: those of the container, where it has some of several.
fn claims(found: &Found, choice: &Choice<'_>) -> Vec<String> {
    let own = &choice.container.claims;
    if own.is_empty() || own.len() == found.claims.len() { Vec::new() } else { own.clone() }
}

fn lines(choice: &Choice<'_>, selection: &str, claims: &[String], last: u32) -> Vec<String> {
    let lines = choice.fault.example.lines().filter_map(|line| {
        let key = line.split(':').next().unwrap_or_default();
        match key {
            "members" | "isolate" => Some(format!("{key}: {selection}")),
            "claims" if claims.is_empty() => None,
            "claims" => Some(format!("claims: [{}]", claims.join(", "))),
            "partition" => Some(format!("partition: {last}")),
            _ => Some(line.to_owned()),
        }
    });
    lines.collect()
}

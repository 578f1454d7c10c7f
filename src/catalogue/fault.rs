//! Faults.

use std::time::Duration;

use super::entry::{Entry, Fact, Place};
use super::example::{indented, kebab};
use super::{parameter, prose};
use crate::experiment::duration;
use crate::fault::{CATALOGUE, Fault, Listed};

pub(super) fn entries() -> Vec<Entry> {
    CATALOGUE.iter().map(entry).collect()
}

fn entry(listed: &Listed) -> Entry {
    let schema = (listed.schema)(&mut parameter::generator()).to_value();
    let (description, mut facts) = prose::read(parameter::description(&schema));
    let fault = listed.fault();
    facts.insert(0, Fact::new("How long it stays", stays(&fault)));
    if let Some(what) = fault.destroys() {
        facts.push(Fact::new("What it destroys", format!("It {what}.")));
    }
    Entry {
        name: listed.name,
        summary: listed.summary.into(),
        description,
        works: Place::ALL.into_iter().filter(|&place| works(&fault, place)).collect(),
        facts,
        parameters: parameter::fields(&schema),
        example: example(listed, &fault),
    }
}

fn works(fault: &Fault, place: Place) -> bool {
    match place {
        Place::Sandbox => !fault.needs_kubernetes(),
        Place::Cluster => fault.needs_sandbox().is_none(),
    }
}

fn stays(fault: &Fault) -> &'static str {
    match (fault.must_last(), fault.may_last(false), fault.may_last(true)) {
        (true, ..) => "For as long as `for` says, which has to be there.",
        (false, true, _) => "It happens once, or stays for as long as `for` says.",
        (false, false, true) => {
            "It happens once: leave `for` out. With `for` and `follow: true` it happens to each new pod in that time."
        }
        (false, false, false) => "It happens once: leave `for` out.",
    }
}

/// A step that does it.
fn example(listed: &Listed, fault: &Fault) -> String {
    let long_enough = Duration::from_secs(20).max(fault.shortest().0 * 2);
    let lasting = if fault.must_last() {
        format!("    for: {}\n", duration::format(long_enough))
    } else {
        String::new()
    };
    let parameters = indented(listed.example, 8);
    format!(
        "steps:\n  - name: {}\n    at: 5s\n{lasting}    fault:\n      {}:\n{parameters}",
        kebab(listed.name),
        listed.name
    )
}

//! What no single section can know: names that refer to each other, faults that contradict each other, and what the
//! store or the target cannot do.

mod contradictions;
mod elsewhere;
mod names;
mod slis;
mod works;

pub use self::names::{is_set_name, not_a_name};
use self::works::deeds;
use super::TargetFacts;
use crate::api::{DeniedResource, Ordinal};
use crate::experiment::{
    Change, Condition, Experiment, Group, MOST_IN_SANDBOX, Selection, Sli, Start, Step, When, Work,
};
use crate::fault::Fault;
use crate::yaml::nearest;
use crate::yaml::tree::Segment;

/// A broken rule: where, and what to write instead.
pub(super) type Broken = (Vec<Segment>, String);

/// The most steps, and the most claims: all pairs of them are compared, and a person reads them.
const MOST: usize = 200;

/// Every broken rule of an experiment.
pub(super) fn check(experiment: &Experiment) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (list, length) in [("steps", experiment.steps.len()), ("hypothesis", experiment.hypothesis.len())] {
        if length > MOST {
            broken.push((
                vec![Segment::Key("spec".into()), Segment::Key(list.into())],
                format!("has {length} items, at most {MOST} are read: make several experiments of it"),
            ));
        }
    }
    if !broken.is_empty() {
        return broken;
    }
    emptiness(experiment, &mut broken);
    names::check(experiment, &mut broken);
    references(experiment, &mut broken);
    store(experiment, &mut broken);
    elsewhere::roles(experiment, &mut broken);
    elsewhere::restores(experiment, &mut broken);
    contradictions::find(experiment, &mut broken);
    target(experiment, &mut broken);
    parameters(experiment, &mut broken);
    workload(experiment, &mut broken);
    broken
}

/// What an experiment names must exist in the target, and in the StatefulSets beside it that steps act on, where those are
/// known.
pub(super) fn against_target(
    experiment: &Experiment,
    target: &TargetFacts,
    others: Option<&[TargetFacts]>,
) -> Vec<Broken> {
    let mut broken = Vec::new();
    let spec = |field: &str| ["spec", "target", field].map(|key| Segment::Key(key.into())).to_vec();
    let name = &target.name;
    match &experiment.target.group {
        Group::StatefulSet(asked) if asked != name => {
            broken.push((
                spec("statefulSet"),
                format!("there is no StatefulSet `{asked}`: the manifest has `{name}`"),
            ));
        }
        Group::StatefulSet(_) | Group::Pods(_) => {}
    }
    if let Some(container) =
        experiment.target.container.as_ref().filter(|name| !target.containers.contains(name))
    {
        let known = listed(&target.containers);
        broken.push((spec("container"), format!("`{name}` has no container `{container}`: it has {known}")));
    }
    elsewhere::against_target(experiment, target, others, &mut broken);
    for deed in deeds(experiment) {
        let work = deed.work();
        let Some(target) = elsewhere::facts_of(experiment, deed.step, target, others) else { continue };
        let name = &target.name;
        if let Some(Selection::Ordinals(set)) = work.selection() {
            let strangers = set.iter().filter_map(|ordinal| no_such_ordinal(ordinal, target));
            broken.extend(strangers.map(|message| (deed.at(&[]), message)));
        }
        let claims: &[String] = match work {
            Work::Fault(fault) => fault.claims(),
            Work::Action(Change::TakeSnapshot { claims, .. }) => claims,
            Work::Action(_) => &[],
        };
        for claim in claims.iter().filter(|claim| !target.claims.contains(claim)) {
            let known = listed(&target.claims);
            let message = format!("`{name}` has no claim template `{claim}`: it has {known}");
            broken.push((deed.at(&[]), message));
        }
        if target.claims.is_empty()
            && let Some(missed) = needs_claims(work)
        {
            let message = format!("`{name}` has no claim templates, so there is nothing to {missed}");
            broken.push((deed.at(&[]), message));
        }
        if let Work::Action(change) = work
            && let Some(container) =
                change.container().filter(|name| !target.containers.iter().any(|known| known == name))
        {
            let known = listed(&target.containers);
            let message = format!("`{name}` has no container `{container}`: it has {known}");
            broken.push((deed.at(&[change.name(), "container"]), message));
        }
        let fewest = work.fewest_members();
        if target.replicas < fewest {
            let message = format!("this needs at least {fewest} members: `{name}` has {}", target.replicas);
            broken.push((deed.at(&[]), message));
        }
    }
    for (index, step) in experiment.steps.iter().enumerate() {
        if let Start::When(When {
            condition: Condition::Pod { ordinal: Some(ordinal), .. } | Condition::Role { ordinal, .. },
            ..
        }) = &step.start
            && let Some(target) = elsewhere::facts_of(experiment, step, target, others)
            && let Some(message) = no_such_ordinal(*ordinal, target)
        {
            broken.push((at("steps", index, &["when"]), message));
        }
    }
    slis::against_target(experiment, target, &mut broken);
    broken
}

/// The StatefulSet that an experiment names must be among those that there are.
pub(super) fn against_names(experiment: &Experiment, sets: &[&str]) -> Vec<Broken> {
    let absent = experiment.target.stateful_set().filter(|asked| !sets.contains(asked));
    let broken = absent.map(|asked| {
        let path = ["spec", "target", "statefulSet"].map(|key| Segment::Key(key.into())).to_vec();
        (path, format!("there is no StatefulSet `{asked}`: the manifest has `{}`", sets.join("`, `")))
    });
    broken.into_iter().collect()
}

/// That an ordinal does not exist, and which ones do.
fn no_such_ordinal(ordinal: Ordinal, target: &TargetFacts) -> Option<String> {
    let TargetFacts { name, first, replicas, .. } = target;
    let last = first.saturating_add(*replicas).saturating_sub(1);
    (ordinal < *first || ordinal > last)
        .then(|| format!("ordinal {ordinal} does not exist: `{name}` has {first} to {last}"))
}

/// What only a StatefulSet has.
fn target(experiment: &Experiment, broken: &mut Vec<Broken>) {
    if experiment.target.stateful_set().is_some() {
        return;
    }
    let own = deeds(experiment).filter(|deed| experiment.other_set(deed.step).is_none());
    for deed in own.filter(|deed| deed.work().needs_stateful_set()) {
        let message = format!("`{}` needs a StatefulSet: spec.target names pods instead", deed.work().name());
        broken.push((deed.at(&[]), message));
    }
    slis::against_pods(experiment, broken);
}

/// Parameters that a type alone does not refuse.
fn parameters(experiment: &Experiment, broken: &mut Vec<Broken>) {
    for deed in deeds(experiment) {
        let fault = match deed.work() {
            Work::Fault(fault) => fault,
            Work::Action(change) => {
                let wrong = change.wrong();
                broken.extend(wrong.map(|(field, why)| (deed.at(&[change.name(), field]), why)));
                continue;
            }
        };
        for wrong in fault.wrong() {
            broken.push((deed.at(&[fault.name(), wrong.field]), wrong.message));
        }
    }
}

/// What a sandbox, which has no API server, cannot do.
pub(super) fn against_sandbox(experiment: &Experiment) -> Vec<Broken> {
    let mut broken = Vec::new();
    if let Group::Pods(_) = experiment.target.group {
        broken.push((
            ["spec", "target", "pods"].map(|key| Segment::Key(key.into())).to_vec(),
            "a sandbox runs a StatefulSet: write statefulSet, or run it with --on kubernetes".into(),
        ));
    }
    for deed in deeds(experiment).filter(|deed| deed.work().needs_kubernetes()) {
        let message = format!(
            "`{}` is done through an API server, which a sandbox does not have: run it with --on kubernetes",
            deed.work().name()
        );
        broken.push((deed.at(&[]), message));
    }
    for deed in deeds(experiment) {
        if let Work::Action(Change::Scale { replicas }) = deed.work()
            && *replicas > MOST_IN_SANDBOX
        {
            let message =
                format!("{replicas} replicas are too many for a sandbox: write at most {MOST_IN_SANDBOX}");
            broken.push((deed.at(&["scale", "replicas"]), message));
        }
    }
    slis::against_sandbox(experiment, &mut broken);
    broken
}

/// What cannot be done without claim templates, if anything.
fn needs_claims(work: &Work) -> Option<&'static str> {
    match work {
        Work::Fault(Fault::VolumeAttachBlock(_)) => Some("attach"),
        Work::Fault(fault) if fault.denies().into_iter().any(DeniedResource::is_told_by_claims) => {
            Some("deny")
        }
        Work::Fault(Fault::ClaimDelete(_)) => Some("delete"),
        Work::Action(Change::TakeSnapshot { .. }) => Some("take a snapshot of"),
        Work::Fault(_) | Work::Action(_) => None,
    }
}

/// What there is, where what was asked for is not.
pub(super) fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { format!("`{}`", names.join("`, `")) }
}

/// `LIST[INDEX].FIELD…` under `spec`.
pub(super) fn at(list: &str, index: usize, fields: &[&str]) -> Vec<Segment> {
    within(&[list], index, fields)
}

/// `SECTION.LIST[INDEX].FIELD…` under `spec`.
pub(super) fn within(list: &[&str], index: usize, fields: &[&str]) -> Vec<Segment> {
    let keys = |keys: &[&str]| keys.iter().map(|key| Segment::Key((*key).into())).collect::<Vec<_>>();
    [keys(&["spec"]), keys(list), vec![Segment::Item(index)], keys(fields)].concat()
}

/// A verdict about nothing would look like one about something.
fn emptiness(experiment: &Experiment, broken: &mut Vec<Broken>) {
    if experiment.steps.is_empty() {
        broken.push((
            vec![Segment::Key("spec".into()), Segment::Key("steps".into())],
            "breaks nothing, so nothing would be tried: add for example - {name: kill-one, fault: {podKill: {members: {count: 1}}}}"
                .into(),
        ));
    }
    if experiment.hypothesis.is_empty() {
        broken.push((
            vec![Segment::Key("spec".into()), Segment::Key("hypothesis".into())],
            "claims nothing, so nothing could be judged: add for example - {name: a majority keeps one leader, sli: {quorum: {}}}"
                .into(),
        ));
    }
    for (index, claim) in experiment.hypothesis.iter().enumerate() {
        let action = match claim.sli {
            Sli::SnapshotSuccess {} => "takeSnapshot",
            Sli::RestoreTime {} => "restoreSnapshot",
            _ => continue,
        };
        let mut own = experiment.works().filter(|(step, _)| experiment.other_set(step).is_none());
        if own.all(|(_, work)| work.name() != action) {
            let sli = claim.sli.name();
            let message = format!("`{sli}` is measured by steps with the action `{action}`: there is none");
            broken.push((at("hypothesis", index, &["sli"]), message));
        }
    }
}

fn references(experiment: &Experiment, broken: &mut Vec<Broken>) {
    let known: Vec<&str> = experiment.steps.iter().map(|step| step.name.as_str()).collect();
    let refuse = |name: &str| match nearest(name, known.iter().copied()) {
        Some(near) => format!("there is no step `{name}`: did you mean `{near}`?"),
        None => format!("there is no step `{name}`"),
    };
    for (index, step) in experiment.steps.iter().enumerate() {
        if let Start::After(before) = &step.start {
            if !known.contains(&before.as_str()) {
                broken.push((at("steps", index, &["after"]), refuse(before)));
            } else if experiment.steps.iter().any(|other| &other.name == before && other.may_stay()) {
                let message = format!(
                    "`{before}` stays until every other step is over: give it a `for` to come after it"
                );
                broken.push((at("steps", index, &["after"]), message));
            } else if waits_for_itself(experiment, step) {
                broken
                    .push((at("steps", index, &["after"]), format!("`{}` would wait for itself", step.name)));
            }
        }
    }
    for deed in deeds(experiment) {
        let Work::Action(Change::RestoreSnapshot { from, .. }) = deed.work() else {
            continue;
        };
        let place = deed.at(&["restoreSnapshot", "from"]);
        let Some(other) = experiment.steps.iter().find(|other| &other.name == from) else {
            broken.push((place, refuse(from)));
            continue;
        };
        let takes = |work: &&Work| matches!(work, Work::Action(Change::TakeSnapshot { .. }));
        if let Some(another) = other.works().find(|work| !takes(work)) {
            let does = if other.has_choice() { "may do" } else { "is a step of" };
            let message = format!("`{from}` {does} `{}`: name one of `takeSnapshot`", another.name());
            broken.push((place, message));
        }
    }
    for (index, hypothesis) in experiment.hypothesis.iter().enumerate() {
        if let Some(step) = hypothesis.during.as_ref().and_then(|during| during.step.as_ref())
            && !known.contains(&step.as_str())
        {
            broken.push((at("hypothesis", index, &["during", "step"]), refuse(step)));
        }
    }
}

fn waits_for_itself(experiment: &Experiment, step: &Step) -> bool {
    let mut here = step;
    for _ in 0..=experiment.steps.len() {
        let Start::After(before) = &here.start else {
            return false;
        };
        let Some(next) = experiment.steps.iter().find(|step| &step.name == before) else {
            return false;
        };
        here = next;
    }
    true
}

fn store(experiment: &Experiment, broken: &mut Vec<Broken>) {
    let store = experiment.target.store.as_ref();
    let waits_for_role =
        |step: &Step| matches!(&step.start, Start::When(When { condition: Condition::Role { .. }, .. }));
    let mut asking: Vec<_> = deeds(experiment)
        .filter(|deed| deed.work().needs_roles() && experiment.other_set(deed.step).is_none())
        .map(|deed| (deed.index, deed.at(&[])))
        .collect();
    for (index, step) in experiment.steps.iter().enumerate() {
        // Said once of each step.
        let is_own = experiment.other_set(step).is_none();
        if is_own && waits_for_role(step) && asking.iter().all(|(other, _)| *other != index) {
            asking.push((index, at("steps", index, &["when"])));
        }
    }
    if !store.is_some_and(crate::experiment::Store::tells_roles) {
        for (_, place) in asking {
            let why = match store {
                Some(store) => format!(
                    "`{}` does not tell its members' roles: select by ordinals or count",
                    store.name()
                ),
                None => {
                    "roles are known only from a store: name it, for example spec.target.store: {etcd: {}}"
                        .into()
                }
            };
            broken.push((place, why));
        }
    }
    slis::needs(experiment, broken);
    if experiment.workload.is_some() && store.is_none() {
        broken.push((
            vec![Segment::Key("spec".into()), Segment::Key("workload".into())],
            "clients need a store to speak to: name it, for example spec.target.store: {etcd: {}}".into(),
        ));
    }
}

fn workload(experiment: &Experiment, broken: &mut Vec<Broken>) {
    let Some(workload) = &experiment.workload else {
        return;
    };
    let field = |name: &str| ["spec", "workload", name].map(|key| Segment::Key(key.into())).to_vec();
    for (name, value, most) in [
        ("clients", workload.clients, 1000),
        ("rate", workload.rate, 100_000),
        ("registers", workload.registers, 100_000),
    ] {
        if value == 0 || value > most {
            broken.push((field(name), format!("{value} is not possible: write a number from 1 to {most}")));
        }
    }
    if workload.timeout.is_zero() {
        broken.push((field("timeout"), "a client has to wait for an answer: write for example 1s".into()));
    }
    if workload.scope.prefix.len() < 2 || !workload.scope.prefix.ends_with('/') {
        broken.push((
            field("scope"),
            format!(
                "`{}` could hold keys of others: write a name that ends in /, for example seatrial/",
                workload.scope.prefix
            ),
        ));
    }
}

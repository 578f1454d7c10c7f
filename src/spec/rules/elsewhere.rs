//! Steps that act on a further StatefulSet: what has to be there, and what nobody can tell of its members.

use super::works::deeds;
use super::{Broken, at, listed};
use crate::experiment::{Change, Condition, Experiment, Start, Step, When, Work};
use crate::spec::TargetFacts;
use crate::yaml::nearest;

/// What is known of the StatefulSet that a step acts on; nothing where it is not known.
pub(super) fn facts_of<'a>(
    experiment: &Experiment,
    step: &Step,
    target: &'a TargetFacts,
    others: Option<&'a [TargetFacts]>,
) -> Option<&'a TargetFacts> {
    match experiment.other_set(step) {
        None => Some(target),
        Some(name) => others?.iter().find(|other| other.name == name),
    }
}

/// The StatefulSets and containers that steps name must exist.
pub(super) fn against_target(
    experiment: &Experiment,
    target: &TargetFacts,
    others: Option<&[TargetFacts]>,
    broken: &mut Vec<Broken>,
) {
    for (index, step) in experiment.steps.iter().enumerate() {
        if let (Some(name), Some(others)) = (experiment.other_set(step), others)
            && others.iter().all(|other| other.name != name)
        {
            broken.push((at("steps", index, &["target", "statefulSet"]), unknown(name, others)));
        }
        let named = step.target.as_ref().and_then(|target| target.container.as_ref());
        if let (Some(container), Some(facts)) = (named, facts_of(experiment, step, target, others))
            && !facts.containers.contains(container)
        {
            let (set, known) = (&facts.name, listed(&facts.containers));
            let message = format!("`{set}` has no container `{container}`: it has {known}");
            broken.push((at("steps", index, &["target", "container"]), message));
        }
    }
}

/// That there is none, and which ones there are.
fn unknown(name: &str, others: &[TargetFacts]) -> String {
    let known = || others.iter().map(|other| other.name.as_str());
    let near = nearest(name, known()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    if others.is_empty() {
        return format!("there is no StatefulSet `{name}` beside that of spec.target");
    }
    let known = known().collect::<Vec<_>>().join("`, `");
    format!("there is no StatefulSet `{name}`: {near}There are `{known}`")
}

/// Roles are those of the experiment's own store.
pub(super) fn roles(experiment: &Experiment, broken: &mut Vec<Broken>) {
    for deed in deeds(experiment).filter(|deed| deed.work().needs_roles()) {
        if let Some(set) = experiment.other_set(deed.step) {
            let message = format!(
                "members of `{set}` have no roles, which are those of spec.target: select by ordinals or count, for example \
                 members: {{ordinals: [0]}}"
            );
            broken.push((deed.at(&[]), message));
        }
    }
    for (index, step) in experiment.steps.iter().enumerate() {
        if let (Some(set), Start::When(When { condition: Condition::Role { .. }, .. })) =
            (experiment.other_set(step), &step.start)
        {
            let message = format!(
                "members of `{set}` have no roles: wait for one of its pods, for example when: {{pod: {{ordinal: 0, is: Ready}}}}, \
                 for an SLI of spec.target, or come `after` a step of spec.target that waits for the role"
            );
            broken.push((at("steps", index, &["when"]), message));
        }
    }
}

/// Snapshots are restored where they were taken: what reads them is what their own StatefulSet runs as.
pub(super) fn restores(experiment: &Experiment, broken: &mut Vec<Broken>) {
    for deed in deeds(experiment) {
        let Work::Action(Change::RestoreSnapshot { from, .. }) = deed.work() else { continue };
        let here = experiment.other_set(deed.step);
        let taken = experiment.steps.iter().find(|other| &other.name == from);
        let message = match taken.map(|step| experiment.other_set(step)).filter(|there| *there != here) {
            Some(Some(set)) => format!(
                "`{from}` takes snapshots of `{set}`: give this step the same target, for example target: {{statefulSet: {set}}}"
            ),
            Some(None) => format!(
                "`{from}` takes snapshots of spec.target: leave statefulSet out of the target of this step"
            ),
            None => continue,
        };
        broken.push((deed.at(&["restoreSnapshot", "from"]), message));
    }
}

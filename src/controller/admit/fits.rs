//! Whether StatefulSets are there and have what an Experiment names.

use jiff::SignedDuration;

use super::Obstacle;
use crate::controller::validate;
use crate::experiment::Experiment as Valid;
use crate::resource::Experiment;
use crate::spec::TargetFacts;

/// How long an Experiment waits for a StatefulSet that is applied along with it.
const PATIENCE: SignedDuration = SignedDuration::from_mins(1);

/// What it means for an Experiment of this age that a StatefulSet is not there.
pub(super) fn absent(name: &str, namespace: &str, age: SignedDuration) -> Obstacle {
    let message = format!("there is no StatefulSet {name} in namespace {namespace}");
    if age < PATIENCE {
        Obstacle::Waiting("NoTarget", message)
    } else {
        Obstacle::Refused("NoTarget", message)
    }
}

/// Whether the further StatefulSets that steps act on are among `others`, and everything is there that is named. What pods by
/// labels have is not known here.
pub(super) fn all(
    experiment: &Experiment,
    valid: &Valid,
    (own, others): (Option<&TargetFacts>, &[TargetFacts]),
    namespace: &str,
    age: SignedDuration,
) -> Result<(), Obstacle> {
    let is_there = |name: &str| others.iter().any(|other| other.name == name);
    let missing = valid.other_sets().into_iter().find(|name| !is_there(name));
    let missing = missing.map(|name| absent(name, namespace, age));
    if let Some(waiting @ Obstacle::Waiting(..)) = missing {
        return Err(waiting);
    }
    // Told together with everything else that does not fit, and with what there is.
    if let Some(own) = own
        && let Err(problems) = validate::fits(experiment, valid, own, others)
    {
        return Err(Obstacle::Refused("DoesNotFitTarget", problems));
    }
    missing.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::ExperimentSpec;

    #[test]
    fn a_further_set_that_does_not_come_is_refused_whatever_the_target_is() {
        let text = r#"{"name":"e","target":{"pods":{"selector":{"matchLabels":{"app":"kafka"}}}},"hypothesis":[],
            "steps":[{"name":"lost","target":{"statefulSet":"keeper"},"fault":{"podKill":{"members":{"count":1}}}}]}"#;
        let valid: Valid = serde_json::from_str(text).expect("an experiment");
        let experiment = Experiment::new("e", ExperimentSpec { written: serde_json::Map::new() });
        let facts = |name: &str| TargetFacts {
            name: name.into(),
            first: 0,
            replicas: 3,
            containers: Vec::new(),
            claims: Vec::new(),
        };
        let fits = |others: &[TargetFacts], seconds| {
            let age = SignedDuration::from_secs(seconds);
            all(&experiment, &valid, (None, others), "shop", age)
        };
        assert!(fits(&[facts("zoo"), facts("keeper")], 0).is_ok());
        assert!(matches!(fits(&[facts("zoo")], 59), Err(Obstacle::Waiting("NoTarget", _))));
        let Err(Obstacle::Refused("NoTarget", why)) = fits(&[], 60) else {
            unreachable!("nobody acts on it")
        };
        assert_eq!(why, "there is no StatefulSet keeper in namespace shop");
    }
}

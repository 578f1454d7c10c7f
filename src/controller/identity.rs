//! The names that belong to an Experiment's run, all from its name and UID, so that a controller that starts again
//! finds what an earlier one has made.

use kube::{Resource, ResourceExt};

use crate::resource::Experiment;

/// How many characters of an Experiment's name a run's name takes: the rest of a label's 63 is for the UID.
const NAME_PART: usize = 54;
/// How many characters of its UID.
const UID_PART: usize = 8;

/// The one run of an Experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The namespace of everything.
    pub namespace: String,
    /// The Experiment's name.
    pub experiment: String,
    /// The Experiment's UID: another Experiment of the same name is another run.
    pub uid: String,
    /// The run's name, which is also the name of the runner's pod.
    pub run: String,
}

impl Identity {
    /// The identity of an Experiment that the API server knows.
    pub fn of(experiment: &Experiment) -> Self {
        let name = experiment.name_any();
        let uid = experiment.uid().unwrap_or_default();
        Self {
            namespace: experiment.namespace().unwrap_or_default(),
            run: run_name(&name, &uid),
            experiment: name,
            uid,
        }
    }

    /// The reference by which an object belongs to the Experiment and is deleted with it.
    pub fn owner(&self) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
        k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
            api_version: Experiment::api_version(&()).into_owned(),
            kind: Experiment::kind(&()).into_owned(),
            name: self.experiment.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(false),
        }
    }
}

/// `NAME-UID`, a label's value and a pod's name: no dots, no hyphen at an end.
fn run_name(name: &str, uid: &str) -> String {
    let name: String = name.chars().take(NAME_PART).map(|c| if c == '.' { '-' } else { c }).collect();
    let uid: String = uid.chars().filter(char::is_ascii_hexdigit).take(UID_PART).collect();
    format!("{}-{uid}", name.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "3f1d2c4b-aaaa-bbbb-cccc-0123456789ab";

    #[test]
    fn a_run_is_named_after_its_experiment_and_fits_a_label() {
        assert_eq!(run_name("etcd-leader-cut", UID), "etcd-leader-cut-3f1d2c4b");
        assert_eq!(run_name("a.b", UID), "a-b-3f1d2c4b");
        assert!(run_name(&"x".repeat(100), UID).len() <= 63);
    }
}

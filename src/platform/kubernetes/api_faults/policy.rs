//! An admission policy of ours with its binding: it denies the creation of what an expression names until a deadline that
//! it carries itself.
//!
//! CEL has no clock, but an object that is being created carries its creation time when validating policies are asked.
//! So the policy compares that with the deadline, and denies nothing afterwards, whoever is still there. Each API server
//! learns of a policy by itself, within a second: whether it is in force is told by creations without effect (dry run) of
//! a ConfigMap that only this policy names.

use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::Site;
use super::effect::Obstacle;
use super::made::obstacle;
use crate::api::{InjectionSpec, counted};
use crate::platform::kubernetes::RUNNER;
use crate::platform::kubernetes::failure::{is_absent, is_silence, words};
use crate::resource::{DEADLINE_ANNOTATION, NUDGED_ANNOTATION, RUN_LABEL, SET_ANNOTATION};

/// How often in a row a dry run must be answered the same: each API server learns of a policy by itself.
const IN_A_ROW: u32 = 3;

/// One policy with its binding. Nothing of it exists before it is applied.
pub(super) struct Policy {
    policies: Api<ValidatingAdmissionPolicy>,
    bindings: Api<ValidatingAdmissionPolicyBinding>,
    probes: Api<ConfigMap>,
    namespace: String,
    /// The StatefulSet whose controller is denied what it makes.
    set: Option<String>,
    name: String,
    spec: InjectionSpec,
    denied: u32,
}

/// What a dry run says of a policy.
pub(super) enum Force {
    /// Denied often enough in a row to count.
    Denies,
    /// Not yet, or no longer.
    Not(String),
}

impl Policy {
    /// The policy of an Injection. One that needs several tells them apart by `part`.
    pub(super) fn new(site: &Site, spec: &InjectionSpec, part: Option<&str>) -> Self {
        let part = part.map_or_else(String::new, |part| format!("-{part}"));
        Self {
            policies: Api::all(site.client.clone()),
            bindings: Api::all(site.client.clone()),
            probes: Api::namespaced(site.client.clone(), &site.namespace),
            namespace: site.namespace.clone(),
            set: site.set.clone(),
            // Cluster-wide objects are named after the run's Injection, which is unique.
            name: format!("seatrial-{}{part}", spec.name.to_lowercase()),
            spec: spec.clone(),
            denied: 0,
        }
    }

    /// Its name, which denials carry.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether these are the words of a denial by it.
    pub(super) fn is_named_in(&self, words: &str) -> bool {
        words.contains(&format!("'{}'", self.name))
    }

    /// Makes it deny the creation of objects of these kinds (group and plural) for which `condition` holds: of this
    /// namespace where they are in one.
    pub(super) async fn apply(&self, kinds: &[(&str, &str)], condition: &str) -> Result<(), Obstacle> {
        let (policy, binding) = self.objects(kinds, condition);
        let parameters = PatchParams::apply(RUNNER).force();
        self.policies.patch(&self.name, &parameters, &Patch::Apply(policy)).await.map_err(obstacle)?;
        self.bindings.patch(&self.name, &parameters, &Patch::Apply(binding)).await.map_err(obstacle)?;
        Ok(())
    }

    fn objects(&self, kinds: &[(&str, &str)], condition: &str) -> (Value, Value) {
        let InjectionSpec { run, step, deadline, .. } = &self.spec;
        let metadata = json!({
            "name": self.name,
            "labels": { RUN_LABEL: run },
            "annotations": { DEADLINE_ANNOTATION: deadline.at },
        });
        let mut of_policy = metadata.clone();
        if let Some(set) = &self.set {
            of_policy["annotations"][SET_ANNOTATION] = json!(format!("{}/{set}", self.namespace));
        }
        let here = json!({ "matchLabels": { "kubernetes.io/metadata.name": self.namespace } });
        let rule = |&(group, plural): &(&str, &str)| json!({ "apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"], "resources": [plural] });
        let rules: Vec<Value> = kinds.iter().chain([&("", "configmaps")]).map(rule).collect();
        let probe =
            format!("request.resource.resource == 'configmaps' && object.metadata.name == '{}'", self.name);
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": of_policy,
            "spec": {
                // What cannot be decided is allowed: a fault must not break more than it names.
                "failurePolicy": "Ignore",
                "matchConstraints": { "namespaceSelector": here, "resourceRules": rules },
                "matchConditions": [{ "name": "is-meant", "expression": format!("({probe}) || {condition}") }],
                "validations": [{
                    "expression": lapsed(deadline.at),
                    "message": format!("step {step} of run {run} denies this until {}", deadline.at),
                    "reason": "Forbidden",
                }],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {
                "policyName": self.name,
                "validationActions": ["Deny"],
                "matchResources": { "namespaceSelector": here },
            },
        });
        (policy, binding)
    }

    /// Asks by one more dry run whether it is in force.
    pub(super) async fn ask(&mut self) -> Result<Force, kube::Error> {
        if !self.denies().await? {
            self.denied = 0;
            return Ok(Force::Not(format!("a dry run is not denied by {}", self.name)));
        }
        self.denied += 1;
        if self.denied < IN_A_ROW {
            let times = counted(self.denied, "time");
            return Ok(Force::Not(format!("denied {times} in a row so far by {}", self.name)));
        }
        Ok(Force::Denies)
    }

    /// Whether it denies now: an object that only it names is created without effect.
    async fn denies(&self) -> Result<bool, kube::Error> {
        let probe = ConfigMap {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            ..ConfigMap::default()
        };
        let without_effect = PostParams { dry_run: true, ..PostParams::default() };
        match self.probes.create(&without_effect, &probe).await {
            Ok(_) => Ok(false),
            Err(kube::Error::Api(status)) if self.is_named_in(&status.message) && status.code != 409 => {
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes it and makes sure that it denies no longer. Says what is left.
    pub(super) async fn remove(&mut self) -> Result<(), String> {
        let parameters = DeleteParams::default();
        // The binding first: a policy without one denies nothing.
        gone(self.bindings.delete(&self.name, &parameters).await.map(drop))?;
        gone(self.policies.delete(&self.name, &parameters).await.map(drop))?;
        self.denied = 0;
        for _ in 0..IN_A_ROW {
            match self.denies().await {
                Ok(true) => return Err(format!("{} is deleted, and an API server denies still", self.name)),
                Err(error) if is_silence(&error) => return Err(words(&error)),
                // Whatever else refuses the probe, a quota perhaps, is not ours.
                Ok(false) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Touches the StatefulSet, so that its controller looks at it at once, whatever its back-off after denials.
pub(super) async fn nudge(site: &Site) -> Result<(), String> {
    let Some(set) = &site.set else { return Ok(()) };
    let sets: Api<StatefulSet> = Api::namespaced(site.client.clone(), &site.namespace);
    let touch = json!({ "metadata": { "annotations": { NUDGED_ANNOTATION: Timestamp::now() } } });
    gone(sets.patch(set, &PatchParams::default(), &Patch::Merge(touch)).await.map(drop))
}

fn gone(result: Result<(), kube::Error>) -> Result<(), String> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(words(&error)),
    }
}

/// A list of names in CEL.
pub(super) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
    let quoted = names.into_iter().map(|name| Ok(format!("'{}'", plain(name)?)));
    Ok(format!("[{}]", quoted.collect::<Result<Vec<_>, String>>()?.join(", ")))
}

/// A name as it is. Refuses what is no name of Kubernetes and could leave its quotes.
pub(super) fn plain(name: &str) -> Result<&str, String> {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    is_plain.then_some(name).ok_or_else(|| format!("`{name}` is no name of Kubernetes"))
}

/// True for objects that were created after the deadline, so that the policy lapses by itself.
fn lapsed(deadline: Timestamp) -> String {
    format!("timestamp(object.metadata.creationTimestamp) >= timestamp('{deadline}')")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quoted(["db-0", "pvc-1.a"]), Ok("['db-0', 'pvc-1.a']".into()));
        assert!(quoted(["x' || true || 'x"]).is_err());
    }
}

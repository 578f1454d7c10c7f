//! An admission policy that denies the creation of members' objects until a deadline that it carries itself.

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::Site;
use super::effect::{Effect, Look, Obstacle};
use super::set::NUDGED;
use crate::api::{DeniedResource, InjectionSpec, Ordinal};
use crate::platform::kubernetes::RUNNER;
use crate::platform::kubernetes::failure::{is_absent, is_silence, words};
use crate::resource::{DEADLINE_ANNOTATION, RUN_LABEL};

/// How often in a row a dry run must be answered the same: each API server learns of a policy by itself.
const IN_A_ROW: u32 = 3;

/// One policy with its binding.
pub(super) struct Deny {
    site: Site,
    policies: Api<ValidatingAdmissionPolicy>,
    bindings: Api<ValidatingAdmissionPolicyBinding>,
    probes: Api<ConfigMap>,
    name: String,
    policy: Value,
    binding: Value,
    denied: u32,
}

impl Deny {
    pub(super) fn new(
        site: &Site,
        spec: &InjectionSpec,
        resources: &[DeniedResource],
        ordinals: &[Ordinal],
    ) -> Result<Self, String> {
        let name = object_name(&spec.name);
        let set = site.set.clone().unwrap_or_else(|| spec.pod.name.clone());
        let condition = condition(resources, &set, ordinals, &name)?;
        let metadata = json!({
            "name": name,
            "labels": { RUN_LABEL: spec.run },
            "annotations": { DEADLINE_ANNOTATION: spec.deadline.at },
        });
        let here = json!({ "matchLabels": { "kubernetes.io/metadata.name": site.namespace } });
        let rules: Vec<Value> =
            resources.iter().map(|resource| rule(*resource)).chain([probe_rule()]).collect();
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": metadata,
            "spec": {
                // What cannot be decided is allowed: a fault must not break more than it names.
                "failurePolicy": "Ignore",
                "matchConstraints": { "namespaceSelector": here, "resourceRules": rules },
                "matchConditions": [{ "name": "names-a-member", "expression": condition }],
                "validations": [{
                    "expression": lapsed(spec.deadline.at),
                    "message": format!("step {} of run {} denies this until {}", spec.step, spec.run, spec.deadline.at),
                    "reason": "Forbidden",
                }],
            },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": { "namespaceSelector": here },
            },
        });
        Ok(Self {
            policies: Api::all(site.client.clone()),
            bindings: Api::all(site.client.clone()),
            probes: Api::namespaced(site.client.clone(), &site.namespace),
            site: site.clone(),
            name,
            policy,
            binding,
            denied: 0,
        })
    }

    /// Whether the policy denies now: an object that only it names is created without effect.
    async fn denies(&self) -> Result<bool, kube::Error> {
        let probe = ConfigMap {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            ..ConfigMap::default()
        };
        let without_effect = PostParams { dry_run: true, ..PostParams::default() };
        match self.probes.create(&without_effect, &probe).await {
            Ok(_) => Ok(false),
            Err(kube::Error::Api(status)) if status.message.contains(&self.name) && status.code != 409 => {
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// How many creations were really denied, as far as events tell.
    async fn real_denials(&self) -> usize {
        let events: Api<Event> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let failed = ListParams::default().fields("reason=FailedCreate");
        let found = events.list(&failed).await.map(|list| list.items).unwrap_or_default();
        let ours = |event: &&Event| event.message.as_ref().is_some_and(|words| words.contains(&self.name));
        found.iter().filter(ours).map(|event| usize::try_from(event.count.unwrap_or(1)).unwrap_or(1)).sum()
    }
}

#[async_trait]
impl Effect for Deny {
    async fn inject(&mut self) -> Result<(), Obstacle> {
        let parameters = PatchParams::apply(RUNNER).force();
        let refuse = |error: kube::Error| {
            if is_silence(&error) { Obstacle::Later(words(&error)) } else { Obstacle::Refused(words(&error)) }
        };
        self.policies.patch(&self.name, &parameters, &Patch::Apply(&self.policy)).await.map_err(refuse)?;
        self.bindings.patch(&self.name, &parameters, &Patch::Apply(&self.binding)).await.map_err(refuse)?;
        Ok(())
    }

    async fn look(&mut self) -> Look {
        match self.denies().await {
            Ok(true) => {
                self.denied += 1;
                if self.denied < IN_A_ROW {
                    return Look::Missed(format!("denied {} times in a row so far", self.denied));
                }
                let real = self.real_denials().await;
                Look::Seen(format!(
                    "dry runs are denied by {}, {real} creations were denied for real",
                    self.name
                ))
            }
            Ok(false) => {
                self.denied = 0;
                Look::Missed("a dry run is not denied".into())
            }
            Err(error) => Look::Missed(words(&error)),
        }
    }

    async fn revert(&mut self) -> Result<(), String> {
        let gone = |result: Result<(), kube::Error>| match result {
            Ok(()) => Ok(()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(words(&error)),
        };
        let parameters = DeleteParams::default();
        gone(self.bindings.delete(&self.name, &parameters).await.map(drop))?;
        gone(self.policies.delete(&self.name, &parameters).await.map(drop))?;
        for _ in 0..IN_A_ROW {
            if self.denies().await.map_err(|error| words(&error))? {
                return Err("the policy is deleted, and an API server denies still".into());
            }
        }
        let Some(set) = &self.site.set else { return Ok(()) };
        let sets: Api<StatefulSet> = Api::namespaced(self.site.client.clone(), &self.site.namespace);
        let touch = json!({ "metadata": { "annotations": { NUDGED: Timestamp::now() } } });
        gone(sets.patch(set, &PatchParams::default(), &Patch::Merge(touch)).await.map(drop))
    }
}

/// A name for cluster-wide objects: those of the run's Injection, which are unique.
fn object_name(injection: &str) -> String {
    format!("seatrial-{}", injection.to_lowercase())
}

fn rule(resource: DeniedResource) -> Value {
    let (group, resources) = match resource {
        DeniedResource::Pods => ("", "pods"),
        DeniedResource::PersistentVolumeClaims => ("", "persistentvolumeclaims"),
        DeniedResource::VolumeSnapshots => ("snapshot.storage.k8s.io", "volumesnapshots"),
    };
    json!({ "apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE"], "resources": [resources] })
}

fn probe_rule() -> Value {
    json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"] })
}

/// Which objects are denied, in CEL.
fn condition(
    resources: &[DeniedResource],
    set: &str,
    ordinals: &[Ordinal],
    probe: &str,
) -> Result<String, String> {
    let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    if !is_plain(set) || !is_plain(probe) {
        return Err(format!("`{set}` is no name of Kubernetes"));
    }
    let any = |each: &dyn Fn(&str) -> String| {
        let all: Vec<_> = ordinals.iter().map(|ordinal| each(&format!("{set}-{ordinal}"))).collect();
        format!("({})", all.join(" || "))
    };
    let mut parts =
        vec![format!("(request.resource.resource == 'configmaps' && object.metadata.name == '{probe}')")];
    for resource in resources {
        parts.push(match resource {
            DeniedResource::Pods => format!(
                "(request.resource.resource == 'pods' && {})",
                any(&|name| format!("object.metadata.name == '{name}'"))
            ),
            DeniedResource::PersistentVolumeClaims => format!(
                "(request.resource.resource == 'persistentvolumeclaims' && {})",
                any(&|name| format!("object.metadata.name.endsWith('-{name}')"))
            ),
            DeniedResource::VolumeSnapshots => "request.resource.resource == 'volumesnapshots'".into(),
        });
    }
    Ok(parts.join(" || "))
}

/// True for objects that were created after the deadline, so that the policy lapses by itself.
fn lapsed(deadline: Timestamp) -> String {
    format!("timestamp(object.metadata.creationTimestamp) >= timestamp('{deadline}')")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_members_are_denied_and_a_name_cannot_leave_its_quotes() {
        let text = condition(&[DeniedResource::Pods], "db", &[0, 2], "probe").expect("plain names");
        assert_eq!(
            text,
            "(request.resource.resource == 'configmaps' && object.metadata.name == 'probe') || \
             (request.resource.resource == 'pods' && \
             (object.metadata.name == 'db-0' || object.metadata.name == 'db-2'))"
        );
        assert!(condition(&[DeniedResource::Pods], "x' || true || 'x", &[0], "probe").is_err());
    }
}

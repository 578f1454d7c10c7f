//! What a run makes for itself: it carries the run's name, its end, and its owner, so that it is removed when the run is
//! over, whoever is still there: the controller, the reaper, or the garbage collector of Kubernetes.

use kube::{Api, Error, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Site;
use super::effect::Obstacle;
use crate::api::InjectionSpec;
use crate::platform::kubernetes::RUNNER;
use crate::platform::kubernetes::failure::{is_silence, words};
use crate::resource::{DEADLINE_ANNOTATION, MADE_LABEL, RUN_LABEL, STEP_LABEL};

/// The metadata of an object that this Injection makes for `what`.
pub(super) fn metadata(site: &Site, spec: &InjectionSpec, what: &str) -> Value {
    json!({
        "name": name(spec, what),
        "labels": { RUN_LABEL: spec.run, MADE_LABEL: spec.run, STEP_LABEL: spec.step },
        "annotations": { DEADLINE_ANNOTATION: site.over_by },
        "ownerReferences": site.owner.iter().collect::<Vec<_>>(),
    })
}

/// A name that no StatefulSet gives to anything.
pub(super) fn name(spec: &InjectionSpec, what: &str) -> String {
    format!("{}.{what}", spec.name).to_lowercase()
}

/// Makes an object, unless an earlier attempt of the same Injection made it.
pub(super) async fn make<K>(api: &Api<K>, object: Value, spec: &InjectionSpec) -> Result<(), Obstacle>
where
    K: Resource + Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object).map_err(|error| Obstacle::Refused(error.to_string()))?;
    let parameters =
        kube::api::PostParams { field_manager: Some(RUNNER.into()), ..kube::api::PostParams::default() };
    match api.create(&parameters, &object).await {
        Ok(_) => Ok(()),
        Err(Error::Api(status)) if status.is_already_exists() => {
            let found = api.get(&object.name_any()).await.map_err(obstacle)?;
            let is_ours = found.labels().get(MADE_LABEL) == Some(&spec.run);
            let name = object.name_any();
            if is_ours { Ok(()) } else { Err(Obstacle::Refused(format!("somebody else's {name} is there"))) }
        }
        Err(error) => Err(obstacle(error)),
    }
}

/// What an error means for something that is to be made.
#[expect(clippy::needless_pass_by_value, reason = "it is what becomes of an error")]
pub(super) fn obstacle(error: Error) -> Obstacle {
    if is_silence(&error) { Obstacle::Later(words(&error)) } else { Obstacle::Refused(words(&error)) }
}

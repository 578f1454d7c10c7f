//! `seatrial install` and `seatrial uninstall`.

use std::time::{Duration, Instant};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt};

use super::args;
use super::console;
use super::exit::Exit;
use super::runtime::block_on;
use crate::controller::{Scope, reap};
use crate::install::{self, Settings};
use crate::platform::kubernetes::access;
use crate::platform::kubernetes::failure::words;

/// How long faults may take to be taken back before somebody has to look.
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints what is applied.
pub(super) fn install(args: args::Install) -> Exit {
    if args.crds_only {
        console::data(install::definitions());
        return Exit::Pass;
    }
    let settings = Settings { namespace: args.namespace, image: args.image, agent: args.agent };
    console::data(install::manifests(&settings));
    console::hint(
        "a namespace is broken only when it agrees: kubectl label namespace NAME seatrial.dev/allow=true",
    );
    Exit::Pass
}

/// Why something is still there.
enum Kept {
    /// A fault could not be taken back.
    Faults(Vec<String>),
    /// The cluster said no, or nothing.
    Trouble(String),
}

/// Takes every fault back, then removes what was installed.
pub(super) fn uninstall(args: &args::Uninstall) -> Exit {
    let done = block_on(async {
        let access = match access::connect(args.context.context.as_deref()).await {
            Ok(access) => access,
            Err(error) => return Ok(console::failure(&error, Exit::Unreachable)),
        };
        console::say(format_args!("cluster {} ({})", access.context, access.server));
        if !args.yes {
            let exit =
                console::error("nothing was done: this removes Seatrial and every Experiment", Exit::Usage);
            console::hint("add --yes to do it");
            return Ok(exit);
        }
        Ok(match remove(&access.client, &args.namespace).await {
            Ok(()) => Exit::Pass,
            Err(Kept::Trouble(why)) => console::error(why, Exit::Unexpected),
            Err(Kept::Faults(left)) => {
                for what in &left {
                    console::say(format_args!("  {what}"));
                }
                let exit = console::error(
                    "faults are not taken back yet, so nothing more was removed",
                    Exit::RevertFailed,
                );
                console::hint("agents go on trying: look at them with kubectl logs, and run this again");
                exit
            }
        })
    });
    done.unwrap_or_else(|why| console::error(why, Exit::Unexpected))
}

async fn remove(client: &Client, namespace: &str) -> Result<(), Kept> {
    let is_installed = is_installed(client).await?;
    if is_installed {
        // Runners end first: one that goes on would make new faults.
        let runs = reap::delete_experiments(client, &Scope::Cluster).await.map_err(trouble)?;
        console::say(format_args!("deleted {runs} experiments"));
        revert(client).await?;
        console::say("every fault is taken back");
    }
    let settings = Settings { namespace: namespace.into(), ..Settings::default() };
    let mut removed = 0;
    for object in objects(&install::manifests(&settings)).into_iter().rev() {
        removed += usize::from(delete(client, &object).await?);
    }
    removed += bindings(client).await?;
    console::say(format_args!("removed {removed} objects"));
    Ok(())
}

async fn is_installed(client: &Client) -> Result<bool, Kept> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let found = definitions.get_opt("injections.seatrial.dev").await;
    Ok(found.map_err(|error| Kept::Trouble(words(&error)))?.is_some())
}

async fn revert(client: &Client) -> Result<(), Kept> {
    let began = Instant::now();
    loop {
        let left = reap::take_everything_back(client, &Scope::Cluster).await.map_err(trouble)?;
        if left.is_empty() {
            return Ok(());
        }
        if began.elapsed() >= PATIENCE {
            return Err(Kept::Faults(left));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the controller has bound for runners of each namespace.
async fn bindings(client: &Client) -> Result<usize, Kept> {
    let ours =
        ListParams::default().labels("app.kubernetes.io/name=seatrial,app.kubernetes.io/component=runner");
    let mut removed = 0;
    for (group, kind) in [
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("", "ServiceAccount"),
    ] {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let found = all.list_metadata(&ours).await.map_err(|error| Kept::Trouble(words(&error)))?;
        for object in found {
            let one = at(client, &resource, object.namespace().as_deref());
            removed += usize::from(gone(one.delete(&object.name_any(), &DeleteParams::default()).await)?);
        }
    }
    Ok(removed)
}

async fn delete(client: &Client, object: &DynamicObject) -> Result<bool, Kept> {
    let Some(types) = &object.types else {
        return Ok(false);
    };
    let kind = GroupVersionKind::try_from(types).map_err(|error| Kept::Trouble(error.to_string()))?;
    let resource = ApiResource::from_gvk(&kind);
    let api = at(client, &resource, object.metadata.namespace.as_deref());
    gone(api.delete(&object.name_any(), &DeleteParams::background()).await)
}

fn at(client: &Client, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

/// Whether it was there.
fn gone<T>(answer: Result<T, kube::Error>) -> Result<bool, Kept> {
    match answer {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(error) => Err(Kept::Trouble(words(&error))),
    }
}

fn objects(text: &str) -> Vec<DynamicObject> {
    use serde::Deserialize;
    serde_yaml::Deserializer::from_str(text)
        .map(|document| DynamicObject::deserialize(document).expect("what is installed is made of objects"))
        .collect()
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn trouble(error: crate::controller::Trouble) -> Kept {
    Kept::Trouble(format!("{error}: {}", words(&error.source)))
}

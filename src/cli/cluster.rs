//! Commands against a cluster. The API server is asked for everything; nothing is remembered on this machine.

mod abort;
mod announce;
mod compare;
mod follow;
mod kept;
mod log;
mod rates;
mod revert;
mod run;
mod status;

use kube::Api;

use super::args;
use super::console;
use super::exit::Exit;
use super::runtime::block_on;
use crate::platform::PlatformError;
use crate::platform::kubernetes::access::{self, Access, AccessError};
use crate::platform::kubernetes::failure::insist;
use crate::resource::Experiment;

pub(super) use abort::abort;
pub(super) use kept::{judge, report};
pub(super) use revert::revert;
pub(super) use run::run;
pub(super) use status::status;

/// A cluster that answered, and the namespace that is meant.
pub(super) struct Seat {
    pub(super) access: Access,
    pub(super) namespace: String,
}

impl Seat {
    fn experiments(&self) -> Api<Experiment> {
        Api::namespaced(self.access.client.clone(), &self.namespace)
    }

    /// An Experiment, or how the command ends without it.
    async fn find(&self, name: &str) -> Result<Experiment, Exit> {
        let objects = self.experiments();
        match insist(|| objects.get_opt(name)).await {
            Ok(Some(object)) => Ok(object),
            Ok(None) => {
                let namespace = &self.namespace;
                let exit = console::error(
                    format_args!("namespace `{namespace}` has no Experiment `{name}`"),
                    Exit::Usage,
                );
                console::hint(format_args!(
                    "seatrial status --namespace {namespace} lists those that it has"
                ));
                Err(exit)
            }
            Err(error) => Err(told(&error)),
        }
    }
}

/// Says what went wrong between us and the API server.
pub(super) fn told(error: &PlatformError) -> Exit {
    let exit = match error {
        PlatformError::Unreachable(_) => Exit::Unreachable,
        PlatformError::Refused(_) => Exit::Unexpected,
    };
    console::failure(error, exit)
}

/// Reaches the cluster and does something there.
fn act(
    cluster: &args::Cluster,
    preferred_namespace: Option<String>,
    work: impl AsyncFnOnce(Seat) -> Result<Exit, Exit>,
) -> Exit {
    asked_in(cluster, preferred_namespace, work).unwrap_or_else(|exit| exit)
}

/// Reaches the cluster and asks it for something.
pub(super) fn asked<T>(
    cluster: &args::Cluster,
    work: impl AsyncFnOnce(Seat) -> Result<T, Exit>,
) -> Result<T, Exit> {
    asked_in(cluster, None, work)
}

fn asked_in<T>(
    cluster: &args::Cluster,
    preferred_namespace: Option<String>,
    work: impl AsyncFnOnce(Seat) -> Result<T, Exit>,
) -> Result<T, Exit> {
    let done = block_on(async {
        let access = match access::connect(cluster.context.as_deref()).await {
            Ok(access) => access,
            Err(error) => return Ok(Err(unreached(&error))),
        };
        let namespace = cluster.namespace.clone().or(preferred_namespace);
        let namespace = namespace.unwrap_or_else(|| access.namespace.clone());
        Ok(work(Seat { access, namespace }).await)
    });
    done.unwrap_or_else(|why| Err(console::error(why, Exit::Unexpected)))
}

fn unreached(error: &AccessError) -> Exit {
    match error {
        AccessError::Unreachable { .. } => console::failure(error, Exit::Unreachable),
        AccessError::Nowhere(_) | AccessError::Kubeconfig(_) | AccessError::Client(_) => {
            let exit = console::failure(error, Exit::Usage);
            console::hint("set KUBECONFIG to the cluster's kubeconfig, or --context to a context of it");
            exit
        }
    }
}

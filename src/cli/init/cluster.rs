//! A StatefulSet as a cluster has it.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;

use crate::cli::args::Init;
use crate::cli::cluster::{self, Seat};
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::draft::Found;
use crate::platform::kubernetes::failure::insist;

/// Asks the API server for it.
pub(super) fn found(args: &Init) -> Result<Found, Exit> {
    let name = args.manifest.display().to_string();
    cluster::asked(&args.place.cluster, async |seat: Seat| {
        let sets: Api<StatefulSet> = Api::namespaced(seat.access.client.clone(), &seat.namespace);
        let namespace = &seat.namespace;
        match insist(|| sets.get_opt(&name)).await {
            Ok(Some(set)) => Found::of(&set)
                .map_err(|why| console::error(format_args!("StatefulSet {name} {why}"), Exit::Usage)),
            Ok(None) => {
                let told = format_args!("namespace `{namespace}` has no StatefulSet `{name}`");
                let exit = console::error(told, Exit::Usage);
                console::hint("name another --namespace, or give a manifest without --on kubernetes");
                Err(exit)
            }
            Err(error) => Err(cluster::told(&error)),
        }
    })
}

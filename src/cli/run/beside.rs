//! The StatefulSets that a sandbox has beside the one that an experiment is about.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;

use super::super::console;
use super::super::sandbox::READY_LIMIT;
use crate::platform::Cluster;
use crate::platform::sandbox::StateDir;
use crate::platform::sandbox::client::Client;

/// After this time a person wants to know what is waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// All of them by name, once every pod of theirs is ready: what the target needs is there before anything is measured.
pub(super) async fn ready(
    dir: &StateDir,
    target: &str,
    is_quiet: bool,
) -> Result<BTreeMap<String, Arc<dyn Cluster>>, String> {
    let setup = dir.setup().map_err(|error| error.to_string())?;
    let mut others = BTreeMap::new();
    for other in setup.sets().filter(|set| set.name != target) {
        let client = Client::connect_to(dir, &other.name).await.map_err(|error| error.to_string())?;
        others.insert(other.name.clone(), Arc::new(client));
    }
    let all = try_join_all(others.iter().map(|(name, client)| async move {
        let waited = client.wait_set_ready(READY_LIMIT).await;
        waited.map_err(|error| format!("StatefulSet {name}, beside {target}: {error}"))
    }));
    tokio::pin!(all);
    tokio::select! {
        waited = &mut all => {
            waited?;
        }
        () = tokio::time::sleep(SILENCE) => {
            if !is_quiet {
                let names: Vec<&str> = others.keys().map(String::as_str).collect();
                console::say(format_args!("waiting for {} to be ready", names.join(", ")));
            }
            all.await?;
        }
    }
    Ok(others.iter().map(|(name, client)| (name.clone(), Arc::clone(client) as _)).collect())
}

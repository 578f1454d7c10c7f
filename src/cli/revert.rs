//! `seatrial revert`: takes back every fault of a kept sandbox, whoever injected it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::console;
use super::exit::Exit;
use super::runtime::block_on;
use crate::api::{Desired, Injection, InjectionState, InjectionStatus};
use crate::platform::sandbox::client::Client;
use crate::platform::sandbox::{Sandbox, state_root};
use crate::platform::{Nodes, PlatformError};

/// How long reverts may take.
const LIMIT: Duration = Duration::from_secs(15);
/// `seatrial revert SANDBOX`
pub(super) fn revert(name: &str) -> Exit {
    let sandbox = match state_root().and_then(|root| Sandbox::attach(&root, name)) {
        Ok(sandbox) => sandbox,
        Err(error) => return console::failure(&error, Exit::PreflightUnmet),
    };
    let done = block_on(async {
        let client = Client::connect(sandbox.dir()).await.map_err(|error| error.to_string())?;
        tokio::time::timeout(LIMIT, revert_all(&client))
            .await
            .unwrap_or_else(|_| Err(format!("not everything was reverted within {} s", LIMIT.as_secs())))
    });
    match done {
        Ok(0) => {
            console::data("nothing was injected\n");
            Exit::Pass
        }
        Ok(count) => {
            console::data(format_args!("{count} reverted, verified\n"));
            Exit::Pass
        }
        Err(why) => console::error(why, Exit::RevertFailed),
    }
}

/// Asks for the revert of everything that is there, waits until each is verified, and forgets it.
async fn revert_all(client: &Client) -> Result<usize, String> {
    let told = |error: PlatformError| error.to_string();
    let mut changes = client.statuses().await.map_err(told)?;
    let mut waiting = BTreeSet::new();
    let mut harmless = Vec::new();
    for Injection { mut spec, status } in client.injections().await.map_err(told)? {
        if spec.fault.changes_nothing() {
            harmless.push(spec.name);
        } else if is_over(status.as_ref()) {
            client.forget(&spec.name).await.map_err(told)?;
        } else {
            spec.desired = Desired::Reverted;
            waiting.insert(spec.name.clone());
            client.apply(spec).await.map_err(told)?;
        }
    }
    for name in harmless {
        if let Err(error) = client.forget(&name).await {
            tracing::warn!(name, %error, "what only measures is left; it ends by its deadline");
        }
    }
    let count = waiting.len();
    while !waiting.is_empty() {
        let Some(Injection { spec, status }) = changes.recv().await else {
            return Err("the sandbox is gone".into());
        };
        if is_over(status.as_ref()) && waiting.remove(&spec.name) {
            client.forget(&spec.name).await.map_err(told)?;
        }
    }
    Ok(count)
}

/// Whether nothing of it is in force any more, or ever was.
fn is_over(status: Option<&InjectionStatus>) -> bool {
    status.is_some_and(|status| match status.state {
        InjectionState::Reverted | InjectionState::Failed => true,
        InjectionState::Pending
        | InjectionState::Injected
        | InjectionState::Lost
        | InjectionState::RevertFailed => false,
    })
}

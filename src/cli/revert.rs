//! `seatrial revert`: takes back every fault of a kept sandbox, whoever injected it.

use std::time::Duration;

use super::console;
use super::exit::Exit;
use super::runtime::block_on;
use crate::api::{Desired, Injection, InjectionState};
use crate::platform::Nodes;
use crate::platform::sandbox::client::Client;
use crate::platform::sandbox::{Sandbox, state_root};

/// How long reverts may take.
const LIMIT: Duration = Duration::from_secs(15);
/// How long the list of Injections may take to arrive; it comes at once when there are any.
const LIST_LIMIT: Duration = Duration::from_millis(500);

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
    let mut changes = client.statuses().await.map_err(|error| error.to_string())?;
    let mut waiting: Vec<String> = Vec::new();
    let mut reverted = 0;
    loop {
        let next = if waiting.is_empty() {
            match tokio::time::timeout(LIST_LIMIT, changes.recv()).await {
                Ok(next) => next,
                Err(_) => return Ok(reverted),
            }
        } else {
            changes.recv().await
        };
        let Some(Injection { mut spec, status }) = next else {
            return Err("the sandbox is gone".into());
        };
        let is_over = status
            .is_some_and(|status| matches!(status.state, InjectionState::Reverted | InjectionState::Failed));
        let known = waiting.iter().position(|name| *name == spec.name);
        match (known, is_over) {
            (Some(place), true) => {
                waiting.swap_remove(place);
                reverted += 1;
                client.forget(&spec.name).await.map_err(|error| error.to_string())?;
            }
            (None, true) => client.forget(&spec.name).await.map_err(|error| error.to_string())?,
            (None, false) => {
                spec.desired = Desired::Reverted;
                waiting.push(spec.name.clone());
                client.apply(spec).await.map_err(|error| error.to_string())?;
            }
            (Some(_), false) => {}
        }
    }
}

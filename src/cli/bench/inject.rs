//! `seatrial bench inject`: how long injecting and reverting takes in a sandbox of the built-in store.

use std::collections::BTreeSet;

use super::super::console;
use super::super::exit::Exit;
use super::super::quickstart;
use super::super::runtime::{block_on, interrupts};
use super::super::sandbox::{self, READY_LIMIT};
use super::{latency, table};
use crate::platform::Cluster;
use crate::platform::sandbox::Sandbox;
use crate::platform::sandbox::client::Client;

pub(super) fn inject(rounds: u32) -> Exit {
    if rounds == 0 {
        return console::error("nothing can be measured in 0 rounds", Exit::Usage);
    }
    let name = format!("bench-{}", std::process::id());
    let sandbox = match sandbox::start(quickstart::stateful_set(), Vec::new(), name, false, BTreeSet::new()) {
        Ok(sandbox) => sandbox,
        Err(error) => return console::failure(&error, Exit::PreflightUnmet),
    };
    let done = block_on(async {
        let mut interrupts = interrupts();
        tokio::select! {
            done = measure(&sandbox, rounds) => done,
            Some(_) = interrupts.recv() => Err("interrupted".into()),
        }
    });
    let exit = match done {
        Ok(table) => {
            console::data(table);
            Exit::Pass
        }
        Err(why) => console::error(why, Exit::Unexpected),
    };
    match sandbox.stop() {
        Ok(()) => exit,
        Err(error) => console::failure(&error, Exit::Unexpected),
    }
}

async fn measure(sandbox: &Sandbox, rounds: u32) -> Result<String, String> {
    let client = Client::connect(sandbox.dir()).await.map_err(|error| error.to_string())?;
    client.wait_ready(READY_LIMIT).await.map_err(|error| error.to_string())?;
    let target = client.snapshots().borrow().clone();
    Ok(table::render(&latency::measure(&client, &target, rounds).await?))
}

//! The node process of this sandbox, kept running as a DaemonSet would.

use std::fs::OpenOptions;
use std::io;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::init::World;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A process that ran this long starts over.
const FORGIVEN_AFTER: Duration = Duration::from_secs(10);

/// Starts it, and starts it again whenever it ends, for ever.
pub async fn keep_running(world: Arc<World>, arguments: Vec<String>) {
    let mut wait = FIRST_WAIT;
    loop {
        let started = Instant::now();
        match run_once(&world, &arguments).await {
            Ok(()) => tracing::warn!("the node process ended"),
            Err(error) => tracing::error!(%error, "cannot start the node process"),
        }
        wait = if started.elapsed() >= FORGIVEN_AFTER { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
        tokio::time::sleep(wait).await;
    }
}

async fn run_once(world: &World, arguments: &[String]) -> io::Result<()> {
    let log = OpenOptions::new().create(true).append(true).open(world.dir.logs().join("node.log"))?;
    let mut command = Command::new(world.dir.program());
    command
        .args(arguments)
        .env("SEATRIAL_STATE", world.dir.root())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    world.reaper.run(&mut command).await.map(drop)
}

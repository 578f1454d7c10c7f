//! `seatrial controller` and `seatrial reap`: what the Deployment and the CronJob of deploy/ run.

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::args;
use super::console;
use super::exit::Exit;
use super::runtime::block_on;
use crate::controller::{Image, Options, Scope, reap, serve};
use crate::platform::kubernetes::access;

/// Runs until SIGTERM.
pub(super) fn controller(args: args::Controller) -> Exit {
    let options = Options {
        namespace: args.namespace,
        identity: args.identity,
        scope: scope(args.watch_namespace),
        image: Image { name: args.image, pull_policy: args.image_pull_policy },
        listen: args.listen,
    };
    ended(block_on(async {
        let (stop, stopped) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate()).map_err(told)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(told)?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.send_replace(true);
            // Kept until the end: a closed channel would read as nobody left to say stop.
            std::future::pending::<()>().await;
            drop(stop);
        });
        let access = access::connect(None).await.map_err(told)?;
        serve(access.client, options, stopped).await.map_err(told)
    }))
}

/// One round.
pub(super) fn reap(args: args::Reap) -> Exit {
    ended(block_on(async {
        let access = access::connect(None).await.map_err(told)?;
        let done =
            reap::reap(&access.client, &scope(args.watch_namespace), Timestamp::now()).await.map_err(told)?;
        for what in done {
            console::say(format_args!("took back {what}"));
        }
        Ok(())
    }))
}

fn scope(namespace: Option<String>) -> Scope {
    namespace.filter(|namespace| !namespace.is_empty()).map_or(Scope::Cluster, Scope::Namespace)
}

fn ended(done: Result<(), String>) -> Exit {
    match done {
        Ok(()) => Exit::Pass,
        Err(why) => console::error(why, Exit::Unexpected),
    }
}

/// An error with its causes.
fn told(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

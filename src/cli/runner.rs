//! `seatrial runner`: one run in a cluster, as the controller starts it.

use super::args;
use super::console;
use super::exit::Exit;
use super::runtime::block_on;
use crate::runner::{Options, serve};

/// Ends well when there is nothing left to do, whatever the verdict: whoever starts it again otherwise takes back what
/// was left.
pub(super) fn runner(args: args::Runner) -> Exit {
    let options = Options {
        namespace: args.namespace,
        experiment: args.experiment,
        run: args.run,
        journal: args.journal,
    };
    let done = block_on(async {
        Box::pin(serve(options)).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default())
        })
    });
    match done {
        Ok(()) => Exit::Pass,
        Err(why) => console::error(why, Exit::Unexpected),
    }
}

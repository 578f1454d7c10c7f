//! `seatrial abort`: stops a run in a cluster and waits until every fault is taken back.

use std::time::Duration;

use tokio::time::sleep;

use super::{Seat, act, follow};
use crate::cli::args;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::resource::{ExperimentStatus, Phase};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// How long it may take: reverts, and the last reads.
const LIMIT: Duration = Duration::from_mins(5);

/// `seatrial abort NAME`
pub(in crate::cli) fn abort(args: &args::Abort) -> Exit {
    act(&args.cluster, None, async |seat| stop(&seat, &args.name, &args.reason).await)
}

async fn stop(seat: &Seat, name: &str, reason: &str) -> Result<Exit, Exit> {
    if let Some(status) = seat.find(name).await?.status.filter(is_over) {
        console::data(format_args!("{name} is over already: {}\n", in_short(&status)));
        return Ok(Exit::Pass);
    }
    follow::abort(seat, name, reason).await?;
    let waited = tokio::time::timeout(LIMIT, async {
        loop {
            if let Some(status) = seat.find(name).await?.status.filter(is_over) {
                return Ok::<_, Exit>(status);
            }
            sleep(PAUSE).await;
        }
    });
    let Ok(status) = waited.await else {
        let minutes = LIMIT.as_secs() / 60;
        let exit = console::error(
            format_args!("{name} was asked to abort, and is not over after {minutes} minutes"),
            Exit::RevertFailed,
        );
        console::hint(format_args!("seatrial revert --on kubernetes --namespace {} {name}", seat.namespace));
        return Err(exit);
    };
    let status = status?;
    console::data(format_args!("{name}: {}\n", in_short(&status)));
    Ok(if status.revert_failed { Exit::RevertFailed } else { Exit::Pass })
}

fn is_over(status: &ExperimentStatus) -> bool {
    status.verdict.is_some() || status.phase == Some(Phase::Refused)
}

/// `Aborted, the run was aborted: …`
fn in_short(status: &ExperimentStatus) -> String {
    let verdict = status.verdict.map_or_else(|| "refused".to_owned(), |verdict| verdict.to_string());
    format!("{verdict}, {}", status.message.as_deref().unwrap_or("no reason is told"))
}

//! Journals that a cluster keeps: judged and reported here as any other.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Seat, act};
use crate::cli::args;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::recorded::{self, JOURNAL};
use crate::journal::read::Journal;
use crate::judge::judgement::Judgement;
use crate::platform::PlatformError;
use crate::resource::JournalPlace;
use crate::runner::keep::{self, KeepError};

/// `seatrial judge NAME --on kubernetes`
pub(in crate::cli) fn judge(args: &args::Recorded) -> Exit {
    act(&args.place.cluster, None, async |seat| {
        let (_, _, judgement) = recorded_as(&seat, &args.run).await?;
        recorded::tell(&judgement, args.quiet);
        Ok(recorded::exit_of(&judgement))
    })
}

/// `seatrial report NAME --on kubernetes`
pub(in crate::cli) fn report(args: &args::Report) -> Exit {
    let args::Report { recorded: args, out } = args;
    act(&args.place.cluster, None, async |seat| {
        let (bytes, journal, judgement) = recorded_as(&seat, &args.run).await?;
        let folder = out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&args.run));
        fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(JOURNAL), bytes)).map_err(
            |error| {
                console::error(format_args!("cannot write {}: {error}", folder.display()), Exit::Unexpected)
            },
        )?;
        recorded::write(&journal, &judgement, &folder);
        recorded::tell(&judgement, args.quiet);
        if !args.quiet {
            recorded::hint_page(&folder);
        }
        Ok(recorded::exit_of(&judgement))
    })
}

/// The kept journal of an Experiment, byte by byte and read, and what it says.
async fn recorded_as(seat: &Seat, name: &Path) -> Result<(Vec<u8>, Journal, Judgement), Exit> {
    let name = name.display().to_string();
    let status = seat.find(&name).await?.status.unwrap_or_default();
    let Some(place) = &status.journal else {
        let why = match status.verdict {
            None => "it is not over",
            Some(_) => status.message.as_deref().unwrap_or("nobody says why"),
        };
        let told = format_args!("no journal of Experiment {name} is kept: {why}");
        return Err(console::error(told, Exit::PreflightUnmet));
    };
    let bytes = fetch(seat, place).await?;
    match Journal::parse(&bytes) {
        Ok(journal) => {
            let judgement = crate::judge::judge(&journal);
            Ok((bytes, journal, judgement))
        }
        Err(error) => Err(console::failure(&error, Exit::Unexpected)),
    }
}

/// The bytes of a kept journal.
pub(super) async fn fetch(seat: &Seat, place: &JournalPlace) -> Result<Vec<u8>, Exit> {
    keep::fetch(&seat.access.client, &seat.namespace, place).await.map_err(|error| match error {
        KeepError::Platform(error @ PlatformError::Unreachable(_)) => super::told(&error),
        error => {
            console::say(format_args!("the kept journal cannot be read: {error}"));
            console::failure(&error, Exit::Unexpected)
        }
    })
}

//! `seatrial run --on kubernetes`: the same command, view, reports and exit codes as in the sandbox.

use std::fs;
use std::path::Path;

use kube::ResourceExt;

use super::follow::{Ended, follow};
use super::{Seat, act, announce, compare, kept};
use crate::cli::args;
use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::folder::{Given, create, name_of, refuse_used};
use crate::cli::input::{self, Documents};
use crate::cli::recorded::{self, JOURNAL};
use crate::cli::step_summary;
use crate::experiment::{Experiment, Verdict};
use crate::platform::kubernetes::access::IN_A_POD;
use crate::report::live::{Live, Style};
use crate::resource::{ExperimentStatus, Phase};
use crate::spec::document::Document;

/// The longest name of an experiment that is kept whole: names of pods and labels are made from it.
const LONGEST: usize = 38;

/// `seatrial run FILE… --on kubernetes`
pub(in crate::cli) fn run(args: &args::Run) -> Exit {
    if let Some(folder) = &args.out
        && let Err(why) = refuse_used(folder)
    {
        return console::error(why, Exit::Usage);
    }
    #[cfg(feature = "sandbox")]
    if !args.files.images.is_empty() {
        let exit = console::error("--image is for a sandbox: a cluster pulls its images", Exit::Usage);
        console::hint("leave --image out, or --on kubernetes");
        return exit;
    }
    let files = &args.files.files;
    let mut documents = Documents::read(files);
    let read = documents.experiment();
    if !documents.problems.is_empty() {
        return input::refuse(files, documents.problems);
    }
    let Some((document, experiment)) = read else {
        let exit = console::error("the files hold no Experiment", Exit::Usage);
        console::hint("give the experiment's file, for example experiments/etcd/leader-cut.yaml");
        return exit;
    };
    let manifests = documents.manifests;
    act(&args.place.cluster, announce::namespace_of(&document), async |seat| {
        there(&seat, args, &document, &experiment, &manifests).await
    })
}

async fn there(
    seat: &Seat,
    args: &args::Run,
    document: &Document,
    experiment: &Experiment,
    manifests: &[Document],
) -> Result<Exit, Exit> {
    if args.consent.apply {
        announce::agree(seat, experiment, args.consent.yes)?;
        compare::manifests(seat, manifests, true).await?;
        announce::look(seat, document, experiment).await?;
    } else {
        announce::look(seat, document, experiment).await?;
        compare::manifests(seat, manifests, false).await?;
        announce::agree(seat, experiment, args.consent.yes)?;
    }
    let short: String = experiment.name.chars().take(LONGEST).collect();
    let name = name_of(short.trim_end_matches(['-', '.']));
    let folder = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&name));
    let folder = create(&folder).map_err(|why| console::error(why, Exit::Usage))?;
    Given { experiment: document.clone(), manifests: Vec::new() }.keep(&folder);
    let object = announce::create(seat, &name, document, args.seed).await?;
    if !args.quiet {
        console::say(format_args!("Experiment {name} in namespace {}", seat.namespace));
    }
    let view = Live::new(&experiment.name, Style::detect(args.quiet));
    let journal = folder.join(JOURNAL);
    match follow(seat, &object, &journal, view).await? {
        Ended::Deleted => {
            let told = format_args!("Experiment {} was deleted: its run aborts", object.name_any());
            Ok(console::error(told, Exit::Aborted))
        }
        Ended::Said(status) => end(seat, &status, &folder, args).await,
    }
}

/// Judges the kept journal, or what was seen of it, and writes the reports.
async fn end(seat: &Seat, status: &ExperimentStatus, folder: &Path, args: &args::Run) -> Result<Exit, Exit> {
    let message = status.message.as_deref().unwrap_or("no reason is told");
    if status.phase == Some(Phase::Refused) {
        return Ok(refused(status, message));
    }
    let journal = folder.join(JOURNAL);
    if let Some(place) = &status.journal {
        let kept = kept::fetch(seat, place).await?;
        fs::write(&journal, kept).map_err(|error| {
            console::error(format_args!("cannot write {}: {error}", journal.display()), Exit::Unexpected)
        })?;
    } else {
        tracing::warn!("the journal was not kept; what the log told is judged");
    }
    let (journal, judgement) = recorded::read(&journal)?;
    recorded::write(&journal, &judgement, folder);
    // The context that is current now is another one later; a pod has none.
    let context =
        Some(seat.access.context.as_str()).filter(|&context| !context.is_empty() && context != IN_A_POD);
    let context = context.into_iter().flat_map(|context| ["--context", context]);
    let place =
        ["--on", "kubernetes"].into_iter().chain(context).chain(["--namespace", seat.namespace.as_str()]);
    step_summary::append(&judgement, args, folder, place.map(str::to_owned).collect());
    recorded::tell(&judgement, args.quiet);
    if !args.quiet {
        console::hint(format_args!("journal and reports are in {}", folder.display()));
        recorded::hint_page(folder);
    }
    let exit = recorded::exit_of(&judgement);
    let said = status.verdict.unwrap_or(Verdict::Inconclusive);
    if said > judgement.verdict {
        console::say(format_args!("the cluster's verdict is {said}: {message}"));
        return Ok(if exit == Exit::RevertFailed { exit } else { said.into() });
    }
    Ok(exit)
}

/// Nothing was injected; the condition `Accepted` says in a word why.
fn refused(status: &ExperimentStatus, message: &str) -> Exit {
    let accepted = status.conditions.iter().find(|condition| condition.type_ == "Accepted");
    let exit = match accepted.map(|condition| condition.reason.as_str()) {
        Some("Invalid" | "DoesNotFitTarget") => Exit::Invalid,
        Some("NotAllowed" | "Halted") => Exit::Refused,
        Some("Aborted") => Exit::Aborted,
        Some(_) | None => Exit::PreflightUnmet,
    };
    console::error(message, exit)
}

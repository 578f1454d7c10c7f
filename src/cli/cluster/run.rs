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
use crate::journal::read::Journal;
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
    let (journal, judgement) = match Journal::read(&journal) {
        Ok(journal) => {
            let judgement = crate::judge::judge(&journal);
            (journal, judgement)
        }
        // A log may lack lines, of a runner that was started again say, or have none.
        Err(error) if status.journal.is_none() => {
            console::say(format_args!("what the log told cannot be judged: {error}"));
            return Ok(unjudged(status, message, args.quiet));
        }
        Err(error) => return Err(console::failure(&error, Exit::Unexpected)),
    };
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
    let said = said(status);
    if said > judgement.verdict {
        console::say(format_args!("the cluster's verdict is {said}: {message}"));
    }
    Ok(exit_of(status, Some((judgement.verdict, recorded::exit_of(&judgement)))))
}

/// Nothing that can be judged is here: what the cluster says of the run is all there is.
fn unjudged(status: &ExperimentStatus, message: &str, is_quiet: bool) -> Exit {
    let said = said(status);
    console::say(format_args!("the cluster's verdict is {said}: {message}"));
    if is_quiet {
        console::data(format_args!("{said}\n"));
    }
    exit_of(status, None)
}

/// The cluster's verdict.
fn said(status: &ExperimentStatus) -> Verdict {
    status.verdict.unwrap_or(Verdict::Inconclusive)
}

/// How a run ends that the cluster has judged, and that is judged here where its journal can be read. What was not kept may
/// lack the end: the worse of both counts, and a fault that was not taken back above all.
fn exit_of(status: &ExperimentStatus, here: Option<(Verdict, Exit)>) -> Exit {
    let said = said(status);
    match here {
        _ if status.revert_failed => Exit::RevertFailed,
        Some((verdict, exit)) if exit == Exit::RevertFailed || verdict >= said => exit,
        Some(_) | None => said.into(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn status(verdict: Option<Verdict>, revert_failed: bool) -> ExperimentStatus {
        ExperimentStatus { verdict, revert_failed, ..ExperimentStatus::default() }
    }

    #[test]
    fn a_run_without_a_journal_that_can_be_judged_ends_as_the_cluster_says() {
        assert_eq!(exit_of(&status(Some(Verdict::Aborted), false), None), Exit::Aborted);
        assert_eq!(exit_of(&status(Some(Verdict::Aborted), true), None), Exit::RevertFailed);
        assert_eq!(exit_of(&status(None, false), None), Exit::Inconclusive);
    }

    #[test]
    fn the_worse_of_what_is_said_there_and_here_counts_and_a_failed_revert_above_all() {
        let aborted = status(Some(Verdict::Aborted), false);
        let here = |verdict: Verdict| Some((verdict, verdict.into()));
        assert_eq!(exit_of(&aborted, here(Verdict::Inconclusive)), Exit::Aborted);
        assert_eq!(exit_of(&aborted, here(Verdict::Fail)), Exit::Failed);
        let refused = Some((Verdict::Inconclusive, Exit::Refused));
        assert_eq!(exit_of(&status(Some(Verdict::Inconclusive), false), refused), Exit::Refused);
        let failed = Some((Verdict::Pass, Exit::RevertFailed));
        assert_eq!(exit_of(&aborted, failed), Exit::RevertFailed);
        // The lines that tell of it are not here.
        assert_eq!(exit_of(&status(Some(Verdict::Pass), true), here(Verdict::Pass)), Exit::RevertFailed);
    }
}

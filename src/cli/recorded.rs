//! `seatrial judge` and `seatrial report`: a recorded run, judged again from its journal alone.

use std::fs;
use std::path::{Path, PathBuf};

use super::args::{Recorded, Report};
use super::console;
use super::exit::Exit;
use crate::experiment::Verdict;
use crate::journal::entry::Phase;
use crate::journal::read::Journal;
use crate::judge::judgement::Judgement;
use crate::report::{command, html, junit, markdown, summary};

/// The journal's name in a run's folder.
pub(super) const JOURNAL: &str = "journal.jsonl";
const JSON: &str = "report.json";
const JUNIT: &str = "junit.xml";
const HTML: &str = "report.html";
const MARKDOWN: &str = "summary.md";

/// What to name.
const HINT: &str = "give a run's folder, for example runs/quickstart-20260102-030405, or its journal";

/// `seatrial judge RUN`
pub(super) fn judge(args: &Recorded) -> Exit {
    match named(&args.run) {
        Ok((_, judgement)) => {
            tell(&judgement, args.quiet);
            exit_of(&judgement)
        }
        Err(exit) => exit,
    }
}

/// `seatrial report RUN`
pub(super) fn report(args: &Report) -> Exit {
    let Report { recorded, out } = args;
    let (journal, judgement) = match named(&recorded.run) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let beside = journal_of(&recorded.run).parent().map(Path::to_owned).unwrap_or_default();
    let folder = out.clone().unwrap_or(beside);
    if let Err(error) = fs::create_dir_all(&folder) {
        return console::error(format_args!("cannot create {}: {error}", folder.display()), Exit::Unexpected);
    }
    write(&journal, &judgement, &folder);
    tell(&judgement, recorded.quiet);
    if !recorded.quiet {
        hint_page(&folder);
    }
    exit_of(&judgement)
}

/// The journal, judged, of a run that somebody names. That there is none is a mistake in the command.
pub(super) fn named(run: &Path) -> Result<(Journal, Judgement), Exit> {
    let path = journal_of(run);
    if matches!(path.try_exists(), Ok(false)) {
        let exit = console::error(
            format_args!("cannot read the journal {}: it is not there", path.display()),
            Exit::Usage,
        );
        console::hint(HINT);
        return Err(exit);
    }
    read(run)
}

/// A run's journal, judged.
pub(super) fn read(run: &Path) -> Result<(Journal, Judgement), Exit> {
    let path = journal_of(run);
    match Journal::read(&path) {
        Ok(journal) => {
            let judgement = crate::judge::judge(&journal);
            Ok((journal, judgement))
        }
        Err(error) => {
            let exit = console::failure(&error, Exit::Unexpected);
            console::hint(HINT);
            Err(exit)
        }
    }
}

fn journal_of(run: &Path) -> PathBuf {
    if run.is_dir() { run.join(JOURNAL) } else { run.to_owned() }
}

/// Writes every report into a folder. One that cannot be written is a warning: the journal holds everything.
pub(super) fn write(journal: &Journal, judgement: &Judgement, folder: &Path) {
    let junit = junit::render(judgement).map_err(|error| error.to_string());
    let markdown = markdown::render(judgement, &command::of(judgement));
    let page = html::render(journal, judgement);
    let reports =
        [(JSON, Ok(judgement.to_json())), (JUNIT, junit), (MARKDOWN, Ok(markdown)), (HTML, Ok(page))];
    for (name, text) in reports {
        let path = folder.join(name);
        if let Err(why) = text.and_then(|text| fs::write(&path, text).map_err(|error| error.to_string())) {
            tracing::warn!("{} was not written: {why}", path.display());
        }
    }
}

/// Says where the report is that people open.
pub(super) fn hint_page(folder: &Path) {
    console::hint(format_args!("open {} in a browser", folder.join(HTML).display()));
}

/// Prints the verdict.
pub(super) fn tell(judgement: &Judgement, is_quiet: bool) {
    if is_quiet {
        console::data(format_args!("{}\n", judgement.verdict));
    } else {
        console::report(&summary::render(judgement));
    }
}

/// How a command ends for a verdict: what could not be taken back comes first, because somebody has to act on it.
pub(super) fn exit_of(judgement: &Judgement) -> Exit {
    let began = judgement.phases.iter().any(|span| span.phase == Phase::Baseline);
    if !judgement.revert_failed.is_empty() {
        Exit::RevertFailed
    } else if judgement.was_refused() {
        Exit::Refused
    } else if judgement.verdict == Verdict::Inconclusive && judgement.finished && !began {
        Exit::PreflightUnmet
    } else {
        judgement.verdict.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{claim, judgement};
    use crate::report::{markdown, summary};

    #[test]
    fn a_refusal_hides_nothing_of_what_was_done_before_it() {
        let mut run = judgement(vec![claim("no write is lost", "durability", "Fail")]);
        run.refused = Some("step `second`: 1 of 3 left".into());
        assert_eq!(exit_of(&run), Exit::Failed);
        assert!(summary::render(&run).starts_with("FAIL "));
        assert!(markdown::render(&run, &[]).contains("**FAIL** "));
        // The steps before it held, and that is all that is known.
        run.verdict = Verdict::Inconclusive;
        assert_eq!(exit_of(&run), Exit::Inconclusive);
        run.steps.clear();
        assert_eq!(exit_of(&run), Exit::Refused);
        assert!(summary::render(&run).starts_with("REFUSED "));
    }
}

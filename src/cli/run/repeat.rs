//! `seatrial run --repeat`: the same experiment many times, with one seed after the other.
//!
//! Each run is a process of its own, as a person would start it: a run enters its sandbox, and an ordinary user cannot
//! leave that again. Ctrl-C and SIGTERM are passed on to the run that goes on, which takes everything back; no other one
//! is started after it. A run that leaves no record ends the series, and so does one whose fault could not be taken back.

use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::super::args;
use super::super::console;
use super::super::exit::Exit;
use super::super::folder::{name_of, refuse_used};
use super::super::recorded::{self, JOURNAL};
use super::super::runtime::{block_on, interrupts};
use super::super::scene;
use crate::experiment::Verdict;
use crate::judge::judgement::Judgement;
use crate::report::repeated::Repeated;
use crate::run::Stop;

/// What came of all runs that were made.
struct Made {
    /// How many were asked for.
    asked: NonZero<u32>,
    /// What was recorded, in order.
    runs: Vec<Judgement>,
    /// How a run ended that ends the series as well.
    ended: Option<Exit>,
}

/// `seatrial run FILE… --repeat N`
pub(super) fn run(args: &args::Run, times: NonZero<u32>) -> Exit {
    if args.files.files.iter().any(|file| file == Path::new("-")) {
        let exit = console::error(
            "standard input can be read once only, and --repeat reads it for every run",
            Exit::Usage,
        );
        console::hint("give the experiment's file");
        return exit;
    }
    let folders = match folders(args, times) {
        Ok(folders) => folders,
        Err(exit) => return exit,
    };
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let made = block_on(async {
        let mut interrupts = interrupts();
        let mut made = Made { asked: times, runs: Vec::new(), ended: None };
        for (number, folder) in (1u64..).zip(&folders) {
            let seed = seed.wrapping_add(number - 1);
            if !args.quiet {
                console::say(format_args!("run {number} of {times}, seed {seed}, in {}", folder.display()));
            }
            let told = one(args, seed, folder, &mut interrupts).await;
            made.take(&told.map_err(|error| format!("cannot make run {number}: {error}"))?, folder);
            if made.ended.is_some() {
                break;
            }
        }
        Ok(made)
    });
    match made {
        Ok(made) => made.tell(args.quiet),
        Err(why) => console::error(why, Exit::Unexpected),
    }
}

/// A folder for each run, none of which holds one. The mistakes of an experiment are told here, once.
fn folders(args: &args::Run, times: NonZero<u32>) -> Result<Vec<PathBuf>, Exit> {
    let experiment = scene::experiment(&args.files, &[])?.experiment;
    let above = args.out.clone().unwrap_or_else(|| Path::new("runs").join(name_of(&experiment.name)));
    let width = times.to_string().len();
    let folders: Vec<PathBuf> =
        (1..=times.get()).map(|number| above.join(format!("{number:0width$}"))).collect();
    std::iter::once(&above)
        .chain(&folders)
        .try_for_each(|folder| refuse_used(folder))
        .map_err(|why| console::error(why, Exit::Usage))?;
    Ok(folders)
}

/// How a run ended.
struct Told {
    status: ExitStatus,
    was_stopped: bool,
}

impl Told {
    fn exit(&self) -> Exit {
        let known = |code: i32| Exit::ALL.into_iter().find(|exit| code == i32::from(exit.meaning().0));
        match self.status.code() {
            Some(code) => known(code).unwrap_or(Exit::Unexpected),
            // A signal ended it before it could hear of it.
            None if self.was_stopped => Exit::Aborted,
            None => Exit::Unexpected,
        }
    }
}

/// Makes one run, and passes on what a person asks of it.
async fn one(
    args: &args::Run,
    seed: u64,
    folder: &Path,
    interrupts: &mut mpsc::Receiver<Stop>,
) -> io::Result<Told> {
    let mut child = start(args, seed, folder)?;
    let mut was_stopped = false;
    loop {
        tokio::select! {
            status = child.wait() => return Ok(Told { status: status?, was_stopped }),
            Some(_) = interrupts.recv() => {
                was_stopped = true;
                if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                    kill(Pid::from_raw(pid), Signal::SIGINT)?;
                }
            }
        }
    }
}

/// In a process group of its own, so that a terminal's Ctrl-C reaches it once.
fn start(args: &args::Run, seed: u64, folder: &Path) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("run").args(&args.files.files).args(["--seed", &seed.to_string()]).arg("--out").arg(folder);
    for image in &args.files.images {
        command.arg("--image").arg(image.to_argument());
    }
    if args.quiet {
        command.arg("--quiet");
    }
    if let Some(sandbox) = &args.sandbox {
        command.args(["--sandbox", sandbox]);
    }
    if let Some(summary) = &args.summary {
        command.arg("--summary").arg(summary);
    }
    command.stdin(Stdio::null()).process_group(0).spawn()
}

impl Made {
    /// Takes what a run left.
    fn take(&mut self, told: &Told, folder: &Path) {
        let has_record = folder.join(JOURNAL).exists();
        self.ended = match told.exit() {
            ended @ (Exit::Unexpected | Exit::RevertFailed) => Some(ended),
            // Whatever came of the run that it was: no other one follows.
            _ if told.was_stopped => Some(Exit::Aborted),
            // It said what was in its way, and the next one would say the same.
            ended if !has_record => Some(ended),
            _ => None,
        };
        if has_record {
            match recorded::read(folder) {
                Ok((_, judgement)) => self.runs.push(judgement),
                Err(exit) => self.ended = Some(exit),
            }
        }
    }

    /// Prints what came of all of them.
    fn tell(&self, is_quiet: bool) -> Exit {
        if !is_quiet {
            let runs = Repeated { runs: &self.runs, asked: self.asked.get() as usize };
            console::report(&runs.to_string());
        }
        self.exit()
    }

    /// The worst verdict is how the command ends. Where runs are missing it is what ended the series, unless one failed
    /// before that.
    fn exit(&self) -> Exit {
        let is_whole = self.runs.len() == self.asked.get() as usize;
        let worst = self.runs.iter().max_by_key(|run| run.verdict);
        match (self.ended, worst) {
            (Some(ended @ (Exit::Unexpected | Exit::RevertFailed)), _) => ended,
            (_, Some(worst)) if is_whole || worst.verdict == Verdict::Fail => recorded::exit_of(worst),
            (ended, _) => ended.unwrap_or(Exit::Unexpected),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;
    use crate::report::fixture::{claim, judgement};

    fn made(asked: u32, verdicts: &[&str]) -> Made {
        let run = |verdict: &&str| judgement(vec![claim("a claim", "quorum", verdict)]);
        let asked = NonZero::new(asked).expect("some are asked for");
        Made { asked, runs: verdicts.iter().map(run).collect(), ended: None }
    }

    fn told(exit: Exit, was_stopped: bool) -> Told {
        Told { status: ExitStatus::from_raw(i32::from(exit.meaning().0) << 8), was_stopped }
    }

    /// How a series ends whose next run left no record.
    fn ends(mut made: Made, told: &Told) -> Exit {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        made.take(told, folder.path());
        made.exit()
    }

    #[test]
    fn a_series_that_ends_early_is_no_pass() {
        for exit in [Exit::PreflightUnmet, Exit::Invalid, Exit::Unexpected] {
            assert_eq!(ends(made(10, &["Pass", "Pass"]), &told(exit, false)), exit);
            assert_eq!(ends(made(10, &[]), &told(exit, false)), exit);
        }
        // Before a run has a record, before it has heard of it, and just as it passes.
        assert_eq!(ends(made(10, &["Pass"]), &told(Exit::Aborted, true)), Exit::Aborted);
        assert_eq!(ends(made(10, &["Pass"]), &told(Exit::PreflightUnmet, true)), Exit::Aborted);
        assert_eq!(ends(made(10, &["Inconclusive"]), &told(Exit::Pass, true)), Exit::Aborted);
        let killed = Told { status: ExitStatus::from_raw(2), was_stopped: true };
        assert_eq!(ends(made(10, &["Pass"]), &killed), Exit::Aborted);
    }

    #[test]
    fn a_failure_is_told_however_the_series_ends() {
        assert_eq!(ends(made(10, &["Fail", "Pass"]), &told(Exit::Aborted, true)), Exit::Failed);
        assert_eq!(ends(made(10, &["Fail"]), &told(Exit::RevertFailed, true)), Exit::RevertFailed);
        assert_eq!(made(2, &["Fail", "Aborted"]).exit(), Exit::Failed);
        assert_eq!(made(2, &["Pass", "Inconclusive"]).exit(), Exit::Inconclusive);
        assert_eq!(made(2, &["Pass", "Pass"]).exit(), Exit::Pass);
    }

    #[test]
    fn who_stops_the_last_run_too_late_has_all_of_them() {
        let mut made = made(2, &["Pass", "Pass"]);
        made.ended = Some(Exit::Aborted);
        assert_eq!(made.exit(), Exit::Pass);
    }
}

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
use crate::judge::judgement::Judgement;
use crate::report::repeated::Repeated;
use crate::report::wrap::{width, wrap};
use crate::run::Stop;

/// What came of all runs that were made.
#[derive(Default)]
struct Made {
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
        let mut made = Made::default();
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
    let experiment = scene::experiment(&args.files, None)?.experiment;
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
        let ended = told.exit();
        if told.was_stopped || matches!(ended, Exit::Unexpected | Exit::RevertFailed) {
            self.ended = Some(ended);
        }
        if !folder.join(JOURNAL).exists() {
            // It said what was in its way, and the next one would say the same.
            self.ended = Some(ended);
            return;
        }
        match recorded::read(folder) {
            Ok((_, judgement)) => self.runs.push(judgement),
            Err(exit) => self.ended = Some(exit),
        }
    }

    /// Prints what came of all of them; the worst verdict is how the command ends.
    fn tell(&self, is_quiet: bool) -> Exit {
        if !is_quiet {
            let text = Repeated(&self.runs).to_string();
            if io::IsTerminal::is_terminal(&io::stdout()) {
                console::data(wrap(&text, width()));
            } else {
                console::data(text);
            }
        }
        let worst = self.runs.iter().max_by_key(|run| run.verdict);
        match (self.ended, worst) {
            (Some(ended @ (Exit::Unexpected | Exit::RevertFailed)), _) | (Some(ended), None) => ended,
            (_, Some(worst)) => recorded::exit_of(worst),
            (None, None) => Exit::Unexpected,
        }
    }
}

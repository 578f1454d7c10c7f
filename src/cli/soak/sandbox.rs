//! `seatrial soak` in a sandbox: kills runs at random moments, does nothing more, and looks whether anything is left.
//!
//! Each round starts a run in one sandbox of the built-in store, kills it with SIGKILL at a moment before, at the
//! beginning, in the middle or at the end of its fault, and in half of the rounds the node and its guardians too. By the
//! fault's deadline and one second every member must be the same process as before, none frozen or stopped, and no packet
//! filter table, undo record or guardian be there. Where the node was killed, the second counts from the deadline or from
//! its next start, whichever is later. All must agree on one leader, too, for which they have as long as it takes to give
//! up: how soon somebody is elected is the store's matter and the machine's.
//!
//! The sandbox ends with this process, however that ends.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use self::inspector::Inspector;
use self::moment::Plan;
use self::round::{End, Report};
use super::super::console;
use super::super::exit::Exit;
use super::super::quickstart;
use super::super::run;
use super::super::runtime::{block_on, interrupts};
use super::super::sandbox::{self, READY_LIMIT};
use super::stage::Stage;
use crate::platform::sandbox::Sandbox;
use crate::platform::sandbox::client::Client;

mod diary;
mod inspector;
mod look;
mod moment;
mod processes;
mod round;

pub(in super::super) use inspector::{INSPECT, main as inspect};

/// How often a round is begun whose run ends by itself before it can be killed, as one does that meets an election of
/// the group just when its clients start. Each beginning looks first whether anything is left.
const TRIES: u32 = 3;

/// What came of all rounds.
#[derive(Default)]
struct Tally {
    clean: u32,
    played: u32,
    /// How many were killed in each stage.
    stages: [u32; Stage::ALL.len()],
}

/// So many rounds.
pub(super) fn soak(count: u32, seed: u64) -> Exit {
    let name = format!("soak-{}", std::process::id());
    let mut set = quickstart::stateful_set();
    // A member that comes back stands for election, and each round waits until the group agrees again: let it be quick.
    set.pod.containers[0].argv.extend(["--election-min=200ms", "--election-max=400ms"].map(String::from));
    let sandbox = match sandbox::start(set, Vec::new(), name, false, BTreeSet::new()) {
        Ok(sandbox) => sandbox,
        Err(error) => return console::failure(&error, Exit::PreflightUnmet),
    };
    let mut tally = Tally::default();
    let done = block_on(async {
        let mut interrupts = interrupts();
        tokio::select! {
            done = rounds(&sandbox, count, seed, &mut tally) => done,
            Some(_) = interrupts.recv() => Err("interrupted".into()),
        }
    });
    let exit = match done {
        Ok(()) if tally.clean == count => Exit::Pass,
        Ok(()) => Exit::RevertFailed,
        Err(why) => console::error(why, Exit::Unexpected),
    };
    console::data(tally.words());
    if let Err(error) = sandbox.stop() {
        return console::failure(&error, Exit::RevertFailed);
    }
    exit
}

async fn rounds(sandbox: &Sandbox, count: u32, seed: u64, tally: &mut Tally) -> Result<(), String> {
    let client = Client::connect(sandbox.dir()).await.map_err(|error| error.to_string())?;
    client.wait_ready(READY_LIMIT).await.map_err(|error| error.to_string())?;
    let mut inspector = Inspector::start(sandbox.dir())?;
    for round in 0..count {
        let plan = Plan::new(seed, round);
        let folder = sandbox.dir().path().join("soak").join(round.to_string());
        let mut report = round::play(sandbox, &mut inspector, &plan, &folder).await?;
        for _ in 1..TRIES {
            if !matches!(report.end, End::Early(_)) {
                break;
            }
            console::data(line(round + 1, count, &plan, &report));
            let _ = fs::remove_dir_all(&folder);
            report = round::play(sandbox, &mut inspector, &plan, &folder).await?;
        }
        tally.count(&report);
        console::data(line(round + 1, count, &plan, &report));
        if !matches!(report.end, End::Clean(_)) {
            keep(sandbox, &folder, seed, round);
        }
        // Nobody reads it any more; two hundred of them would fill a small disk.
        let _ = fs::remove_dir_all(&folder);
    }
    Ok(())
}

fn line(round: u32, rounds: u32, plan: &Plan, report: &Report) -> String {
    let width = rounds.to_string().len();
    let end = match &report.end {
        End::Clean(after) => format!("ok, as before {:.2} s after the deadline", after.as_secs_f64()),
        End::Left(left, Some(gone)) => format!(
            "LEFT a second after the deadline, gone after {:.2} s: {}",
            gone.as_secs_f64(),
            left.join("; ")
        ),
        End::Left(left, None) => format!("LEFT a second after the deadline: {}", left.join("; ")),
        End::Early(why) => format!("NOT DONE: {why}"),
    };
    format!(
        "{round:>width$} of {rounds}  {} {:<16} +{:.3} s  {end}\n",
        plan.words(),
        report.stage.words(),
        report.after.as_secs_f64(),
    )
}

/// Keeps what helps to find out why.
fn keep(sandbox: &Sandbox, folder: &Path, seed: u64, round: u32) {
    let kept = PathBuf::from("runs").join(format!("soak-{seed}-{}", round + 1));
    let copied = run::copy_folder(folder, &kept)
        .and_then(|()| run::copy_folder(&sandbox.logs_dir(), &kept.join("logs")));
    match copied {
        Ok(()) => console::hint(format_args!("its journal and logs are in {}", kept.display())),
        Err(error) => console::say(format_args!("its journal could not be kept: {error}")),
    }
}

impl Tally {
    fn count(&mut self, report: &Report) {
        self.played += 1;
        self.clean += u32::from(matches!(report.end, End::Clean(_)));
        self.stages[report.stage as usize] += 1;
    }

    fn words(&self) -> String {
        let stages: Vec<String> = Stage::ALL
            .iter()
            .zip(self.stages)
            .map(|(stage, count)| format!("{count} {}", stage.words()))
            .collect();
        format!("{} of {} left nothing behind (killed: {})\n", self.clean, self.played, stages.join(", "))
    }
}

//! One round: a run is killed, and then nobody does anything.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::super::super::recorded::JOURNAL;
use super::super::stage::Stage;
use super::diary::Diary;
use super::inspector::Inspector;
use super::look::Look;
use super::moment::{Plan, Victims};
use super::processes::{self, Part};
use crate::host::process::ProcessId;
use crate::platform::sandbox::Sandbox;

/// How long after the deadline nothing may be left.
const GRACE: SignedDuration = SignedDuration::from_secs(1);
/// How long a run may take to get to the moment at which it is killed.
const REACH: Duration = Duration::from_mins(1);
/// How long the sandbox may take to start the node again; it waits longer after each start.
const RESTART: Duration = Duration::from_secs(15);
/// How long to go on looking when something was left too long, to tell how long it stays, and until the group agrees.
const AFTERMATH: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What came of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// Where the run was when it was killed.
    pub stage: Stage,
    /// For how long it had been there.
    pub after: Duration,
    pub end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Everything was as before this long after the deadline.
    Clean(Duration),
    /// This was left; for how long after the deadline, where that has an end.
    Left(Vec<String>, Option<Duration>),
    /// The run ended before it could be killed.
    Early(String),
}

/// Plays a round in `sandbox`; the run's files go to `folder`.
pub(super) async fn play(
    sandbox: &Sandbox,
    inspector: &mut Inspector,
    plan: &Plan,
    folder: &Path,
) -> Result<Report, String> {
    let before = healthy(inspector).await?;
    let mut run = start(sandbox, plan, folder).map_err(|error| format!("cannot start a run: {error}"))?;
    let mut diary = Diary::new(folder.join(JOURNAL));
    let unreadable = |error| format!("cannot follow the run's journal: {error}");
    let moment = async {
        diary.reach(plan.stage).await?;
        sleep(plan.delay).await;
        Ok(())
    };
    let ended = tokio::select! {
        reached = timeout(REACH, moment) => match reached {
            Ok(reached) => {
                reached.map_err(unreadable)?;
                None
            }
            Err(_) => Some(format!("the run did not get there within {} s", REACH.as_secs())),
        },
        ended = run.wait() => Some(match ended {
            Ok(status) => format!("the run ended before it was killed ({status})"),
            Err(error) => format!("the run ended before it was killed: {error}"),
        }),
    };
    run.kill().await.map_err(|error| format!("cannot kill the run: {error}"))?;
    let killed = Instant::now();
    diary.read().map_err(unreadable)?;
    let report =
        |end| Report { stage: diary.stage(), after: killed.duration_since(diary.since().into()), end };
    if let Some(why) = ended {
        return Ok(report(End::Early(why)));
    }
    let mut due = diary.deadline().unwrap_or_else(Timestamp::now).max(Timestamp::now());
    if plan.victims == Victims::RunNodeAndGuardians {
        let killed = kill_node(sandbox).map_err(|error| format!("cannot kill the node: {error}"))?;
        due = due.max(await_node(inspector, &killed).await?);
    }
    Ok(report(settle(inspector, &before, due).await?))
}

/// Waits until the group is well, as it is after a round that left nothing.
async fn healthy(inspector: &mut Inspector) -> Result<Look, String> {
    let until = Instant::now() + AFTERMATH;
    loop {
        let look = inspector.look().await?;
        let unwell = look.unwell(&look.members);
        if unwell.is_empty() {
            return Ok(look);
        }
        if Instant::now() >= until {
            return Err(format!("the sandbox is not well before a run: {}", unwell.join("; ")));
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

fn start(sandbox: &Sandbox, plan: &Plan, folder: &Path) -> io::Result<Child> {
    fs::create_dir_all(folder)?;
    let experiment = folder.join("experiment.yaml");
    fs::write(&experiment, plan.experiment())?;
    let said = fs::File::create(folder.join("run.log"))?;
    Command::new("/proc/self/exe")
        .arg("run")
        .arg(&experiment)
        .args(["--sandbox", &sandbox.name()])
        .args(["--seed", &plan.seed.to_string()])
        .arg("--out")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(said.try_clone()?)
        .stderr(said)
        .kill_on_drop(true)
        .spawn()
}

/// SIGKILL to the node and every guardian at once; whom it hit.
fn kill_node(sandbox: &Sandbox) -> io::Result<Vec<ProcessId>> {
    let mut victims = processes::of_sandbox(sandbox.dir())?;
    victims.retain(|process| matches!(process.part, Part::Node | Part::Guardian));
    // Guardians last: a node that sees one die would start another one.
    victims.sort_by_key(|process| process.part == Part::Guardian);
    for victim in &victims {
        if let Some(handle) = victim.id.open()? {
            handle.signal(Signal::SIGKILL)?;
        }
    }
    Ok(victims.into_iter().map(|process| process.id).collect())
}

/// Waits until the sandbox has started another node; when.
async fn await_node(inspector: &mut Inspector, killed: &[ProcessId]) -> Result<Timestamp, String> {
    let until = Instant::now() + RESTART;
    loop {
        if inspector.look().await?.node.is_some_and(|node| !killed.contains(&node)) {
            return Ok(Timestamp::now());
        }
        if Instant::now() >= until {
            return Err(format!("the node was not started again within {} s", RESTART.as_secs()));
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// Looks from the moment `due` on until everything is as before. The last look that counts for what the fault has left begins a
/// second later; the group has longer to agree on a leader.
async fn settle(inspector: &mut Inspector, before: &Look, due: Timestamp) -> Result<End, String> {
    sleep(until(due)).await;
    let limit = due + GRACE;
    let mut found = None;
    let give_up = Instant::now() + AFTERMATH;
    loop {
        let began = Timestamp::now();
        let look = inspector.look().await?;
        let after = Duration::try_from(began.duration_since(due)).unwrap_or_default();
        let unwell = look.unwell(&before.members);
        if unwell.is_empty() {
            return Ok(match found {
                None => End::Clean(after),
                Some(found) => End::Left(found, Some(after)),
            });
        }
        let left = look.left(&before.members);
        if began >= limit && found.is_none() && !left.is_empty() {
            found = Some(left);
        } else if Instant::now() >= give_up {
            return Ok(End::Left(found.unwrap_or(unwell), None));
        }
        let next = if began < limit { until(limit) } else { BETWEEN_LOOKS };
        sleep(next.min(BETWEEN_LOOKS)).await;
    }
}

fn until(moment: Timestamp) -> Duration {
    Duration::try_from(moment.duration_since(Timestamp::now())).unwrap_or_default()
}

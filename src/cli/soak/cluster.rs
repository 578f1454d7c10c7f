//! `seatrial soak --on kubernetes`: kills the agents and the leading controller of an installation with SIGKILL.
//!
//! First agents, each over one Injection on a pod of its node: before it hears of it, while it injects, in the fault, and
//! while it reverts; alone, with the one that the kubelet starts in its place (so that the node has none until the
//! kubelet's back-off is over, and the guardian has to end the fault), or with its guardians (so that the successor has
//! to). Then the controller, over whole runs: while the run is admitted, while its runner starts, in the fault, and while
//! the run is ended; alone or together with the runner.
//!
//! By the fault's deadline and a little, the pod must be the same process as before, neither frozen nor stopped, with no
//! packet filter table in its network, no undo record on its node and no guardian beside it. A run must have its verdict,
//! which is no Pass where its runner was killed before it. In the end nothing of ours may be left in the namespace, and
//! no policy, Lease or mark on anything that was not there before.
//!
//! A process is killed by its pod's UID, which works on the machine whose kernel the nodes share: as root, with the
//! project's own cluster or kind.

mod agents;
mod controllers;
mod look;
mod moment;
mod remains;

use super::super::args;
use super::super::console;
use super::super::exit::Exit;
use super::super::proving_ground::{ProvingGround, container_process, invisible, with_ground};

/// The StatefulSet that is broken.
const SET: &str = "soak";
/// Its pods.
const MEMBERS: usize = 3;

/// What came of some rounds.
#[derive(Default)]
struct Tally {
    clean: u32,
    played: u32,
    /// How many were killed in each stage, by its words.
    stages: Vec<(&'static str, u32)>,
}

impl Tally {
    fn of(stages: &[&'static str]) -> Self {
        Self { stages: stages.iter().map(|words| (*words, 0)).collect(), ..Self::default() }
    }

    fn count(&mut self, stage: &'static str, is_clean: bool) {
        self.played += 1;
        self.clean += u32::from(is_clean);
        if let Some((_, count)) = self.stages.iter_mut().find(|(words, _)| *words == stage) {
            *count += 1;
        }
    }

    fn is_clean(&self) -> bool {
        self.clean == self.played
    }

    /// `100 of 100 … left nothing behind (killed: 25 before the fault, …)`
    fn words(&self, what: &str) -> String {
        let stages: Vec<_> = self.stages.iter().map(|(words, count)| format!("{count} {words}")).collect();
        format!(
            "{} of {} {what} left nothing behind (killed: {})\n",
            self.clean,
            self.played,
            stages.join(", ")
        )
    }
}

pub(super) fn soak(injections: u32, runs: u32, args: &args::Soak) -> Exit {
    let what = "kills the agents and controllers of this installation with SIGKILL again and again";
    with_ground(&args.cluster.operated, "soak", what, async |ground| {
        for pod in ground.installed.agents().await?.iter().chain(&ground.installed.controllers().await?) {
            if container_process(pod).is_none() {
                return Ok(console::error(invisible(pod), Exit::PreflightUnmet));
            }
        }
        rounds(ground, injections, runs, args.seed).await
    })
}

async fn rounds(ground: &ProvingGround, injections: u32, runs: u32, seed: u64) -> Result<Exit, String> {
    let before = remains::marks(ground).await?;
    ground.start(SET, MEMBERS, None).await?;
    ground.ready(SET, MEMBERS).await?;
    ground.installed.renew().await?;
    let mut is_clean = true;
    let mut not_done = 0;
    if injections > 0 {
        let tally = agents::soak(ground, injections, seed).await?;
        is_clean &= tally.is_clean();
        not_done += injections - tally.played;
        console::data(tally.words("injections whose agent was killed"));
    }
    if runs > 0 {
        let tally = controllers::soak(ground, runs, seed).await?;
        is_clean &= tally.is_clean();
        console::data(tally.words("runs whose controller was killed"));
    }
    let left = remains::left(ground, &before).await?;
    if left.is_empty() {
        console::data(
            "nothing is left: no table, frozen process, undo record, guardian, Injection, Lease, policy or mark\n",
        );
    } else {
        console::data(format_args!("LEFT in the end: {}\n", left.join("; ")));
    }
    if not_done > 0 {
        console::data(format_args!("NOT DONE: {not_done} whose fault did not come into force\n"));
    }
    Ok(match (is_clean && left.is_empty(), not_done) {
        (false, _) => Exit::RevertFailed,
        (true, 0) => Exit::Pass,
        (true, _) => Exit::Inconclusive,
    })
}

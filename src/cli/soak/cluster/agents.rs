//! Agents are killed over Injections.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use nix::sys::signal::Signal;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::super::super::console;
use super::super::super::proving_ground::{
    ProvingGround, container_process, guardians_of, invisible, node_of, until,
};
use super::super::super::wish::{proven, taken_back, wish};
use super::super::stage::Stage;
use super::look::Target;
use super::moment::{Plan, Victims};
use super::{MEMBERS, SET, Tally};
use crate::api::{Injection, InjectionSpec, InjectionState, Snapshot};
use crate::experiment::Group;
use crate::host::process::{PidFd, ProcessId};
use crate::platform::kubernetes::cluster::Cluster;
use crate::platform::kubernetes::nodes::Injections;
use crate::platform::{Cluster as _, Nodes};

/// The run in whose name everything is asked for.
const RUN: &str = "soak";
/// How long after it was due everything must be as before.
const GRACE: SignedDuration = SignedDuration::from_secs(1);
/// The same where nobody is left but a successor whose container has just been started: it has to get going first.
const GRACE_OF_A_START: SignedDuration = SignedDuration::from_secs(5);
/// How long to go on looking when something was left too long, to tell how long it stays.
const AFTERMATH: Duration = Duration::from_secs(30);
/// How long a successor may take to be there, and to say how an Injection stands. The kubelet waits for ten seconds before
/// it starts a third one.
const SUCCESSOR: Duration = Duration::from_mins(1);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// For how long a fault is asked for, and for how long where two agents are killed in it.
const LASTING: Duration = Duration::from_millis(2500);
const LASTING_LONGER: Duration = Duration::from_secs(5);
/// How long injecting takes before it was ever measured.
const FIRST_GUESS: Duration = Duration::from_millis(50);
/// What the kubelet calls the end of a container by a signal.
const KILLED: &str = "Error";
/// What is left of the revert that was asked for.
const REVERTED: &str = "after the revert";

/// How often a round is begun whose fault does not come into force, as on a machine that is too busy to answer; each time
/// with twice as long a fault.
const TRIES: u32 = 3;

/// What came of a round.
struct Report {
    /// Where the Injection was when its agent was killed.
    stage: &'static str,
    end: End,
}

enum End {
    /// The fault did not come into force, so there was nothing to kill over; nothing of it is left.
    NotDone(String),
    /// Everything was as before this long after it was due.
    Clean(Duration),
    /// This was left; for how long after it was due, where that has an end.
    Left(Vec<String>, Option<Duration>),
}

pub(super) async fn soak(ground: &ProvingGround, rounds: u32, seed: u64) -> Result<Tally, String> {
    let stages: Vec<_> = Stage::ALL.into_iter().map(Stage::words).chain([REVERTED]).collect();
    let mut tally = Tally::of(&stages);
    let mut course = Course::new(ground).await?;
    for round in 0..rounds {
        let plan = Plan::new(seed, round);
        for longer in (0..TRIES).map(|before| 1 << before) {
            let report = course.play(round, plan, longer).await?;
            console::data(line(round + 1, rounds, plan, &report));
            let is_clean = match report.end {
                End::NotDone(_) => continue,
                End::Clean(_) => true,
                End::Left(..) => false,
            };
            tally.count(report.stage, is_clean);
            break;
        }
    }
    Ok(tally)
}

fn line(round: u32, rounds: u32, plan: Plan, report: &Report) -> String {
    let width = rounds.to_string().len();
    let end = match &report.end {
        End::NotDone(why) => format!("NOT DONE: {why}"),
        End::Clean(after) => format!("ok, as before {:.2} s after it was due", after.as_secs_f64()),
        End::Left(left, Some(gone)) => {
            format!("LEFT, gone {:.2} s after it was due: {}", gone.as_secs_f64(), left.join("; "))
        }
        End::Left(left, None) => format!("LEFT: {}", left.join("; ")),
    };
    format!(
        "{round:>width$} of {rounds}  {:<16} {:<15} killed {:<16}  {end}\n",
        plan.fault.name(),
        plan.victims.words(),
        report.stage,
    )
}

/// All rounds go over the same pods.
struct Course<'a> {
    ground: &'a ProvingGround,
    nodes: Injections,
    statuses: mpsc::Receiver<Injection>,
    snapshot: Snapshot,
    targets: Vec<Target>,
    /// How long the last injection took.
    pace: Duration,
}

impl<'a> Course<'a> {
    async fn new(ground: &'a ProvingGround) -> Result<Self, String> {
        let group = Group::StatefulSet(SET.into());
        let cluster = Cluster::follow(ground.client(), &ground.namespace, &group, None).await;
        let cluster = cluster.map_err(|error| error.to_string())?;
        let snapshot = cluster.snapshots().borrow().clone();
        let mut pods = ground.ready(SET, MEMBERS).await?;
        pods.sort_by_key(ResourceExt::name_any);
        let targets = pods.into_iter().map(Target::new).collect::<Result<_, _>>()?;
        let nodes = ground.run(RUN)?;
        let statuses = nodes.statuses().await.map_err(|error| error.to_string())?;
        Ok(Self { ground, nodes, statuses, snapshot, targets, pace: FIRST_GUESS })
    }

    async fn play(&mut self, round: u32, plan: Plan, longer: u32) -> Result<Report, String> {
        let turn = round as usize % self.targets.len();
        let (target, pod) = (self.targets[turn].clone(), self.snapshot.pods[turn].clone());
        let agent = self.ground.installed.fresh_agent(&pod.node).await?;
        let unwell = target.left();
        if !unwell.is_empty() {
            return Err(format!("it is not well before a round: {}", unwell.join("; ")));
        }
        let lasting = match plan.victims {
            Victims::AgentAndSuccessor => LASTING_LONGER,
            Victims::Agent | Victims::AgentAndGuardians => LASTING,
        } * longer;
        let snapshot = self.snapshot.clone();
        let asked = || wish(RUN, round, plan.fault, &snapshot, &pod, lasting);
        let within = |limit: Duration| limit.mul_f64(plan.part);
        // Opened before, because looking for it takes as long as a fault does.
        let victim = open(container_process(&agent).ok_or_else(|| invisible(&agent))?)?;
        let spec = match plan.stage {
            Stage::Before => {
                self.kill(&victim, plan.victims)?;
                sleep(within(Duration::from_millis(300))).await;
                let spec = asked();
                self.apply(&spec).await?;
                spec
            }
            Stage::Injecting => {
                let spec = asked();
                self.apply_and_kill(&spec, within(self.pace), &victim, plan.victims).await?;
                spec
            }
            Stage::Holding => {
                let spec = asked();
                if let Err(why) = self.in_force(&spec).await {
                    return self.not_done(plan.stage, &spec, &target, why).await;
                }
                sleep(within(lasting / 2)).await;
                self.kill(&victim, plan.victims)?;
                spec
            }
            Stage::Reverting => {
                let spec = asked();
                if let Err(why) = self.in_force(&spec).await {
                    return self.not_done(plan.stage, &spec, &target, why).await;
                }
                self.apply_and_kill(&taken_back(&spec), within(self.pace), &victim, plan.victims).await?;
                spec
            }
        };
        let stage = self.stage(plan.stage, &spec, &target);
        let (mut due, mut grace) = (spec.deadline.at, GRACE);
        match plan.victims {
            Victims::Agent => {}
            Victims::AgentAndSuccessor => {
                let successor = self.successor(&agent).await?;
                signal(successor)?;
            }
            // Nobody is left to end the fault at its deadline, but the successor.
            Victims::AgentAndGuardians => {
                self.successor(&agent).await?;
                due = due.max(Timestamp::now());
                grace = GRACE_OF_A_START;
            }
        }
        let end = settle(&target, due.max(Timestamp::now()), grace).await;
        let mut end = match self.last_word(&spec, &target).await? {
            None => end,
            Some(left) => End::Left(vec![left], None),
        };
        if let End::Left(left, _) = &mut end {
            left.extend(self.ended_otherwise(&agent).await?);
        }
        // The kubelet lets a container wait that has died more than once, but not one of a new pod.
        self.ground.installed.replace(&agent).await?;
        Ok(Report { stage, end })
    }

    async fn apply(&self, spec: &InjectionSpec) -> Result<(), String> {
        self.nodes.apply(spec.clone()).await.map_err(|error| error.to_string())
    }

    /// Asks for a fault, and returns when it is in force and proven.
    async fn in_force(&mut self, spec: &InjectionSpec) -> Result<(), String> {
        let began = Instant::now();
        self.apply(spec).await?;
        proven(&mut self.statuses, spec).await?;
        self.pace = began.elapsed();
        Ok(())
    }

    /// Takes back what did not come into force.
    async fn not_done(
        &self,
        stage: Stage,
        spec: &InjectionSpec,
        target: &Target,
        why: String,
    ) -> Result<Report, String> {
        let end = match self.last_word(spec, target).await? {
            None => End::NotDone(why),
            Some(left) => End::Left(vec![left], None),
        };
        Ok(Report { stage: stage.words(), end })
    }

    /// Asks for something and kills this long after it was sent.
    async fn apply_and_kill(
        &self,
        spec: &InjectionSpec,
        after: Duration,
        victim: &PidFd,
        victims: Victims,
    ) -> Result<(), String> {
        let killing = async {
            sleep(after).await;
            self.kill(victim, victims)
        };
        let (applied, killed) = tokio::join!(self.apply(spec), killing);
        applied.and(killed)
    }

    fn kill(&self, agent: &PidFd, victims: Victims) -> Result<(), String> {
        end(agent)?;
        if victims == Victims::AgentAndGuardians {
            // After the agent: one that sees a guardian die would start another one.
            for guardian in guardians_of(&self.ground.namespace) {
                signal(guardian)?;
            }
        }
        Ok(())
    }

    /// Where the Injection was, by the record on its node and what was heard of it.
    fn stage(&mut self, planned: Stage, spec: &InjectionSpec, target: &Target) -> &'static str {
        let mut heard = None;
        while let Ok(injection) = self.statuses.try_recv() {
            if injection.spec.name == spec.name {
                heard = injection.status.map(|status| status.state).or(heard);
            }
        }
        let has_record = !target.records().is_empty();
        match (planned, heard) {
            (Stage::Reverting, Some(InjectionState::Reverted)) => REVERTED,
            (Stage::Injecting, Some(InjectionState::Injected)) => Stage::Holding.words(),
            (Stage::Injecting, _) if !has_record => Stage::Before.words(),
            (Stage::Before | Stage::Injecting | Stage::Holding | Stage::Reverting, _) => planned.words(),
        }
    }

    /// The agent that the kubelet has started after the one that was killed.
    async fn successor(&self, agent: &Pod) -> Result<ProcessId, String> {
        let before = container_process(agent);
        let found = until(SUCCESSOR, async || {
            let now = self.ground.installed.again(agent).await?;
            Ok(now.as_ref().and_then(container_process).filter(|process| Some(*process) != before))
        });
        found.await?.ok_or_else(|| format!("no agent was started again on {}", node_of(agent)))
    }

    /// How the last agent ended that the kubelet started in place of the one that was killed, unless by SIGKILL alone: one
    /// that had not enough memory, say, leaves its fault to one that the kubelet starts ten seconds later.
    async fn ended_otherwise(&self, agent: &Pod) -> Result<Option<String>, String> {
        let now = self.ground.installed.again(agent).await?;
        let status = now.and_then(|pod| pod.status?.container_statuses?.into_iter().next());
        let ended = status.and_then(|container| container.last_state?.terminated);
        let reason = ended.and_then(|ended| ended.reason).filter(|reason| reason != KILLED);
        Ok(reason.map(|reason| format!("the container of its agent ended by itself: {reason}")))
    }

    /// Waits until the successor has said that nothing of the Injection is left, and removes it; or why it has not.
    async fn last_word(&self, spec: &InjectionSpec, target: &Target) -> Result<Option<String>, String> {
        self.apply(&taken_back(spec)).await?;
        let mut said = String::new();
        let ended = until(SUCCESSOR, async || {
            let all = self.nodes.list().await.map_err(|error| error.to_string())?;
            let found = all.into_iter().find(|found| found.name_any() == spec.name);
            let status = found.and_then(|found| found.status);
            said = status.as_ref().map_or_else(
                || "nothing".to_owned(),
                |status| format!("{:?} {}", status.state, status.error.as_deref().unwrap_or_default()),
            );
            let is_over = status.is_some_and(|status| {
                matches!(status.state, InjectionState::Reverted | InjectionState::Failed)
            });
            Ok(is_over.then_some(()))
        });
        if ended.await?.is_none() {
            return Ok(Some(format!("after a minute the agent says of its Injection: {said}")));
        }
        self.nodes.forget(&spec.name).await.map_err(|error| error.to_string())?;
        let left = target.left();
        Ok((!left.is_empty()).then(|| left.join("; ")))
    }
}

fn signal(process: ProcessId) -> Result<(), String> {
    // One that is gone already was killed by somebody else.
    match process.open() {
        Ok(Some(handle)) => end(&handle),
        Ok(None) => Ok(()),
        Err(error) => Err(format!("cannot kill {process}: {error}")),
    }
}

fn open(process: ProcessId) -> Result<PidFd, String> {
    let gone = || format!("{process} is gone before it was killed");
    process.open().map_err(|error| format!("cannot kill {process}: {error}"))?.ok_or_else(gone)
}

/// SIGKILL; returns when it has ended.
fn end(process: &PidFd) -> Result<(), String> {
    let ended = process.signal(Signal::SIGKILL).and_then(|()| process.wait(AFTERMATH));
    match ended {
        Ok(true) => Ok(()),
        Ok(false) => Err("a process did not end by SIGKILL".into()),
        Err(error) => Err(format!("cannot kill a process: {error}")),
    }
}

/// Looks from the moment `due` on until nothing is left. The last look that counts begins at the end of `grace`.
async fn settle(target: &Target, due: Timestamp, grace: SignedDuration) -> End {
    sleep(from_now(due)).await;
    let limit = due + grace;
    let give_up = Instant::now() + AFTERMATH;
    let mut found = None;
    loop {
        let began = Timestamp::now();
        let left = target.left();
        let after = Duration::try_from(began.duration_since(due)).unwrap_or_default();
        if left.is_empty() {
            return match found {
                None => End::Clean(after),
                Some(found) => End::Left(found, Some(after)),
            };
        }
        if began >= limit && found.is_none() {
            found = Some(left);
        } else if Instant::now() >= give_up {
            return End::Left(found.unwrap_or(left), None);
        }
        let next = if began < limit { from_now(limit) } else { BETWEEN_LOOKS };
        sleep(next.min(BETWEEN_LOOKS)).await;
    }
}

fn from_now(moment: Timestamp) -> Duration {
    Duration::try_from(moment.duration_since(Timestamp::now())).unwrap_or_default()
}

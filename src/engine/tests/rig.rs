//! A scripted platform around an engine: it hears effects, and answers when, as often and in which order it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{
    Desired, InjectionSpec, InjectionState, InjectionStatus, Member, MemberSample, Members, Nanos, Ordinal,
    Pod, PodPhase, Proof, Role, Snapshot,
};
use crate::engine::limits::{after, between};
use crate::engine::{Engine, Limits};
use crate::experiment::Experiment;
use crate::journal::entry::{Effect, Input, Phase};

/// One second of a run.
pub(super) const SECOND: Nanos = 1_000_000_000;

/// What becomes of an answer or a status.
#[derive(Debug, Clone)]
pub(super) enum Fate {
    /// It arrives after each of these milliseconds.
    After(Vec<u64>),
    /// It arrives as an error.
    Refused,
    /// It never arrives.
    Never,
}

/// What the platform does with each thing that is asked of it, in turn.
pub(super) type Manners = Box<dyn FnMut(&Effect) -> Fate>;

/// An engine and the world around it.
pub(super) struct Rig {
    pub(super) engine: Engine,
    pub(super) now: Nanos,
    pub(super) effects: Vec<(Nanos, u64, Effect)>,
    pub(super) heard: Vec<(Nanos, Input)>,
    pub(super) pods: Vec<Pod>,
    /// The pods of further StatefulSets, by name.
    others: BTreeMap<String, Vec<Pod>>,
    pub(super) silent: BTreeSet<Ordinal>,
    pub(super) leader: Option<Ordinal>,
    /// When an effect was lost, by Injection, counted from its beginning.
    pub(super) proven_for: BTreeMap<String, Duration>,
    /// How long a rolling restart takes; it never ends where there is none.
    pub(super) rollout_takes: Option<Nanos>,
    answers: Manners,
    statuses: Manners,
    injected: BTreeMap<String, Nanos>,
    queue: BTreeMap<(Nanos, u64), Input>,
    queued: u64,
    started_at: Timestamp,
    born: u32,
    next_round: Nanos,
}

/// Everything is answered and done within 20 ms.
pub(super) fn polite() -> Manners {
    Box::new(|_| Fate::After(vec![20]))
}

/// An experiment on `etcd` with these steps and guards.
pub(super) fn experiment(steps: &str, guards: &str) -> Experiment {
    let text = format!(
        r#"{{"name":"e","target":{{"statefulSet":"etcd","store":{{"etcd":{{}}}}}},"workload":{{}},
            "steps":{steps},"guards":{guards},
            "hypothesis":[{{"name":"a majority leads","sli":{{"quorum":{{}}}},"recoverWithin":"15s"}}]}}"#
    );
    serde_json::from_str(&text).expect("a valid experiment")
}

/// The wall clock when runs of these tests begin.
pub(super) fn started_at() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a timestamp")
}

impl Rig {
    /// A healthy group of `members`, whose claims all hold.
    pub(super) fn new(experiment: Experiment, members: u32) -> Self {
        let engine = Engine::new(experiment, "run".into(), 7, started_at(), Limits::default());
        let mut rig = Self {
            engine,
            now: 0,
            effects: Vec::new(),
            heard: Vec::new(),
            pods: Vec::new(),
            others: BTreeMap::new(),
            silent: BTreeSet::new(),
            leader: Some(0),
            proven_for: BTreeMap::new(),
            rollout_takes: Some(6 * SECOND),
            answers: polite(),
            statuses: polite(),
            injected: BTreeMap::new(),
            queue: BTreeMap::new(),
            queued: 0,
            started_at: started_at(),
            born: 0,
            next_round: 0,
        };
        for ordinal in 0..members {
            let pod = rig.new_pod(ordinal);
            rig.pods.push(pod);
        }
        let snapshot = rig.snapshot(members);
        rig.tell(0, Input::Pods(snapshot));
        rig.tell(0, Input::Unmet(Vec::new()));
        rig
    }

    /// The same with other manners for answers and for statuses.
    pub(super) fn with_manners(mut self, answers: Manners, statuses: Manners) -> Self {
        self.answers = answers;
        self.statuses = statuses;
        self
    }

    /// A pod of `ordinal` with an identity and an address of its own.
    pub(super) fn new_pod(&mut self, ordinal: Ordinal) -> Pod {
        self.born += 1;
        Pod {
            name: format!("etcd-{ordinal}"),
            ordinal,
            uid: format!("uid-{}", self.born),
            ip: Some([10, 0, 0, self.born as u8].into()),
            node: "node".into(),
            phase: PodPhase::Running,
            ready: true,
            revision: None,
            containers: Vec::new(),
        }
    }

    /// A further StatefulSet, whose pods are on the same node.
    pub(super) fn add_other(&mut self, name: &str, replicas: u32) {
        let pods = (0..replicas).map(|ordinal| self.new_pod_of(name, ordinal)).collect();
        self.others.insert(name.into(), pods);
        self.show_other(name);
    }

    fn new_pod_of(&mut self, set: &str, ordinal: Ordinal) -> Pod {
        Pod { name: format!("{set}-{ordinal}"), ..self.new_pod(ordinal) }
    }

    /// What the platform shows of it now.
    pub(super) fn other(&self, name: &str) -> Snapshot {
        let pods = self.others.get(name).cloned().unwrap_or_default();
        Snapshot { name: name.into(), replicas: pods.len() as u32, pods, ..self.snapshot(0) }
    }

    fn show_other(&mut self, name: &str) {
        let snapshot = self.other(name);
        self.tell(self.now, Input::OtherPods(snapshot));
    }

    /// One of its pods becomes Ready, or is not any more, and the platform shows it.
    pub(super) fn make_other_ready(&mut self, name: &str, ordinal: Ordinal, ready: bool) {
        let pods = self.others.get_mut(name).into_iter().flatten();
        pods.filter(|pod| pod.ordinal == ordinal).for_each(|pod| pod.ready = ready);
        self.show_other(name);
    }

    /// Changes every pod there is, and the platform shows it.
    pub(super) fn place(&mut self, change: impl Fn(&mut Pod)) {
        self.pods.iter_mut().chain(self.others.values_mut().flatten()).for_each(change);
        let snapshot = self.snapshot(self.pods.len() as u32);
        self.tell(self.now, Input::Pods(snapshot));
        for name in self.others.keys().cloned().collect::<Vec<_>>() {
            self.show_other(&name);
        }
    }

    /// What the platform shows now.
    pub(super) fn snapshot(&self, replicas: u32) -> Snapshot {
        Snapshot {
            name: "etcd".into(),
            namespace: "default".into(),
            replicas,
            first_ordinal: 0,
            numbered: None,
            rollout: None,
            pods: self.pods.clone(),
            ..Snapshot::default()
        }
    }

    fn replicas(&self) -> u32 {
        self.heard
            .iter()
            .rev()
            .find_map(|(_, input)| match input {
                Input::Pods(snapshot) => Some(snapshot.replicas),
                _ => None,
            })
            .unwrap_or_default()
    }

    /// The pod of `ordinal` is re-created at once, and the platform shows it.
    pub(super) fn recreate(&mut self, ordinal: Ordinal) {
        let pod = self.new_pod(ordinal);
        self.pods.retain(|old| old.ordinal != ordinal);
        self.pods.push(pod);
        self.pods.sort_by_key(|pod| pod.ordinal);
        let snapshot = self.snapshot(self.replicas());
        self.tell(self.now, Input::Pods(snapshot));
    }

    /// Lets the engine hear something at a moment.
    pub(super) fn tell(&mut self, at: Nanos, input: Input) {
        self.queued += 1;
        self.queue.insert((at, self.queued), input);
    }

    fn members(&self) -> Members {
        let sample = |ordinal| {
            if self.silent.contains(&ordinal) {
                return MemberSample::Unreachable("timed out".into());
            }
            MemberSample::Answer {
                role: if self.leader == Some(ordinal) { Role::Leader } else { Role::Follower },
                term: 1,
                leader: self.leader,
                position: 1,
                heartbeat: None,
                voter: true,
                writes_need: None,
            }
        };
        let members = self.pods.iter().map(|pod| pod.ordinal);
        Members { members: members.map(|ordinal| Member { ordinal, sample: sample(ordinal) }).collect() }
    }

    /// Lets time pass until `until`; members are asked every half second.
    pub(super) fn run_until(&mut self, until: Nanos) {
        while !self.is_finished() {
            let round = self.next_round;
            let queued = self.queue.keys().next().copied();
            let woken = self.engine.wake_at();
            let next =
                [Some(round), woken, queued.map(|(at, _)| at)].into_iter().flatten().min().unwrap_or(round);
            if next > until {
                self.now = until;
                return;
            }
            self.now = self.now.max(next);
            let input = match queued.filter(|&(at, _)| at == next) {
                Some(key) => self.queue.remove(&key).expect("it was just seen"),
                None if woken == Some(next) => Input::Wake {},
                None => {
                    self.next_round = self.now + SECOND / 2;
                    Input::Members(self.members())
                }
            };
            self.hear(input);
        }
    }

    /// Lets time pass until the run is finished. Fails after two hours.
    pub(super) fn finish(&mut self) {
        self.run_until(7200 * SECOND);
        assert!(self.is_finished(), "not finished: {:?}", self.engine);
    }

    fn hear(&mut self, input: Input) {
        let effects = self.engine.step(self.now, &input);
        self.heard.push((self.now, input));
        if let Some(wake) = self.engine.wake_at() {
            assert!(wake > self.now, "woken in the past");
        }
        for (id, effect) in effects {
            self.effects.push((self.now, id, effect.clone()));
            self.act(id, &effect);
        }
    }

    fn act(&mut self, id: u64, effect: &Effect) {
        match (self.answers)(effect) {
            Fate::After(delays) => {
                for delay in delays {
                    self.tell(self.now + delay * 1_000_000, Input::Answer { id, error: None });
                }
            }
            Fate::Refused => {
                let error = Some("refused".to_string());
                self.tell(self.now + SECOND / 100, Input::Answer { id, error });
            }
            Fate::Never => {}
        }
        match effect {
            Effect::Apply(spec) => {
                let fate = (self.statuses)(effect);
                self.apply(spec, fate);
                if let Some(takes) = self.rollout_takes
                    && spec.fault.ends_by_itself()
                    && spec.desired == Desired::Injected
                {
                    let status = self.status(InjectionState::Reverted, self.now + takes, Duration::ZERO);
                    let name = spec.name.clone();
                    self.tell(self.now + takes, Input::Injection { name, status });
                }
            }
            Effect::DeletePod { set: Some(set), ordinal, .. } => {
                if let Fate::After(delays) = (self.statuses)(effect) {
                    let pod = self.new_pod_of(set, *ordinal);
                    let mut gone = self.other(set);
                    gone.pods.retain(|old| old.ordinal != *ordinal);
                    self.tell(self.now + SECOND / 100, Input::OtherPods(gone));
                    let pods = self.others.get_mut(set).into_iter().flatten();
                    pods.filter(|old| old.ordinal == *ordinal).for_each(|old| *old = pod.clone());
                    let snapshot = self.other(set);
                    for delay in delays {
                        self.tell(self.now + (100 + delay) * 1_000_000, Input::OtherPods(snapshot.clone()));
                    }
                }
            }
            Effect::DeletePod { set: None, ordinal, .. } => {
                if let Fate::After(delays) = (self.statuses)(effect) {
                    let pod = self.new_pod(*ordinal);
                    self.pods.retain(|old| old.ordinal != *ordinal);
                    let snapshot = self.snapshot(self.replicas());
                    self.tell(self.now + SECOND / 100, Input::Pods(snapshot));
                    self.pods.push(pod);
                    self.pods.sort_by_key(|pod| pod.ordinal);
                    let snapshot = self.snapshot(self.replicas());
                    for delay in delays {
                        self.tell(self.now + (100 + delay) * 1_000_000, Input::Pods(snapshot.clone()));
                    }
                }
            }
            _ => {}
        }
    }

    /// What the node of an Injection does and says.
    fn apply(&mut self, spec: &InjectionSpec, fate: Fate) {
        let (delays, state) = match (fate, spec.desired) {
            (Fate::After(delays), Desired::Injected) => (delays, InjectionState::Injected),
            (Fate::After(delays), Desired::Reverted) => (delays, InjectionState::Reverted),
            (Fate::Refused, Desired::Injected) => (vec![10], InjectionState::Failed),
            (Fate::Refused, Desired::Reverted) => (vec![10], InjectionState::RevertFailed),
            (Fate::Never, _) => return,
        };
        let first = self.now + delays.iter().min().copied().unwrap_or_default() * 1_000_000;
        let status = if state == InjectionState::Injected {
            self.injected.entry(spec.name.clone()).or_insert(first);
            self.status(state, first, Duration::ZERO)
        } else {
            let since = self.injected.get(&spec.name).copied().unwrap_or(first);
            let real = between(since, first);
            let proven = self.proven_for.get(&spec.name).copied().unwrap_or(real);
            self.status(state, first, proven)
        };
        for delay in delays {
            let name = spec.name.clone();
            let status = status.clone();
            self.tell(self.now + delay * 1_000_000, Input::Injection { name, status });
        }
    }

    /// A status as a node writes it at `at`.
    pub(super) fn status(
        &self,
        state: InjectionState,
        at: Nanos,
        effective_for: Duration,
    ) -> InjectionStatus {
        let at = self.started_at + Duration::from_nanos(at);
        InjectionStatus {
            state,
            since: at,
            proof: (state == InjectionState::Injected).then(|| Proof {
                at,
                holds: true,
                observed: "seen".into(),
            }),
            effective_for,
            error: None,
            done: false,
            measured: None,
        }
    }

    /// Whether nothing more happens.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.effects.last(), Some((_, _, Effect::Finish {})))
    }

    /// When the run entered a phase.
    pub(super) fn entered(&self, phase: Phase) -> Option<Nanos> {
        self.effects.iter().find_map(|(at, _, effect)| match effect {
            Effect::Phase(entered) if *entered == phase => Some(*at),
            _ => None,
        })
    }

    /// Lets time pass until `seconds` into Faulting, on the assumption that the baseline is kept at once.
    pub(super) fn run_into_faults(&mut self, seconds: u64) {
        self.run_until(10 * SECOND);
        let since = self.entered(Phase::Faulting).expect("the baseline held");
        self.run_until(since + seconds * SECOND);
    }

    /// What was applied so far, with the moment.
    pub(super) fn applied(&self) -> Vec<(Nanos, &InjectionSpec)> {
        self.effects
            .iter()
            .filter_map(|(at, _, effect)| match effect {
                Effect::Apply(spec) => Some((*at, spec)),
                _ => None,
            })
            .collect()
    }

    /// The effects that tell how the run went, one word each with its reason.
    pub(super) fn story(&self) -> Vec<String> {
        self.effects
            .iter()
            .filter_map(|(_, _, effect)| match effect {
                Effect::Phase(phase) => Some(format!("{phase:?}")),
                Effect::Chosen { step, members, .. } => Some(format!("chosen {step} {members:?}")),
                Effect::Began { step, .. } => Some(format!("began {step}")),
                Effect::Ended { step, unproven: None, .. } => Some(format!("ended {step}")),
                Effect::Ended { step, unproven: Some(why), .. } => {
                    Some(format!("ended {step} unproven: {why}"))
                }
                Effect::Doubt { reason } => Some(format!("doubt: {reason}")),
                Effect::Refused { step, reason } => Some(format!("refused {step}: {reason}")),
                Effect::Abort { reason } => Some(format!("abort: {reason}")),
                Effect::RevertFailed { reason } => Some(format!("revert failed: {reason}")),
                Effect::DeletePod { set: None, ordinal, .. } => Some(format!("delete {ordinal}")),
                Effect::DeletePod { set: Some(set), ordinal, .. } => Some(format!("delete {set} {ordinal}")),
                Effect::StartWorkload {} => Some("start clients".into()),
                Effect::StopWorkload {} => Some("stop clients".into()),
                Effect::ReadLedger {} => Some("read ledger".into()),
                Effect::Finish {} => Some("finish".into()),
                Effect::Apply(_) | Effect::Forget { .. } => None,
            })
            .collect()
    }

    /// The one line of the story that starts with `words`.
    pub(super) fn told(&self, words: &str) -> String {
        let story = self.story();
        let mut lines = story.iter().filter(|line| line.starts_with(words));
        match (lines.next(), lines.next()) {
            (Some(line), None) => line.clone(),
            _ => unreachable!("not exactly one `{words}` in {story:#?}"),
        }
    }

    /// Fails unless everything that was injected was reverted afterwards.
    pub(super) fn assert_reverted(&self) {
        let mut last: BTreeMap<&str, Desired> = BTreeMap::new();
        for (_, spec) in self.applied() {
            last.insert(&spec.name, spec.desired);
        }
        for (name, desired) in last {
            assert_eq!(desired, Desired::Reverted, "{name}");
        }
    }
}

/// A moment of a run as milliseconds.
pub(super) fn millis(at: Nanos) -> u64 {
    at / 1_000_000
}

/// `wait` after `since`.
pub(super) fn later(since: Nanos, wait: Duration) -> Nanos {
    after(since, wait)
}

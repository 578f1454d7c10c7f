//! What happens in which round: decided by the seed alone.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::super::super::wish::Fault;
use super::super::stage::Stage;

/// Who is killed over an Injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Victims {
    /// The agent; the kubelet starts another one at once.
    Agent,
    /// The agent and the one after it, so that the kubelet waits before it starts a third.
    AgentAndSuccessor,
    /// The agent and the guardians of its faults.
    AgentAndGuardians,
}

impl Victims {
    const ALL: [Self; 3] = [Self::Agent, Self::AgentAndSuccessor, Self::AgentAndGuardians];

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::AgentAndSuccessor => "agent+successor",
            Self::AgentAndGuardians => "agent+guardians",
        }
    }
}

/// When a controller is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RunStage {
    /// The Experiment was made.
    Admitting,
    /// Its runner has a name.
    Starting,
    /// A fault is in force.
    Holding,
    /// There is a verdict, and the target is being given back.
    Ending,
}

impl RunStage {
    pub(super) const ALL: [Self; 4] = [Self::Admitting, Self::Starting, Self::Holding, Self::Ending];

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Admitting => "while admitting",
            Self::Starting => "while the runner starts",
            Self::Holding => "in the fault",
            Self::Ending => "while ending",
        }
    }
}

/// One round over an Injection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plan {
    pub(super) fault: Fault,
    pub(super) victims: Victims,
    pub(super) stage: Stage,
    /// Where in the stage, from 0 to 1.
    pub(super) part: f64,
}

/// One round over a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RunPlan {
    pub(super) fault: Fault,
    pub(super) stage: RunStage,
    pub(super) with_runner: bool,
    pub(super) part: f64,
}

impl Plan {
    /// Faults, victims and stages take turns, so that few rounds see all of them; the moment within is random.
    pub(super) fn new(seed: u64, round: u32) -> Self {
        let turn = round as usize;
        Self {
            fault: Fault::ALL[turn % 2],
            victims: Victims::ALL[(turn / 2) % 3],
            stage: Stage::ALL[(turn / 2 + turn / 8) % 4],
            part: random(seed, round),
        }
    }
}

impl RunPlan {
    pub(super) fn new(seed: u64, round: u32) -> Self {
        let turn = round as usize;
        Self {
            fault: Fault::ALL[(turn + turn / 4) % 2],
            stage: RunStage::ALL[turn % 4],
            // A run that has its verdict has no runner left to kill.
            with_runner: RunStage::ALL[turn % 4] == RunStage::Holding && (turn / 8).is_multiple_of(2),
            part: random(!seed, round),
        }
    }
}

fn random(seed: u64, round: u32) -> f64 {
    ChaCha8Rng::seed_from_u64(seed ^ (u64::from(round) << 32)).random()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_plans_and_another_one_others() {
        assert_eq!(Plan::new(7, 3), Plan::new(7, 3));
        assert_ne!(Plan::new(7, 3), Plan::new(8, 3));
        assert_ne!(RunPlan::new(7, 3), RunPlan::new(8, 3));
    }

    #[test]
    fn ten_rounds_hit_every_stage_and_all_victims_and_a_hundred_every_mixture() {
        let few: Vec<_> = (0..10).map(|round| Plan::new(0, round)).collect();
        assert_eq!(few.iter().map(|plan| plan.stage).collect::<BTreeSet<_>>().len(), 4);
        assert_eq!(few.iter().map(|plan| plan.victims).collect::<BTreeSet<_>>().len(), 3);
        let many = (0..100).map(|round| Plan::new(0, round));
        let mixtures: BTreeSet<_> =
            many.map(|plan| (plan.stage, plan.victims, plan.fault == Fault::Cut)).collect();
        assert_eq!(mixtures.len(), 24);
    }

    #[test]
    fn three_runs_are_killed_in_a_fault_together_with_their_runner() {
        let few: Vec<_> = (0..3).map(|round| RunPlan::new(0, round)).collect();
        assert!(few.iter().any(|plan| plan.with_runner && plan.stage == RunStage::Holding));
        let many = (0..30).map(|round| RunPlan::new(0, round));
        let mixtures: BTreeSet<_> =
            many.map(|plan| (plan.stage, plan.with_runner, plan.fault == Fault::Cut)).collect();
        assert_eq!(mixtures.len(), 10, "every stage with each fault, and the fault with its runner as well");
    }
}

//! What happens in which round: decided by the seed alone.

use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::super::stage::Stage;

/// A fault that is in the middle of things when its run is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Pause,
    Cut,
}

/// Whom it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Leader,
    Follower,
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victims {
    Run,
    RunNodeAndGuardians,
}

/// One round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub fault: Fault,
    pub role: Role,
    pub victims: Victims,
    /// For how long the fault is asked for.
    pub lasting: Duration,
    /// The run is killed this long after this stage has begun.
    pub stage: Stage,
    pub delay: Duration,
    /// The run's own seed.
    pub seed: u64,
}

impl Plan {
    /// The plan of a round. Faults, roles, victims and stages take turns, so that few rounds see all of them; the moment
    /// within the stage is random.
    pub(super) fn new(seed: u64, round: u32) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ (u64::from(round) << 32));
        let lasting = Duration::from_millis(random.random_range(2000..3000));
        // Every stage meets every fault and all victims: the turns have different lengths.
        let stage = Stage::ALL[(round as usize / 2 + round as usize / 8) % 4];
        let longest = match stage {
            Stage::Before => Duration::from_millis(700),
            // As long as these take, and a little after.
            Stage::Injecting | Stage::Reverting => Duration::from_millis(30),
            Stage::Holding => lasting,
        };
        Self {
            fault: if round.is_multiple_of(2) { Fault::Cut } else { Fault::Pause },
            role: if (round / 2).is_multiple_of(2) { Role::Leader } else { Role::Follower },
            victims: if (round / 4 + round).is_multiple_of(2) {
                Victims::Run
            } else {
                Victims::RunNodeAndGuardians
            },
            lasting,
            stage,
            delay: longest.mul_f64(random.random()),
            seed: random.random(),
        }
    }

    /// The experiment that is run.
    pub(super) fn experiment(&self) -> String {
        let members = match self.role {
            Role::Leader => "{role: leader}",
            Role::Follower => "{role: follower, count: 1}",
        };
        let fault = match self.fault {
            Fault::Cut => format!("networkPartition: {{isolate: {members}}}"),
            Fault::Pause => format!("processPause: {{members: {members}}}"),
        };
        format!(
            "apiVersion: seatrial.dev/v1alpha1
kind: Experiment
metadata: {{name: soak}}
spec:
  target: {{statefulSet: refkv, store: {{refkv: {{}}}}}}
  workload: {{clients: 4, rate: 50}}
  baseline: 300ms
  steps:
    - name: break
      at: 300ms
      for: {}ms
      fault: {{{fault}}}
  hypothesis:
    - name: no acknowledged write is lost
      sli: {{durability: {{}}}}
",
            self.lasting.as_millis()
        )
    }

    /// For a person: `cut leader, run+node+guardians killed`.
    pub(super) fn words(&self) -> String {
        let fault = match self.fault {
            Fault::Cut => "cut",
            Fault::Pause => "pause",
        };
        let role = match self.role {
            Role::Leader => "leader",
            Role::Follower => "follower",
        };
        let victims = match self.victims {
            Victims::Run => "run",
            Victims::RunNodeAndGuardians => "run+node+guardians",
        };
        format!("{:<14} {victims:<18}", format!("{fault} {role}"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::spec;
    use crate::spec::document::split;

    #[test]
    fn every_plan_is_a_valid_experiment() {
        for round in 0..16 {
            let text = Plan::new(1, round).experiment();
            let documents = split("soak.yaml", text.as_bytes()).expect("it is text");
            let read = spec::experiment(&documents[0]);
            assert!(read.is_ok(), "{text}\n{read:?}");
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_plans_and_another_one_others() {
        assert_eq!(Plan::new(7, 3), Plan::new(7, 3));
        assert_ne!(Plan::new(7, 3), Plan::new(8, 3));
    }

    #[test]
    fn twenty_rounds_hit_every_stage_with_both_faults_and_all_victims() {
        let plans = || (0..20).map(|round| Plan::new(0, round));
        let with_faults: BTreeSet<_> = plans().map(|plan| (plan.stage, plan.fault == Fault::Cut)).collect();
        let with_victims: BTreeSet<_> =
            plans().map(|plan| (plan.stage, plan.victims == Victims::Run)).collect();
        assert_eq!((with_faults.len(), with_victims.len()), (8, 8));
        let half = plans().filter(|plan| plan.victims == Victims::Run).count();
        assert_eq!(half, 10);
    }
}

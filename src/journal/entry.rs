//! The lines that are not operations of clients.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{InjectionSpec, InjectionStatus, Measured, Members, Nanos, Ordinal, Snapshot, Volumes};
use crate::experiment::{Experiment, Work};
use crate::fault::Damage;

/// The schema that this version writes; every earlier one can be read.
///
/// - 1: operations are numbered among themselves, from 0, and other lines are not.
/// - 2: every line has its number in the file as its `index`, operations as well; the header is line 1.
pub const SCHEMA: u32 = 2;

/// A line with the moment at which it became true for the run. Its number is the writer's to give and the reader's to check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Since the run began.
    pub time: Nanos,
    /// What happened.
    pub entry: Entry,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Entry {
    /// The first line.
    Header(Box<Header>),
    /// What the engine heard, before it acted on it.
    Input(Input),
    /// What the engine asked for.
    Effect {
        /// Answers name it.
        id: u64,
        /// What shall be done.
        effect: Effect,
    },
    /// What one member holds of the ledger in the end, read from itself.
    FinalRead {
        /// The member.
        member: Ordinal,
        /// Its ledger, or why it could not be read.
        held: Held,
    },
}

/// What everything else in the journal refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The version of Seatrial that wrote it.
    pub version: String,
    /// The run's name.
    pub run: String,
    /// The wall clock at time 0.
    pub started_at: Timestamp,
    /// The experiment with every default filled in.
    pub experiment: Experiment,
    /// Every random choice comes from this.
    pub seed: u64,
    /// Where it runs, for a person: `sandbox, Linux 6.1, 2 CPUs`.
    pub environment: String,
    /// The StatefulSet when the run began.
    pub target: Snapshot,
    /// The further StatefulSets that steps act on, when the run began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Snapshot>,
}

/// What the engine hears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Input {
    /// Pods changed.
    Pods(Snapshot),
    /// Pods of a further StatefulSet that steps act on changed. Apart from those of the target, so that nobody takes one for
    /// the other: they have the same ordinals.
    OtherPods(Snapshot),
    /// Claims or volumes of the target changed, where an SLI asks for them.
    Volumes(Volumes),
    /// A node looked at a member's volumes, where an SLI asks for them.
    Disks {
        /// Whose.
        member: Ordinal,
        /// What it saw; nothing where the member has no pod on a node, and so no node that could look.
        measured: Option<Measured>,
    },
    /// Every member was asked.
    Members(Members),
    /// A node said how an Injection stands.
    Injection {
        /// The Injection.
        name: String,
        /// How it stands.
        status: InjectionStatus,
    },
    /// Which claims do not hold now; all hold where empty. Told when it changes.
    Unmet(Vec<String>),
    /// Steps that wait for an SLI whose condition is true now. Told when it changes.
    Conditions(Vec<String>),
    /// A request was made to the API server, to see whether it answers.
    Request {
        /// Why it failed, where it did.
        error: Option<String>,
    },
    /// An abort condition came true, with its words.
    AbortCondition(String),
    /// A person asked to stop.
    Interrupted {},
    /// Somebody else asked to stop, with the reason.
    Stopped {
        /// Who, and why.
        reason: String,
    },
    /// An effect was carried out, or why not.
    Answer {
        /// The effect.
        id: u64,
        /// The reason, where it was not.
        error: Option<String>,
    },
    /// The moment that the engine asked to be woken at has come.
    Wake {},
}

/// What the engine asks the run to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// The run enters a phase; nothing to do but to say so.
    Phase(Phase),
    /// A step's occurrence was decided: whom it hits and what the group loses. Nothing to do but to say so.
    Chosen {
        /// The step.
        step: String,
        /// Which occurrence, from 0.
        occurrence: u32,
        /// What it does, where the step has a choice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        picked: Option<Picked>,
        /// The further StatefulSet whose members these are; the target's where none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set: Option<String>,
        /// Whom it hits.
        members: Vec<Ordinal>,
        /// What the group loses.
        damage: Damage,
        /// Members of the target that go along with a node of a further StatefulSet.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        along: Vec<Ordinal>,
    },
    /// A step's occurrence has begun: every hit is proven (or done). Nothing to do but to say so.
    Began {
        /// The step.
        step: String,
        /// Which occurrence.
        occurrence: u32,
    },
    /// A step's occurrence is over: every hit is reverted and verified. Nothing to do but to say so.
    Ended {
        /// The step.
        step: String,
        /// Which occurrence.
        occurrence: u32,
        /// Why its effect does not count as proven, where it does not.
        unproven: Option<String>,
    },
    /// Make an Injection so. Used to inject, to change and to revert.
    Apply(InjectionSpec),
    /// Delete a pod through the platform.
    DeletePod {
        /// The further StatefulSet that it belongs to; the target where none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set: Option<String>,
        /// Whose.
        ordinal: Ordinal,
        /// With this grace period, or the pod's own.
        #[serde(default, with = "crate::experiment::duration::optional")]
        grace: Option<Duration>,
    },
    /// Forget an Injection whose end is verified.
    Forget {
        /// The Injection.
        name: String,
    },
    /// Let the clients begin.
    StartWorkload {},
    /// Let the clients finish what they are at, and no more.
    StopWorkload {},
    /// Read the ledger from every member.
    ReadLedger {},
    /// Something could not be proven or decided: the run will not be a Pass, and goes on. Nothing to do but to say so.
    Doubt {
        /// Why.
        reason: String,
    },
    /// The run is refused by a guard before anything was injected by this step.
    Refused {
        /// The step.
        step: String,
        /// The arithmetic, and the field that allows it.
        reason: String,
    },
    /// The run stops early; everything is reverted first.
    Abort {
        /// Why.
        reason: String,
    },
    /// A revert did not succeed in time; somebody has to look.
    RevertFailed {
        /// What and why.
        reason: String,
    },
    /// Nothing more will happen.
    Finish {},
}

/// One of the alternatives of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Picked {
    /// Its place in `oneOf`, from 0.
    pub place: u32,
    /// Its fault's or action's name, for a person.
    pub name: String,
}

impl Picked {
    /// The alternative at this place, which does this.
    pub fn of(place: usize, work: &Work) -> Self {
        Self { place: place as u32, name: work.name().into() }
    }
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Waiting for the target to be there and healthy.
    Preflight,
    /// The steady state must hold before anything is broken.
    Baseline,
    /// Steps happen.
    Faulting,
    /// Everything is reverted; waiting for the `after` budgets.
    Recovering,
    /// Stopped early; everything is being reverted.
    Reverting,
    /// Final reads from every member.
    Settling,
    /// Over.
    Judged,
}

/// What a member holds of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Held {
    /// Key (without the scope's prefix) → value.
    Values(BTreeMap<String, u64>),
    /// It could not be read, with the reason.
    Unreadable(String),
}

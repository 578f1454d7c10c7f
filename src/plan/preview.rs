//! Lays out a whole experiment in time: when, whom, what the group loses, and what the guard says of it.

mod chance;
mod stage;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::stage::{Losses, Stage};
use super::guard::{Asked, Ruling, Writes};
use super::losses::Which;
use super::select::{Choice, View};
use super::settings::settings;
use super::timeline::{Slot, slots};
use crate::api::{Member, MemberSample, Members, Ordinal, Role, Snapshot, WriteNeeds};
use crate::experiment::{Experiment, Extent, Hypothesis, Start, Step, duration};
use crate::fault::{Chooser, Damage};
use crate::judge::defaults::{self, Bounds};

/// What would happen if the target stayed as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The experiment's name.
    pub experiment: String,
    /// `NAMESPACE/NAME` of the StatefulSet.
    pub target: String,
    /// How many members it asks for.
    pub replicas: u32,
    /// Every choice below comes from this.
    pub seed: u64,
    /// Everything that has a default, as it is in force: field → value.
    pub settings: Vec<(String, String)>,
    /// What the plan had to assume.
    pub notes: Vec<String>,
    /// What happens, by time.
    pub occurrences: Vec<Planned>,
    /// When the last fault ends, from the end of the baseline.
    #[serde(with = "duration")]
    pub faults_end: Duration,
    /// What must hold, in the words of the experiment, with its budgets and those that hold by default.
    pub claims: Vec<String>,
    /// Why a run would be refused or could not do a step; nothing where it can go as planned.
    pub refusals: Vec<String>,
}

/// One occurrence of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// The step.
    pub step: String,
    /// The fault's or action's name.
    pub fault: String,
    /// What it waits for before it starts; `start` and `end` then count from that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// From 0.
    pub occurrence: u32,
    /// How many there are of this step.
    pub times: u32,
    /// From the end of the baseline.
    #[serde(with = "duration")]
    pub start: Duration,
    /// The same as `start` for a fault that happens once.
    #[serde(with = "duration")]
    pub end: Duration,
    /// Whether it stays until every other step is over; `end` is then the same as `start`, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
    /// Whether it goes over to re-created pods.
    pub follow: bool,
    /// The further StatefulSet that it acts on; the target where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Whom it would hit, or why that cannot be told.
    pub hits: Result<BTreeSet<Ordinal>, String>,
    /// What the group would lose.
    pub damage: Damage,
    /// What the guard says, with everything that overlaps.
    pub guard: Option<Ruling>,
}

/// Lays out `experiment` on its target, and on the further StatefulSets that steps act on, as they are. Where nothing runs
/// yet, or nobody was asked, everyone is taken for healthy and the seed names a stand-in for the leader; the notes say so.
pub fn preview(
    experiment: &Experiment,
    snapshot: &Snapshot,
    others: &[Snapshot],
    members: Option<&Members>,
    seed: u64,
) -> Plan {
    let mut notes = experiment.warnings();
    let assumed = assumed_members(experiment, snapshot, members, seed);
    if let Some(assumed) = &assumed {
        notes.push(assumption(snapshot, assumed));
    }
    let stage = Stage { target: View { snapshot, members: assumed.as_ref().or(members) }, others };
    let (slots, never) = slots(&experiment.steps, seed);
    let mut refusals: Vec<String> = never
        .into_iter()
        .map(|step| {
            format!("step {} never starts: what it waits for never ends", experiment.steps[step].name)
        })
        .collect();
    let mut occurrences: Vec<Planned> = Vec::new();
    let mut lost: Vec<Losses> = Vec::new();
    let mut active: Vec<usize> = Vec::new();
    for slot in &slots {
        let is_lasting = |place: usize| slots[place].is_lasting(&experiment.steps);
        active.retain(|&place| occurrences[place].end > slot.start || is_lasting(place));
        let (planned, losses, refusal) = plan_one(experiment, stage, seed, slot, |which| {
            active.iter().filter_map(|&place| lost[place].get(which)).collect()
        });
        refusals.extend(refusal);
        active.push(occurrences.len());
        occurrences.push(planned);
        lost.push(losses);
    }
    let faults_end = occurrences.iter().map(|planned| planned.end).max().unwrap_or_default();
    let longest = experiment.guards.max_duration;
    if faults_end > longest {
        notes.push(format!(
            "the last fault would end at +{}, and the run is aborted after {}: spec.guards.maxDuration",
            duration::format(faults_end),
            duration::format(longest)
        ));
    }
    notes.extend(chance::meetings(experiment, stage, &slots, &occurrences, &lost));
    refusals.extend(refused_alternatives(experiment, stage, seed));
    refusals.dedup();
    Plan {
        experiment: experiment.name.clone(),
        target: format!("{}/{}", snapshot.namespace, snapshot.name),
        replicas: snapshot.replicas,
        seed,
        settings: settings(experiment),
        notes,
        faults_end,
        occurrences,
        claims: experiment.hypothesis.iter().map(claim).collect(),
        refusals,
    }
}

/// One occurrence, with what each StatefulSet loses by it, and why it would not happen.
fn plan_one<'d>(
    experiment: &Experiment,
    stage: Stage<'_>,
    seed: u64,
    slot: &Slot,
    held: impl Fn(&Which) -> Vec<&'d Damage>,
) -> (Planned, Losses, Option<String>) {
    let step = &experiment.steps[slot.step];
    let what = slot.what(&experiment.steps);
    let work = &what.work;
    let asked = Asked::of(&experiment.guards, step, work);
    let set = experiment.other_set(step);
    let resolved = stage
        .view(set)
        .and_then(|view| work.resolve(&mut Choice::new(view, seed, &step.name, slot.occurrence)));
    let losses = resolved.as_ref().map(|resolved| stage.losses(set, resolved)).unwrap_or_default();
    let refusal = match &resolved {
        Ok(_) => stage.against(&losses, &held, asked).map(|ruling| ruling.refusal()),
        Err(why) => Some(why.clone()),
    };
    let refusal = refusal.map(|why| format!("step {}: {why}", step.name));
    // What is allowed is told all the same.
    let told = Asked { quorum: true, ..asked };
    let guard = resolved.as_ref().ok().and_then(|resolved| {
        let own = || stage.ruling(set, &resolved.damage, &held(&set.map(str::to_owned)), told);
        stage.against(&losses, &held, told).or_else(own)
    });
    let (hits, damage) = match resolved {
        Ok(resolved) => (Ok(resolved.hits.into_keys().collect()), resolved.damage),
        Err(why) => (Err(why), Damage::default()),
    };
    let planned = Planned {
        step: step.name.clone(),
        fault: work.name().into(),
        when: waits_for(&experiment.steps, step),
        occurrence: slot.occurrence,
        times: step.repeat.times,
        start: slot.start,
        end: slot.end,
        stays: what.extent() == Extent::ToTheEnd,
        follow: step.follow,
        set: set.map(str::to_owned),
        hits,
        damage,
        guard,
    };
    (planned, losses, refusal)
}

/// What a step waits for: a condition of its own, or that of the step that it comes after.
fn waits_for(steps: &[Step], step: &Step) -> Option<String> {
    let mut first = step;
    for _ in steps {
        match &first.start {
            Start::At(_) => return None,
            Start::When(_) if first.name == step.name => return first.condition(),
            Start::When(_) => return Some(format!("{}, which {} waits for", first.condition()?, first.name)),
            Start::After(name) => first = steps.iter().find(|other| &other.name == name)?,
        }
    }
    None
}

/// Alternatives that a guard refuses on their own, whether this seed chooses them or not: another seed would.
fn refused_alternatives(experiment: &Experiment, stage: Stage<'_>, seed: u64) -> Vec<String> {
    let choices = experiment.works().filter(|(step, _)| step.has_choice());
    choices
        .filter_map(|(step, work)| {
            let told = |why: &str| format!("step {}, where it chooses {}: {why}", step.name, work.name());
            let set = experiment.other_set(step);
            let resolved =
                stage.view(set).and_then(|view| work.resolve(&mut Choice::new(view, seed, &step.name, 0)));
            match resolved {
                Ok(resolved) => {
                    let asked = Asked::of(&experiment.guards, step, work);
                    let ruling = stage.against(&stage.losses(set, &resolved), &|_| Vec::new(), asked);
                    ruling.map(|ruling| told(&ruling.refusal()))
                }
                Err(why) => Some(told(&why)),
            }
        })
        .collect()
}

/// Members as they will be once the target runs; `None` where they were asked, or where no store tells.
fn assumed_members(
    experiment: &Experiment,
    snapshot: &Snapshot,
    members: Option<&Members>,
    seed: u64,
) -> Option<Members> {
    let store = experiment.target.store.as_ref().filter(|_| members.is_none())?;
    let view = View { snapshot, members: None };
    let leader = Choice::new(view, seed, "", 0).shuffled().first().copied();
    let answer = |ordinal| MemberSample::Answer {
        role: if Some(ordinal) == leader { Role::Leader } else { Role::Follower },
        term: 0,
        leader,
        position: 0,
        heartbeat: None,
        voter: store.votes(),
        writes_need: (!store.votes() && Some(ordinal) == leader).then(WriteNeeds::default),
    };
    Some(Members {
        members: snapshot.ordinals().map(|ordinal| Member { ordinal, sample: answer(ordinal) }).collect(),
    })
}

fn assumption(snapshot: &Snapshot, assumed: &Members) -> String {
    let leader =
        assumed.leader().map_or_else(String::new, |leader| format!(" and {}-{leader} led", snapshot.name));
    let who = if Writes::told(assumed).is_some() {
        "writes needed nobody but the leader".to_owned()
    } else {
        format!("all {} had a vote", snapshot.replicas)
    };
    format!("no member was asked: planned as if {who}{leader}; decided again right before each injection")
}

/// `NAME (SLI): budgets`, with everything that holds where nothing is written.
fn claim(hypothesis: &Hypothesis) -> String {
    let Bounds { before, during, after, always, recovered } = defaults::bounds(hypothesis);
    // What is good while it may be bad for a time, and when it has recovered, is told where no phase tells it.
    let good = recovered.filter(|good| after.is_none() && good.has_limits());
    let all = Hypothesis { before, during, after, always, ..hypothesis.clone() };
    let budgets = [&all.before, &all.during, &all.after, &all.always];
    let needs_values = budgets.into_iter().flatten().any(|budget| !budget.has_limits());
    let good = good.filter(|_| needs_values || hypothesis.recover_within.is_some());

    let written = serde_json::to_value(&all).unwrap_or_default();
    let sli = hypothesis.sli.name();
    let mut text = match plain(&written["sli"][sli]) {
        parameters if parameters.is_empty() => format!("{} ({sli})", hypothesis.name),
        parameters => format!("{} ({sli} {parameters})", hypothesis.name),
    };
    let mut told: Vec<_> = ["before", "during", "after", "always", "recoverWithin"]
        .into_iter()
        .filter_map(|field| Some((field, plain(written.get(field)?))))
        .collect();
    told.extend(good.map(|good| ("good is", plain(&serde_json::to_value(good).unwrap_or_default()))));
    let shown = |(field, text): (&str, String)| match text.as_str() {
        "" => format!("{field} all good"),
        text => format!("{field} {text}"),
    };
    let told: Vec<_> = told.into_iter().map(shown).collect();
    if !told.is_empty() {
        text.push_str(": ");
        text.push_str(&told.join("; "));
    }
    text
}

/// `{longestOutage: 5s}` instead of JSON's quotes.
fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name} {}", plain(value))).collect();
            fields.join(", ")
        }
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests;

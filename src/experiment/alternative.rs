//! What a step may do, of which each occurrence does one.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::LONGEST;
use super::{Change, Extent, Work, duration};
use crate::fault::Fault;

/// Something that a step may do. A step without `oneOf` has one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// How often it is chosen, relative to the others; at least 1.
    pub weight: u32,
    /// For how long it stays; zero where it happens once, or stays to the end. See [`Self::extent`].
    pub lasting: Duration,
    /// What is done.
    pub work: Work,
}

/// The most alternatives of a step: a person reads them.
pub const MOST: usize = 16;

/// The largest weight, so that their sum is never too large.
const HEAVIEST: u32 = 1000;

/// One of the alternatives of a step as it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wire {
    /// How often it is chosen, relative to the others: from 1 to 1000. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// For how long it stays. The step's own `for` where it is left out, unless it happens once.
    #[serde(default, rename = "for", with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    pub lasting: Option<Duration>,
    /// What is broken: exactly one fault. Each alternative has either a fault or an action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// What is operated: exactly one action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Change>,
}

impl Alternative {
    /// For how long one occurrence of it is there.
    pub fn extent(&self) -> Extent {
        match &self.work {
            Work::Action(change) if change.ends_by_itself() => Extent::UntilDone(self.lasting),
            Work::Action(_) if self.lasting.is_zero() => Extent::ToTheEnd,
            Work::Fault(_) if self.lasting.is_zero() => Extent::Once,
            Work::Action(_) | Work::Fault(_) => Extent::For(self.lasting),
        }
    }

    /// The only thing that a step does.
    pub(super) fn only(
        fault: Option<Fault>,
        action: Option<Change>,
        lasting: Option<Duration>,
        follow: bool,
    ) -> Result<Self, String> {
        let work = work(fault, action, "has both `fault` and `action`: make two steps of them")?;
        Ok(Self { weight: 1, lasting: lasting_of(&work, lasting, follow)?, work })
    }

    /// One of several, in a step with this `for`.
    fn of(wire: Wire, common: Option<Duration>, follow: bool) -> Result<Self, String> {
        let Wire { weight, lasting, fault, action } = wire;
        let weight = weight.unwrap_or(1);
        if !(1..=HEAVIEST).contains(&weight) {
            return Err(format!("`weight` {weight} is not possible: write a number from 1 to {HEAVIEST}"));
        }
        let work = work(fault, action, "has both `fault` and `action`: make two alternatives of them")?;
        let common = common.filter(|_| takes_common(&work, follow));
        Ok(Self { weight, lasting: lasting_of(&work, lasting.or(common), follow)?, work })
    }

    /// The alternatives of a step with this `for`.
    pub(super) fn all(
        written: Vec<Wire>,
        common: Option<Duration>,
        follow: bool,
    ) -> Result<Vec<Self>, String> {
        if !(2..=MOST).contains(&written.len()) {
            return Err(format!(
                "`oneOf` has {} alternatives: write from 2 to {MOST}, or the only one without `oneOf`",
                written.len()
            ));
        }
        let mut is_taken = common.is_none();
        let mut alternatives = Vec::new();
        for (place, wire) in written.into_iter().enumerate() {
            let has_own = wire.lasting.is_some();
            let one = Self::of(wire, common, follow).map_err(|why| format!("`oneOf[{place}]`: {why}"))?;
            is_taken |= !has_own && takes_common(&one.work, follow);
            alternatives.push(one);
        }
        if is_taken {
            Ok(alternatives)
        } else {
            Err("no alternative takes the step's `for`: leave it out".into())
        }
    }

    /// As one of several is written.
    pub(super) fn wire(self) -> Wire {
        let lasting = (!self.lasting.is_zero()).then_some(self.lasting);
        let (fault, action) = match self.work {
            Work::Fault(fault) => (Some(fault), None),
            Work::Action(change) => (None, Some(change)),
        };
        Wire { weight: (self.weight > 1).then_some(self.weight), lasting, fault, action }
    }
}

/// Whether an alternative without a `for` has that of its step: it stays, or may.
fn takes_common(work: &Work, follow: bool) -> bool {
    match work {
        Work::Fault(fault) => fault.may_last(follow),
        Work::Action(_) => true,
    }
}

fn work(fault: Option<Fault>, action: Option<Change>, both: &str) -> Result<Work, String> {
    match (fault, action) {
        (Some(fault), None) => Ok(Work::Fault(fault)),
        (None, Some(change)) => Ok(Work::Action(change)),
        (Some(_), Some(_)) => Err(both.into()),
        (None, None) => Err(
            "does nothing: write for example fault: {podKill: {members: {count: 1}}} or action: {rolloutRestart: {}}"
                .into(),
        ),
    }
}

/// For how long something stays, if it can be for that long.
fn lasting_of(work: &Work, lasting: Option<Duration>, follow: bool) -> Result<Duration, String> {
    match work {
        Work::Fault(fault) => of_fault(fault, lasting.unwrap_or_default(), follow),
        Work::Action(change) if follow => {
            Err(format!("`{}` hits no pod that it could follow: leave `follow` out", change.name()))
        }
        Work::Action(change) => {
            Ok(lasting.unwrap_or(if change.ends_by_itself() { LONGEST } else { Duration::ZERO }))
        }
    }
}

fn of_fault(fault: &Fault, lasting: Duration, follow: bool) -> Result<Duration, String> {
    let name = fault.name();
    if lasting.is_zero() && fault.must_last() {
        return Err(format!("`{name}` stays until it is taken back: say how long, for example for: 10s"));
    }
    if !lasting.is_zero() && !fault.may_last(follow) {
        let instead = if fault.may_last(true) {
            ", or add follow: true to hit every new pod during that time"
        } else {
            ""
        };
        return Err(format!("`{name}` happens once: leave `for` out{instead}"));
    }
    if follow && !fault.can_follow() {
        return Err(format!("`{name}` does not follow pods: leave `follow` out"));
    }
    Ok(lasting)
}

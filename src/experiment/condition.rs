//! What a step can wait for.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AbortCondition, Amount, Sli, duration};
use crate::api::{Ordinal, Pod, PodPhase, Role};

/// How long a step waits for its condition where it does not say.
const WITHIN: Duration = Duration::from_mins(1);

/// Starts a step when a condition holds for the first time after the baseline. Where it does not hold within a limit,
/// the step is left out, the run goes on, and its verdict is at best Inconclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct When {
    /// What is waited for.
    pub condition: Condition,
    /// For how long, from the end of the baseline.
    pub within: Duration,
}

/// A condition on pods, members or measurements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// A pod is in a state; any pod where there is no ordinal.
    Pod {
        /// Whose.
        ordinal: Option<Ordinal>,
        /// The state.
        is: PodState,
    },
    /// A member has a role.
    Role {
        /// Whose.
        ordinal: Ordinal,
        /// The role.
        is: Role,
    },
    /// An SLI is bad for some time.
    Sli(AbortCondition),
}

/// States of a pod that can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PodState {
    /// It was deleted and is in its grace period.
    Terminating,
    /// It exists, and not every container has started yet.
    Pending,
    /// It is Ready.
    Ready,
    /// It is not Ready, or does not exist.
    NotReady,
}

impl PodState {
    /// Whether an ordinal's pod is in this state; `None` is an ordinal without a pod.
    pub fn is_true_of(self, pod: Option<&Pod>) -> bool {
        let in_phase = |phase| pod.is_some_and(|pod| pod.phase == phase);
        let is_ready = pod.is_some_and(|pod| pod.ready);
        match self {
            Self::Terminating => in_phase(PodPhase::Terminating),
            Self::Pending => in_phase(PodPhase::Pending),
            Self::Ready => is_ready && !in_phase(PodPhase::Terminating),
            Self::NotReady => !is_ready,
        }
    }
}

/// A condition as it is written: exactly one of pod, role and sli.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    /// A pod is in a state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod: Option<PodIs>,
    /// A member has a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<RoleIs>,
    /// An SLI is bad for as long as `for` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sli: Option<Sli>,
    /// Of `sli`: while the value is below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    below: Option<Amount>,
    /// Of `sli`: while the value is above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    above: Option<Amount>,
    /// Of `sli`: for how long without a break. Default 0s: at once.
    #[serde(default, rename = "for", with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    lasting: Option<Duration>,
    /// For how long the step waits, from the end of the baseline; where the condition does not hold by then, the step is
    /// left out and the verdict is at best Inconclusive. Default 1m.
    #[serde(default, with = "duration::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    within: Option<Duration>,
}

/// `{ordinal: 2, is: Terminating}` or `{any: {}, is: Terminating}`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PodIs {
    /// The pod of this ordinal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ordinal: Option<Ordinal>,
    /// Any pod of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    any: Option<Any>,
    /// The state.
    is: PodState,
}

/// `{}`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Any {}

/// `{ordinal: 1, is: leader}`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RoleIs {
    /// The member.
    ordinal: Ordinal,
    /// The role.
    is: NamedRole,
}

/// The roles that can be waited for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum NamedRole {
    Leader,
    Follower,
}

impl TryFrom<Wire> for When {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let Wire { pod, role, sli, below, above, lasting, within } = wire;
        let bounds_sli = below.is_some() || above.is_some() || lasting.is_some();
        let condition = match (pod, role, sli) {
            (None, None, Some(sli)) => {
                Condition::Sli(AbortCondition::new(sli, below, above, lasting.unwrap_or_default())?)
            }
            (Some(_), None, None) | (None, Some(_), None) if bounds_sli => {
                return Err("`below`, `above` and `for` belong to `sli`: leave them out".into());
            }
            (Some(PodIs { ordinal, any, is }), None, None) => match (ordinal, any) {
                (Some(_), None) | (None, Some(Any {})) => Condition::Pod { ordinal, is },
                (Some(_), Some(_)) | (None, None) => {
                    return Err("`pod` needs either `ordinal`, for example ordinal: 2, or `any: {}`".into());
                }
            },
            (None, Some(RoleIs { ordinal, is }), None) => Condition::Role {
                ordinal,
                is: match is {
                    NamedRole::Leader => Role::Leader,
                    NamedRole::Follower => Role::Follower,
                },
            },
            _ => {
                return Err(
                    "needs exactly one of pod: {any: {}, is: Terminating}, role: {ordinal: 1, is: leader} and sli: {quorum: {}}"
                        .into(),
                );
            }
        };
        Ok(Self { condition, within: within.unwrap_or(WITHIN) })
    }
}

impl From<When> for Wire {
    fn from(when: When) -> Self {
        let mut wire = Self { within: Some(when.within), ..Self::default() };
        match when.condition {
            Condition::Pod { ordinal, is } => {
                let any = ordinal.is_none().then_some(Any {});
                wire.pod = Some(PodIs { ordinal, any, is });
            }
            Condition::Role { ordinal, is } => {
                let is = match is {
                    Role::Leader => NamedRole::Leader,
                    Role::Follower | Role::Other => NamedRole::Follower,
                };
                wire.role = Some(RoleIs { ordinal, is });
            }
            Condition::Sli(AbortCondition { sli, below, above, lasting }) => {
                wire.sli = Some(sli);
                wire.below = below;
                wire.above = above;
                wire.lasting = Some(lasting);
            }
        }
        wire
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod { ordinal: Some(ordinal), is } => write!(f, "the pod of ordinal {ordinal} is {is:?}"),
            Self::Pod { ordinal: None, is } => write!(f, "any pod is {is:?}"),
            Self::Role { ordinal, is } => {
                let role = match is {
                    Role::Leader => "leader",
                    Role::Follower => "a follower",
                    Role::Other => "neither leader nor follower",
                };
                write!(f, "member {ordinal} is {role}")
            }
            Self::Sli(AbortCondition { sli, below, above, lasting }) => {
                let side = match (below, above) {
                    (Some(below), None) => format!("below {below}"),
                    (None, Some(above)) => format!("above {above}"),
                    (Some(below), Some(above)) => format!("below {below} or above {above}"),
                    (None, None) => "lost".into(),
                };
                write!(f, "{} is {side}", sli.name())?;
                if lasting.is_zero() { Ok(()) } else { write!(f, " for {}", duration::format(*lasting)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<When, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_what_it_writes() {
        for json in [
            r#"{"pod":{"ordinal":2,"is":"Terminating"},"within":"5s"}"#,
            r#"{"pod":{"any":{},"is":"NotReady"}}"#,
            r#"{"role":{"ordinal":1,"is":"leader"}}"#,
            r#"{"sli":{"commitLatency":{}},"above":"1s","for":"2s"}"#,
        ] {
            let when = read(json).expect(json);
            let written = serde_json::to_string(&when).expect("it can be written");
            assert_eq!(read(&written).as_ref(), Ok(&when), "{written}");
        }
    }

    #[test]
    fn refuses_a_condition_that_says_nothing_or_too_much() {
        for (json, words) in [
            ("{}", "needs exactly one of pod"),
            (r#"{"pod":{"is":"Ready"}}"#, "or `any: {}`"),
            (r#"{"pod":{"any":{},"ordinal":1,"is":"Ready"}}"#, "either `ordinal`"),
            (r#"{"pod":{"any":{},"is":"Ready"},"for":"2s"}"#, "belong to `sli`"),
            (r#"{"role":{"ordinal":1,"is":"leader"},"sli":{"quorum":{}}}"#, "needs exactly one of pod"),
        ] {
            assert!(read(json).is_err_and(|why| why.contains(words)), "{json}: {:?}", read(json));
        }
    }
}

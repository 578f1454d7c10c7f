//! Actions: what people do to a StatefulSet in normal operation, as steps of an experiment, so that a fault can meet it.
//!
//! Each is a request to the platform that is verified by what the platform shows afterwards. `rolloutRestart` is over
//! when every pod was replaced; `for` bounds that. The others change what is asked for: they stay until their `for`
//! is over, or until every other step is, and are put back then. Snapshots and the claims that they are restored into are
//! over when they are ready; what they made is removed when the run is over.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Selection;
use crate::api::ApiFault;
use crate::fault::{Action, Chooser, Damage, Resolved};

/// For how long what ends by itself may go on where a step does not say.
pub const LONGEST: Duration = Duration::from_mins(5);

/// An action with its parameters, as it is written: `{NAME: {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Change {
    /// Every pod is replaced, one after the other, as `kubectl rollout restart` does.
    RolloutRestart {},
    /// The number of replicas is set, and put back afterwards.
    Scale {
        /// How many.
        replicas: u32,
    },
    /// A container's image is set, and put back afterwards.
    SetImage {
        /// The container.
        container: String,
        /// The image.
        image: String,
    },
    /// An environment variable of a container is set, and put back afterwards.
    SetEnv {
        /// The container.
        container: String,
        /// The variable.
        name: String,
        /// Its value.
        value: String,
    },
    /// A VolumeSnapshot of each claim is taken, and removed when the run is over.
    TakeSnapshot {
        /// Whose claims; everybody's where it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        members: Option<Selection>,
        /// The claim templates; all where empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        claims: Vec<String>,
        /// The VolumeSnapshotClass; the default one of the claims' driver where it is left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        class: Option<String>,
    },
    /// What a takeSnapshot step took is restored into new claims, which are removed when the run is over. The claims of
    /// the target are not touched.
    RestoreSnapshot {
        /// The takeSnapshot step.
        from: String,
        /// Whether a pod reads every file of each restored volume. Default false.
        #[serde(default)]
        read: bool,
    },
}

/// The most pods that a sandbox runs.
pub const MOST_IN_SANDBOX: u32 = 100;

/// More pods than anybody scales to by intention: a snapshot that shows more is not believed.
const MOST_REPLICAS: u32 = 10_000;

/// Whether an environment can have a variable of this name: printable, and not empty (environ(7)).
fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != '=')
}

impl Change {
    /// Its name in documents.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RolloutRestart {} => "rolloutRestart",
            Self::Scale { .. } => "scale",
            Self::SetImage { .. } => "setImage",
            Self::SetEnv { .. } => "setEnv",
            Self::TakeSnapshot { .. } => "takeSnapshot",
            Self::RestoreSnapshot { .. } => "restoreSnapshot",
        }
    }

    /// The container that it names, if any.
    pub fn container(&self) -> Option<&str> {
        match self {
            Self::RolloutRestart {}
            | Self::Scale { .. }
            | Self::TakeSnapshot { .. }
            | Self::RestoreSnapshot { .. } => None,
            Self::SetImage { container, .. } | Self::SetEnv { container, .. } => Some(container),
        }
    }

    /// Whether it ends by itself, and is not put back.
    pub fn ends_by_itself(&self) -> bool {
        match self {
            Self::RolloutRestart {} | Self::TakeSnapshot { .. } | Self::RestoreSnapshot { .. } => true,
            Self::Scale { .. } | Self::SetImage { .. } | Self::SetEnv { .. } => false,
        }
    }

    /// What no platform would take of its parameters, with the field.
    pub fn wrong(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Scale { replicas } if *replicas > MOST_REPLICAS => {
                Some(("replicas", format!("{replicas} replicas are too many: write at most {MOST_REPLICAS}")))
            }
            Self::SetEnv { name, .. } if !is_variable(name) => {
                Some(("name", format!("`{name}` is not the name of a variable: write for example LOG_LEVEL")))
            }
            Self::SetEnv { value, .. } if value.contains('\0') => {
                Some(("value", "no variable can hold a zero byte: leave it out".into()))
            }
            Self::RolloutRestart {}
            | Self::Scale { .. }
            | Self::SetImage { .. }
            | Self::SetEnv { .. }
            | Self::TakeSnapshot { .. }
            | Self::RestoreSnapshot { .. } => None,
        }
    }

    /// Whom it selects, for checks before any snapshot of the target exists. Empty where it speaks of all members.
    pub fn selection(&self) -> Option<&Selection> {
        match self {
            Self::TakeSnapshot { members, .. } => members.as_ref(),
            Self::RolloutRestart {}
            | Self::Scale { .. }
            | Self::SetImage { .. }
            | Self::SetEnv { .. }
            | Self::RestoreSnapshot { .. } => None,
        }
    }

    /// What it does to the members that there are now.
    pub fn resolve(&self, chooser: &mut dyn Chooser) -> Result<Resolved, String> {
        let rolling = Damage { rolling: 1, ..Damage::default() };
        let (fault, damage) = match self {
            Self::RolloutRestart {} => (ApiFault::Restart {}, rolling),
            Self::Scale { replicas } => {
                let all = chooser.all();
                if all.len() == *replicas as usize {
                    return Err(format!("there are {replicas} replicas already"));
                }
                let down = all.into_iter().skip(*replicas as usize).collect();
                (ApiFault::Scale { replicas: *replicas }, Damage { down, ..Damage::default() })
            }
            Self::SetImage { container, image } => {
                (ApiFault::SetImage { container: container.clone(), image: image.clone() }, rolling)
            }
            Self::SetEnv { container, name, value } => {
                let (container, name, value) = (container.clone(), name.clone(), value.clone());
                (ApiFault::SetEnv { container, name, value }, rolling)
            }
            Self::TakeSnapshot { members, claims, class } => {
                let ordinals = match members {
                    Some(members) => chooser.pick(members)?,
                    None => chooser.all(),
                };
                let (claims, class) = (claims.clone(), class.clone());
                (ApiFault::TakeSnapshot { ordinals, claims, class }, Damage::default())
            }
            Self::RestoreSnapshot { from, read } => {
                (ApiFault::RestoreSnapshot { from: from.clone(), read: *read }, Damage::default())
            }
        };
        Ok(Resolved { set: Some(Action::Api(fault)), damage, ..Resolved::default() })
    }
}

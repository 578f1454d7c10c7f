//! What is asked for of the StatefulSet now: what its manifest says, changed by actions.

use super::pod_spec::SetSpec;
use crate::api::{ApiFault, Ordinal};

/// The part of a StatefulSet that actions change.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    first: Ordinal,
    /// How many ordinals.
    pub(super) replicas: u32,
    /// How many templates there were, the newest one included.
    pub(super) revision: u64,
    /// What the newest template has in place of the manifest's variables.
    pub(super) env: Vec<EnvChange>,
    /// The Injection that changed it, with the way back.
    changed: Option<(String, Undo)>,
}

/// A variable of a container that is not what the manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvChange {
    /// The container.
    pub container: String,
    /// The variable.
    pub name: String,
    /// Its value, in which `$(NAME)` is expanded.
    pub value: String,
}

#[derive(Debug, Clone)]
enum Undo {
    Replicas(u32),
    Template,
}

impl Wanted {
    /// What the manifest says.
    pub(super) fn of(spec: &SetSpec) -> Self {
        Self {
            first: spec.first_ordinal,
            replicas: spec.replicas,
            revision: 1,
            env: Vec::new(),
            changed: None,
        }
    }

    pub(super) fn ordinals(&self) -> std::ops::Range<Ordinal> {
        self.first..self.first.saturating_add(self.replicas)
    }

    /// Makes a change for an Injection; or says why not. As in a cluster, one change is there at a time.
    pub(super) fn change(&mut self, by: &str, set: &str, fault: &ApiFault) -> Result<(), String> {
        if let Some((other, _)) = &self.changed {
            return Err(format!("{set} was changed already by {other}: one change at a time"));
        }
        let undo = match fault {
            ApiFault::Scale { replicas } => Undo::Replicas(std::mem::replace(&mut self.replicas, *replicas)),
            ApiFault::SetEnv { container, name, value } => {
                let (container, name, value) = (container.clone(), name.clone(), value.clone());
                self.env = vec![EnvChange { container, name, value }];
                self.revision += 1;
                Undo::Template
            }
            _ => return Err("a sandbox cannot do this: run it in a cluster".into()),
        };
        self.changed = Some((by.to_owned(), undo));
        Ok(())
    }

    /// Takes back what an Injection changed.
    pub(super) fn put_back(&mut self, by: &str) {
        let Some((_, undo)) = self.changed.take_if(|(known, _)| known == by) else {
            return;
        };
        match undo {
            Undo::Replicas(before) => self.replicas = before,
            Undo::Template => {
                self.env.clear();
                self.revision += 1;
            }
        }
    }
}

//! What the API server says, turned into orders for the node. Pure: events in, orders out.
//!
//! Guarantees:
//! - an order is given once per change of what is wanted: the node's own statuses, which come back as changes of the same
//!   objects, are no news;
//! - what was deleted while nobody watched is gone as soon as the next list is complete;
//! - an Injection that was brought to its end (by a Halt, or as its status says when it is first seen) is never injected
//!   again, whatever its spec goes on to say;
//! - no order is given before it is known whether there is a Halt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::{Desired, InjectionSpec, InjectionState, InjectionStatus};
use crate::node::Order;
use crate::resource::{Halt, Injection};

use super::key::Key;

/// Which version of which object is known, so that a status is never written onto another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    pub uid: String,
    pub resource_version: String,
}

/// What the API server says about this node.
#[derive(Debug, Default)]
pub(super) struct Known {
    injections: BTreeMap<Key, Entry>,
    /// Seen since the current list began.
    listed: BTreeSet<Key>,
    /// The Halts that exist, by name, with their reasons.
    halts: BTreeMap<String, Option<String>>,
    halts_listed: BTreeMap<String, Option<String>>,
}

#[derive(Debug)]
struct Entry {
    version: Version,
    /// As the node was told last; nothing where it need not know.
    told: Option<InjectionSpec>,
    end: End,
    /// What the node said last.
    state: Option<InjectionState>,
}

/// Whether an Injection was brought to its end for good.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Open,
    /// It was over when it was first seen.
    Before,
    /// For this reason.
    By(Arc<str>),
}

impl Known {
    /// A list of Halts begins, so that those that are not in it are gone.
    pub(super) fn begin_halts(&mut self) {
        self.halts_listed.clear();
    }

    /// A Halt of the list that is under way.
    pub(super) fn list_halt(&mut self, halt: &Halt) {
        let (name, reason) = read(halt);
        self.halts_listed.insert(name, reason);
    }

    /// The list of Halts is complete.
    pub(super) fn end_halts(&mut self) -> Vec<Order> {
        self.halts = std::mem::take(&mut self.halts_listed);
        self.obey_halts()
    }

    /// A Halt is new or has changed.
    pub(super) fn halt(&mut self, halt: &Halt) -> Vec<Order> {
        let (name, reason) = read(halt);
        self.halts.insert(name, reason);
        self.obey_halts()
    }

    /// A Halt is gone. What it ended stays ended.
    pub(super) fn lift_halt(&mut self, halt: &Halt) {
        self.halts.remove(&read(halt).0);
    }

    fn halted_by(&self) -> Option<Arc<str>> {
        let (name, reason) = self.halts.first_key_value()?;
        let reason = reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        Some(format!("taken back because of the Halt `{name}`{reason}").into())
    }

    fn obey_halts(&mut self) -> Vec<Order> {
        match self.halted_by() {
            Some(reason) => self.end_all(&reason),
            None => Vec::new(),
        }
    }

    /// Brings everything to its end that is not there yet.
    pub(super) fn end_all(&mut self, reason: &Arc<str>) -> Vec<Order> {
        let mut orders = Vec::new();
        for entry in self.injections.values_mut().filter(|entry| entry.end == End::Open) {
            entry.end = End::By(Arc::clone(reason));
            if let Some(told) = entry.told.as_mut().filter(|told| told.desired == Desired::Injected) {
                told.desired = Desired::Reverted;
                orders.push(Order::Put(told.clone()));
            }
        }
        orders
    }

    /// A list of Injections begins.
    pub(super) fn begin_list(&mut self) {
        self.listed.clear();
    }

    /// An Injection of the list that is under way.
    pub(super) fn list(&mut self, injection: &Injection) -> Vec<Order> {
        if let Some(key) = key_of(injection) {
            self.listed.insert(key);
        }
        self.put(injection)
    }

    /// The list is complete: what is not in it is gone.
    pub(super) fn end_list(&mut self) -> Vec<Order> {
        let listed = std::mem::take(&mut self.listed);
        let gone: Vec<Key> = self.injections.keys().filter(|key| !listed.contains(*key)).cloned().collect();
        let mut orders: Vec<Order> = gone.iter().flat_map(|key| self.forget(key)).collect();
        orders.push(Order::AllTold);
        orders
    }

    /// An Injection that is there but cannot be read: nothing is changed about it.
    pub(super) fn list_unreadable(&mut self, namespace: Option<&str>, name: Option<&str>) {
        if let (Some(namespace), Some(name)) = (namespace, name) {
            self.listed.insert(Key { namespace: namespace.to_owned(), name: name.to_owned() });
        }
    }

    /// An Injection is new or has changed.
    pub(super) fn put(&mut self, injection: &Injection) -> Vec<Order> {
        let (Some(key), Some(version)) = (key_of(injection), version_of(injection)) else {
            return Vec::new();
        };
        let mut orders = Vec::new();
        if self.injections.get(&key).is_some_and(|entry| entry.version.uid != version.uid) {
            orders.extend(self.forget(&key));
        }
        let halted = self.halted_by();
        let entry = self.injections.entry(key.clone()).or_insert_with(|| Entry {
            version: version.clone(),
            told: None,
            end: if is_over(injection) { End::Before } else { End::Open },
            state: injection.status.as_ref().map(|status| status.state),
        });
        entry.version = version;
        if let (End::Open, Some(reason)) = (&entry.end, halted) {
            entry.end = End::By(reason);
        }
        let mut spec = InjectionSpec { name: key.to_string(), ..injection.spec.injection.clone() };
        if entry.end != End::Open {
            spec.desired = Desired::Reverted;
        }
        // Nothing of what was over before is in force; a record that is left all the same is nobody's.
        if entry.end != End::Before && entry.told.as_ref() != Some(&spec) {
            entry.told = Some(spec.clone());
            orders.push(Order::Put(spec));
        }
        orders
    }

    /// An Injection is gone, or has become another node's.
    pub(super) fn remove(&mut self, injection: &Injection) -> Vec<Order> {
        key_of(injection).map(|key| self.forget(&key)).unwrap_or_default()
    }

    fn forget(&mut self, key: &Key) -> Vec<Order> {
        match self.injections.remove(key) {
            Some(_) => vec![Order::Gone(key.to_string())],
            None => Vec::new(),
        }
    }

    /// The version to write a status onto; `None` where the Injection is not this node's any more.
    pub(super) fn version(&self, key: &Key) -> Option<Version> {
        self.injections.get(key).map(|entry| entry.version.clone())
    }

    /// A newer version of the same object is known.
    pub(super) fn renew(&mut self, key: &Key, version: Version) {
        if let Some(entry) = self.injections.get_mut(key).filter(|entry| entry.version.uid == version.uid) {
            entry.version = version;
        }
    }

    /// What the node says, with the reason where somebody else than the run brought it about.
    pub(super) fn explain(&mut self, key: &Key, mut status: InjectionStatus) -> InjectionStatus {
        let Some(entry) = self.injections.get_mut(key) else {
            return status;
        };
        entry.state = Some(status.state);
        if let (End::By(reason), InjectionState::Reverted) = (&entry.end, status.state) {
            status.error = Some(match status.error {
                Some(error) => format!("{error}; {reason}"),
                None => reason.to_string(),
            });
        }
        status
    }

    /// How many Injections are in force here, or may be.
    pub(super) fn in_force(&self) -> usize {
        let may_be = |entry: &&Entry| match entry.state {
            Some(InjectionState::Injected | InjectionState::Lost | InjectionState::RevertFailed) => true,
            Some(InjectionState::Pending | InjectionState::Failed | InjectionState::Reverted) | None => false,
        };
        let changes = |entry: &&Entry| entry.told.as_ref().is_none_or(|spec| !spec.fault.changes_nothing());
        self.injections.values().filter(may_be).filter(changes).count()
    }
}

/// Whether its status says that nothing of it is in force and nothing will be.
fn is_over(injection: &Injection) -> bool {
    let Some(status) = &injection.status else {
        return false;
    };
    let spec = &injection.spec.injection;
    match status.state {
        // What measures goes on when its deadline is put off.
        InjectionState::Reverted | InjectionState::Failed => !spec.measures(),
        // Its pod is gone for good; somebody may still want to read that it is reverted.
        InjectionState::Lost => !spec.follow && spec.desired == Desired::Injected,
        InjectionState::Pending | InjectionState::Injected | InjectionState::RevertFailed => false,
    }
}

fn read(halt: &Halt) -> (String, Option<String>) {
    (halt.metadata.name.clone().unwrap_or_default(), halt.spec.reason.clone())
}

pub(super) fn key_of(injection: &Injection) -> Option<Key> {
    let (namespace, name) = (injection.metadata.namespace.clone()?, injection.metadata.name.clone()?);
    Some(Key { namespace, name })
}

pub(super) fn version_of(injection: &Injection) -> Option<Version> {
    let (uid, resource_version) =
        (injection.metadata.uid.clone()?, injection.metadata.resource_version.clone()?);
    Some(Version { uid, resource_version })
}

#[cfg(test)]
mod tests;

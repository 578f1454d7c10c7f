//! The Injections of this sandbox, in memory: what they are about dies with init as well.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::protocol::InjectionEvent;
use crate::api::{Injection, InjectionSpec, InjectionStatus};

/// Specs by the run, statuses by the node.
pub struct Injections {
    all: watch::Sender<BTreeMap<String, Injection>>,
}

impl Injections {
    /// None.
    pub fn new() -> Self {
        Self { all: watch::Sender::new(BTreeMap::new()) }
    }

    /// Creates an Injection or replaces its spec.
    pub fn put(&self, spec: InjectionSpec) {
        self.all.send_modify(|all| {
            let status = all.get(&spec.name).and_then(|known| known.status.clone());
            all.insert(spec.name.clone(), Injection { spec, status });
        });
    }

    /// Replaces the status; whether there is such an Injection.
    pub fn report(&self, name: &str, status: InjectionStatus) -> bool {
        self.all.send_if_modified(|all| match all.get_mut(name) {
            Some(injection) => {
                injection.status = Some(status);
                true
            }
            None => false,
        })
    }

    /// Forgets it.
    pub fn forget(&self, name: &str) {
        self.all.send_if_modified(|all| all.remove(name).is_some());
    }

    /// All that exist now.
    pub fn list(&self) -> Vec<Injection> {
        self.all.borrow().values().cloned().collect()
    }

    /// All that exist, then every change.
    pub fn watch(&self) -> Watch {
        let mut changes = self.all.subscribe();
        changes.mark_changed();
        Watch { changes, seen: BTreeMap::new() }
    }
}

/// One watcher's view.
pub struct Watch {
    changes: watch::Receiver<BTreeMap<String, Injection>>,
    seen: BTreeMap<String, Injection>,
}

impl Watch {
    /// What changed since the last call, at least one event; `None` at the end.
    pub async fn next(&mut self) -> Option<Vec<InjectionEvent>> {
        loop {
            self.changes.changed().await.ok()?;
            let all = self.changes.borrow_and_update().clone();
            let events = difference(&self.seen, &all);
            self.seen = all;
            if !events.is_empty() {
                return Some(events);
            }
        }
    }
}

fn difference(
    before: &BTreeMap<String, Injection>,
    after: &BTreeMap<String, Injection>,
) -> Vec<InjectionEvent> {
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let gone = gone.map(|name| InjectionEvent::Gone(name.clone()));
    let changed = after.iter().filter(|(name, injection)| before.get(*name) != Some(injection));
    gone.chain(changed.map(|(_, injection)| InjectionEvent::Put(Box::new(injection.clone())))).collect()
}

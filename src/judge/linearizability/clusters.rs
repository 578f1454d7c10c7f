//! Values of one key, and who wrote, saw and consumed each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::contradiction::Contradiction;
use crate::judge::history::{CasOutcome, Kind, Operation};

/// A position in a key's operations.
pub(super) type Place = u32;

/// A position in [`Clusters::all`].
pub(super) type ClusterId = u32;

/// The absent key, which is there before all operations.
pub(super) const ABSENT: ClusterId = 0;

/// Everything about one value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cluster {
    /// Who wrote it; none only for the absent key.
    pub writer: Option<Place>,
    /// Of those that saw it, the one that returned first.
    pub first_reader: Option<Place>,
    /// Of those that saw it, the one that was called last.
    pub last_reader: Option<Place>,
    /// The value by which a compare-and-set that happened replaced it.
    pub next: Option<ClusterId>,
    /// The value that the writer replaced, if that is a compare-and-set that happened.
    pub from: Option<ClusterId>,
    /// Whether it ever was the key's value.
    pub happened: bool,
}

/// The values of one key.
#[derive(Debug)]
pub(super) struct Clusters<'a> {
    /// The key's operations.
    pub operations: &'a [Operation],
    /// The first one is [`ABSENT`].
    pub all: Vec<Cluster>,
    ids: HashMap<u64, ClusterId>,
}

impl<'a> Clusters<'a> {
    /// One cluster for each value; none when two operations write the same value.
    pub(super) fn written(operations: &'a [Operation]) -> Option<Self> {
        let mut all = Vec::with_capacity(operations.len() / 2 + 1);
        all.push(Cluster { happened: true, ..Cluster::default() });
        let mut ids = HashMap::with_capacity(operations.len() / 2);
        for (place, operation) in (0..).zip(operations) {
            let Some(value) = operation.written() else {
                continue;
            };
            match ids.entry(value) {
                Entry::Occupied(_) => return None,
                Entry::Vacant(free) => free.insert(all.len() as ClusterId),
            };
            all.push(Cluster { writer: Some(place), happened: operation.happened(), ..Cluster::default() });
        }
        Some(Self { operations, all, ids })
    }

    /// Adds who saw and who consumed the values, and decides which operations of unknown outcome happened.
    pub(super) fn group(&mut self) -> Result<(), Contradiction> {
        let operations = self.operations;
        for (place, operation) in (0..).zip(operations) {
            if let Some(seen) = operation.observed() {
                self.observe(place, operation, seen)?;
            }
        }
        for (place, operation) in (0..).zip(operations) {
            if let Kind::Cas { expect, value, outcome: CasOutcome::Swapped } = operation.kind {
                self.consume(place, expect, self.ids[&value])?;
            }
        }
        self.settle_unknown()
    }

    /// The cluster.
    pub(super) fn get(&self, id: ClusterId) -> Cluster {
        self.all[id as usize]
    }

    fn observe(
        &mut self,
        place: Place,
        operation: &Operation,
        seen: Option<u64>,
    ) -> Result<(), Contradiction> {
        let id = self.find(seen).ok_or(Contradiction::Nowhere { seer: place })?;
        if matches!(operation.kind, Kind::Cas { expect, .. } if expect == seen) {
            return Err(Contradiction::RefusedMatch { value: id, refused: place });
        }
        let operations = self.operations;
        let end = |place: Place| operations[place as usize].over().unwrap_or(u64::MAX);
        let begin = |place: Place| operations[place as usize].call;
        let cluster = &mut self.all[id as usize];
        if cluster.first_reader.is_none_or(|first| end(place) < end(first)) {
            cluster.first_reader = Some(place);
        }
        if cluster.last_reader.is_none_or(|last| begin(place) > begin(last)) {
            cluster.last_reader = Some(place);
        }
        Ok(())
    }

    /// Notes that the compare-and-set at `place` happened: its value `own` replaced what it expected.
    fn consume(
        &mut self,
        place: Place,
        expect: Option<u64>,
        own: ClusterId,
    ) -> Result<ClusterId, Contradiction> {
        let id = self.find(expect).ok_or(Contradiction::Nowhere { seer: place })?;
        if let Some(rival) = self.get(id).next {
            return Err(Contradiction::TwoSwaps { value: id, swaps: [rival, own] });
        }
        self.all[id as usize].next = Some(own);
        self.all[own as usize].from = Some(id);
        Ok(id)
    }

    /// An operation of unknown outcome happened if its value was seen or consumed; then it consumed in turn what it
    /// expected. All others may be left out: nobody saw their values.
    fn settle_unknown(&mut self) -> Result<(), Contradiction> {
        let unknown = |cluster: &Cluster| !cluster.happened;
        let mut due: Vec<ClusterId> =
            (0..).zip(&self.all).filter(|(_, cluster)| unknown(cluster)).map(|(id, _)| id).collect();
        while let Some(id) = due.pop() {
            let cluster = self.get(id);
            if cluster.happened || (cluster.first_reader.is_none() && cluster.next.is_none()) {
                continue;
            }
            self.all[id as usize].happened = true;
            let writer = cluster.writer.expect("only the absent key is unwritten, and it has happened");
            if let Kind::Cas { expect, .. } = self.operations[writer as usize].kind {
                due.push(self.consume(writer, expect, id)?);
            }
        }
        Ok(())
    }

    fn find(&self, value: Option<u64>) -> Option<ClusterId> {
        match value {
            None => Some(ABSENT),
            Some(value) => self.ids.get(&value).copied(),
        }
    }
}

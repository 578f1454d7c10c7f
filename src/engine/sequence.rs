//! Members that are hit one after the other, each only when the one before is healthy again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::hit::Hit;
use super::limits::after;
use super::scene::Scene;
use crate::api::{Nanos, Ordinal};
use crate::experiment::{Alternative, Step, duration};
use crate::fault::Action;

/// Who is still to be hit.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    queue: VecDeque<(Ordinal, Action)>,
    /// Who was hit last, and since when that is proven.
    last: Option<(Ordinal, Option<Nanos>)>,
    /// Whom it took down and did not tell yet.
    took_down: Option<Ordinal>,
}

/// What came of the last look.
pub(super) enum Outcome {
    /// The last one is not back.
    Waits,
    /// Something changed: look again.
    Moved,
    /// The next one may be hit.
    Next,
    /// The last one does not come back.
    Stuck(String),
}

impl Sequence {
    /// These members, by ordinal.
    pub(super) fn of(hits: BTreeMap<Ordinal, Action>) -> Self {
        Self { queue: hits.into_iter().collect(), ..Self::default() }
    }

    /// Whether nobody is left.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Hits nobody any more.
    pub(super) fn stop(&mut self) {
        self.queue.clear();
        if let Some((ordinal, None)) = self.last {
            self.last = Some((ordinal, Some(0)));
            self.took_down = Some(ordinal);
        }
    }

    /// Hits the next one. It has a running pod: [`Self::go_on`] has checked that.
    pub(super) fn start_next(
        &mut self,
        step: &Step,
        what: &Alternative,
        number: u32,
        scene: &mut Scene<'_>,
    ) -> Option<Hit> {
        let (ordinal, action) = self.queue.pop_front()?;
        self.last = Some((ordinal, None));
        Hit::start(step, what, number, Some(ordinal), &action, scene)
    }

    /// The last one is proven; whether its replacement is there as well is told. Looks whether the next one may be hit.
    pub(super) fn go_on(&mut self, is_replaced: bool, scene: &Scene<'_>) -> Outcome {
        let Some((last, proven)) = self.last else {
            return Outcome::Next;
        };
        let Some(since) = proven else {
            self.last = Some((last, Some(scene.now)));
            self.took_down = Some(last);
            return Outcome::Moved;
        };
        let next = self.queue.front().is_some_and(|(next, _)| scene.known.running(*next).is_some());
        if is_replaced && next && !scene.known.is_healing(last) {
            return Outcome::Next;
        }
        let limit = scene.limits().replace;
        if scene.passed(since, limit) {
            let limit = duration::format(limit);
            return Outcome::Stuck(format!(
                "{} was not healthy again within {limit}",
                scene.known.name(last)
            ));
        }
        Outcome::Waits
    }

    /// Whom it took down since the last call.
    pub(super) fn took_down(&mut self) -> Option<Ordinal> {
        self.took_down.take()
    }

    /// When it stops waiting.
    pub(super) fn timer(&self, replace: Duration) -> Option<Nanos> {
        self.last.and_then(|(_, since)| since).map(|since| after(since, replace))
    }
}

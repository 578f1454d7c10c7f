//! The independent search: Wing & Gong's algorithm with Lowe's memoisation.
//!
//! It knows nothing of zones, values or keys; it tries orders. Sources: Wing & Gong, *Testing and Verifying Concurrent
//! Objects*, 1993; Lowe, *Testing for Linearizability*, 2017. Exponential in the worst case, hence the limit.

use std::collections::HashSet;
use std::hash::Hash;

/// What the operations are applied to.
pub trait Sequential {
    /// A state of the object.
    type State: Clone + Eq + Hash;

    /// The state before all operations.
    fn initial(&self) -> Self::State;

    /// The state after operation number `operation`; none when it cannot have answered so in `state`.
    fn apply(&self, operation: usize, state: &Self::State) -> Option<Self::State>;
}

/// When an operation may have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Not before this.
    pub call: u64,
    /// Not after this.
    pub ret: u64,
    /// Whether it may also not have happened at all.
    pub optional: bool,
}

/// The answer of the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// There is a correct order.
    Linearizable,
    /// There is none.
    NotLinearizable,
    /// The limit was reached before the search ended.
    GaveUp,
}

/// Searches for an order of the operations, visiting at most `limit` configurations.
pub fn search<S: Sequential>(object: &S, intervals: &[Interval], limit: usize) -> Answer {
    let mut events = Events::new(intervals);
    let mut seen: HashSet<(Box<[u64]>, S::State)> = HashSet::new();
    let mut done = vec![0_u64; intervals.len().div_ceil(64)].into_boxed_slice();
    let mut missing = intervals.iter().filter(|interval| !interval.optional).count();
    let mut state = object.initial();
    let mut taken: Vec<(usize, S::State)> = Vec::new();
    let mut cursor = events.first();
    while missing > 0 {
        let call = match cursor {
            Some(Event::Call(operation)) => Some(operation),
            Some(Event::Return) | None => None,
        };
        if let Some(operation) = call {
            if let Some(after) = object.apply(operation, &state) {
                done[operation / 64] |= 1 << (operation % 64);
                if seen.insert((done.clone(), after.clone())) {
                    if seen.len() > limit {
                        return Answer::GaveUp;
                    }
                    taken.push((operation, std::mem::replace(&mut state, after)));
                    missing -= usize::from(!intervals[operation].optional);
                    events.lift(operation);
                    cursor = events.first();
                    continue;
                }
                done[operation / 64] &= !(1 << (operation % 64));
            }
            cursor = events.after_call(operation);
            continue;
        }
        // An operation would have to return before it happened: the last choice was wrong.
        let Some((operation, before)) = taken.pop() else {
            return Answer::NotLinearizable;
        };
        state = before;
        done[operation / 64] &= !(1 << (operation % 64));
        missing += usize::from(!intervals[operation].optional);
        events.unlift(operation);
        cursor = events.after_call(operation);
    }
    Answer::Linearizable
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Call(usize),
    Return,
}

/// Calls and returns by time, as a list from which an operation can be taken and put back (Knuth's dancing links).
struct Events {
    timeline: Vec<Event>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Of each operation's call and return; an optional operation has no return.
    places: Vec<(usize, Option<usize>)>,
}

/// Position 0 is the list's head; event `i` is at position `i + 1`.
const HEAD: usize = 0;

impl Events {
    fn new(intervals: &[Interval]) -> Self {
        let mut timed: Vec<(u64, bool, usize)> = Vec::with_capacity(intervals.len() * 2);
        for (operation, interval) in intervals.iter().enumerate() {
            timed.push((interval.call, false, operation));
            if !interval.optional {
                timed.push((interval.ret, true, operation));
            }
        }
        // A call at the moment of a return comes first: ties are concurrent.
        timed.sort_unstable();
        let length = timed.len() + 1;
        let mut places = vec![(HEAD, None); intervals.len()];
        let mut timeline = Vec::with_capacity(timed.len());
        for (index, (_, is_return, operation)) in timed.into_iter().enumerate() {
            if is_return {
                places[operation].1 = Some(index + 1);
                timeline.push(Event::Return);
            } else {
                places[operation].0 = index + 1;
                timeline.push(Event::Call(operation));
            }
        }
        Self {
            timeline,
            next: (0..length).map(|position| (position + 1) % length).collect(),
            previous: (0..length).map(|position| (position + length - 1) % length).collect(),
            places,
        }
    }

    fn at(&self, position: usize) -> Option<Event> {
        (position != HEAD).then(|| self.timeline[position - 1])
    }

    fn first(&self) -> Option<Event> {
        self.at(self.next[HEAD])
    }

    fn after_call(&self, operation: usize) -> Option<Event> {
        self.at(self.next[self.places[operation].0])
    }

    fn lift(&mut self, operation: usize) {
        let (call, ret) = self.places[operation];
        self.unlink(call);
        if let Some(ret) = ret {
            self.unlink(ret);
        }
    }

    fn unlift(&mut self, operation: usize) {
        let (call, ret) = self.places[operation];
        if let Some(ret) = ret {
            self.relink(ret);
        }
        self.relink(call);
    }

    fn unlink(&mut self, position: usize) {
        let (previous, next) = (self.previous[position], self.next[position]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn relink(&mut self, position: usize) {
        let (previous, next) = (self.previous[position], self.next[position]);
        self.next[previous] = position;
        self.previous[next] = position;
    }
}

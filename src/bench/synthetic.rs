//! A made-up journal of correct registers.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::api::Nanos;
use crate::journal::op::{Current, Function, OpLine, OpValue, Stage};

/// The number of the first operation's line: the header and the beginning of the baseline stand before it.
pub(super) const FIRST: u64 = 3;

/// How large the journal is.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Operations.
    pub operations: usize,
    /// Clients, with one operation in flight each.
    pub clients: u32,
    /// Keys.
    pub keys: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self { operations: 1_000_000, clients: 20, keys: 50 }
    }
}

/// What a client does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// It invokes an operation.
    Invoke,
    /// The register takes the operation.
    Act,
    /// The answer arrives.
    Answer,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    f: Function,
    key: usize,
    value: OpValue,
    answer: (Stage, OpValue, Current),
}

struct Journal {
    text: Vec<u8>,
    index: u64,
    keys: Vec<String>,
}

/// Makes a journal's operation lines up.
pub fn journal(shape: Shape, seed: u64) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let keys = (0..shape.keys).map(|key| format!("seatrial/r/{key}")).collect();
    let mut journal = Journal { text: Vec::with_capacity(shape.operations * 240), index: FIRST, keys };
    let mut states: Vec<Option<u64>> = vec![None; shape.keys as usize];
    let mut requests: Vec<Option<Request>> = vec![None; shape.clients as usize];
    let mut left = shape.operations;
    let mut last_value = 0;
    let mut agenda: BinaryHeap<Reverse<(Nanos, u32, Next)>> = (0..shape.clients)
        .map(|client| Reverse((Nanos::from(client) * 1_000, client, Next::Invoke)))
        .collect();
    while let Some(Reverse((now, client, next))) = agenda.pop() {
        let slot = &mut requests[client as usize];
        match (next, &mut *slot) {
            (Next::Invoke, _) if left == 0 => {}
            (Next::Invoke, _) => {
                left -= 1;
                last_value += 1;
                let request = ask(&mut random, &states, last_value);
                journal.write(now, client, Stage::Invoke, &request, request.value, Current::NotObserved);
                *slot = Some(request);
                agenda.push(Reverse((now + random.random_range(100_000..1_500_000), client, Next::Act)));
            }
            (Next::Act, Some(request)) => {
                let lost = random.random_ratio(1, 200);
                if !(lost && random.random_ratio(1, 2)) {
                    act(request, &mut states);
                }
                if lost {
                    request.answer = (Stage::Info, request.value, Current::NotObserved);
                }
                agenda.push(Reverse((now + random.random_range(100_000..1_500_000), client, Next::Answer)));
            }
            (Next::Answer, Some(request)) => {
                let (stage, value, current) = request.answer;
                journal.write(now, client, stage, request, value, current);
                agenda.push(Reverse((now + random.random_range(10_000..200_000), client, Next::Invoke)));
            }
            (Next::Act | Next::Answer, None) => unreachable!("a client acts on what it has invoked"),
        }
    }
    String::from_utf8(journal.text).expect("JSON is text")
}

/// Half of all operations read; compare-and-sets mostly expect what the key holds at that moment.
fn ask(random: &mut ChaCha8Rng, states: &[Option<u64>], new: u64) -> Request {
    let key = random.random_range(0..states.len());
    let (f, value) = match random.random_range(0..10) {
        0..5 => (Function::Read, OpValue::Null),
        5..8 => (Function::Write, OpValue::Number(new)),
        _ => (Function::Cas, OpValue::Pair(states[key], new)),
    };
    Request { f, key, value, answer: (Stage::Info, value, Current::NotObserved) }
}

fn act(request: &mut Request, states: &mut [Option<u64>]) {
    let state = &mut states[request.key];
    request.answer = match request.value {
        OpValue::Null => (Stage::Ok, state.map_or(OpValue::Null, OpValue::Number), Current::NotObserved),
        OpValue::Number(new) => {
            *state = Some(new);
            (Stage::Ok, request.value, Current::NotObserved)
        }
        OpValue::Pair(expect, new) if expect == *state => {
            *state = Some(new);
            (Stage::Ok, request.value, Current::NotObserved)
        }
        OpValue::Pair(..) => (Stage::Fail, request.value, Current::Observed(*state)),
    };
}

impl Journal {
    fn write(
        &mut self,
        time: Nanos,
        process: u32,
        stage: Stage,
        request: &Request,
        value: OpValue,
        current: Current,
    ) {
        let key = Cow::Borrowed(self.keys[request.key].as_str());
        let member = Some(process % 3);
        let line = OpLine {
            index: self.index,
            time,
            process,
            stage,
            f: request.f,
            key,
            value,
            current,
            member,
            intended: None,
            error: None,
        };
        line.write(&mut self.text);
        self.text.push(b'\n');
        self.index += 1;
    }
}

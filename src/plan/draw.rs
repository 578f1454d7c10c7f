//! What the run's seed decides: each draw is a function of (seed, step, occurrence) and of what it is for, so that whoever
//! draws twice is told the same, and one kind of draw says nothing of another.

use std::time::Duration;

use rand::rngs::ChaCha12Rng;
use rand::{Rng, SeedableRng};

use crate::experiment::{Alternative, Jitter, Step};

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Members, and what a fault draws for itself.
    Members = 0,
    /// One of several alternatives.
    Alternative = 1,
    /// The time since the occurrence before.
    Gap = 2,
}

/// A generator for this purpose of this occurrence alone. Each distinct key of ChaCha is a stream of its own; the name enters
/// by its FNV-1a hash.
pub(super) fn generator(purpose: Purpose, seed: u64, step: &str, occurrence: u32) -> ChaCha12Rng {
    let name = step.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&name.to_le_bytes());
    key[16..20].copy_from_slice(&occurrence.to_le_bytes());
    key[20] = purpose as u8;
    ChaCha12Rng::from_seed(key)
}

/// What an occurrence of a step does, with its place among the alternatives.
pub fn alternative(step: &Step, seed: u64, occurrence: u32) -> (usize, &Alternative) {
    let all = step.alternatives();
    let weights: u64 = all.iter().map(|one| u64::from(one.weight)).sum();
    // By a multiplication, which every version of every library does alike. The sum is far too small for its bias to be seen.
    let drawn = generator(Purpose::Alternative, seed, &step.name, occurrence).next_u64();
    let mut point = ((u128::from(drawn) * u128::from(weights)) >> 64) as u64;
    for (place, one) in all.iter().enumerate() {
        match point.checked_sub(u64::from(one.weight)) {
            Some(rest) => point = rest,
            None => return (place, one),
        }
    }
    (0, &all[0])
}

/// From the start of the occurrence before this one to its own, as it was drawn, in whole milliseconds.
pub fn gap(step: &Step, seed: u64, occurrence: u32) -> Duration {
    let every = step.repeat.every;
    let Some(jitter) = every.jitter else {
        return every.mean;
    };
    let mut source = generator(Purpose::Gap, seed, &step.name, occurrence);
    let mean = every.mean.as_nanos();
    let share = |part: u64| (mean * u128::from(part)) >> 64;
    let nanos = match jitter {
        Jitter::Uniform => mean / 2 + share(source.next_u64()),
        Jitter::Exponential => {
            let (whole, part) = exponential(&mut source);
            mean * u128::from(whole) + share(part)
        }
    };
    Duration::from_millis(u64::try_from(nanos / 1_000_000).unwrap_or(u64::MAX))
}

/// A draw from the exponential distribution with mean 1: its whole part, and the rest in parts of 2^64.
///
/// By comparisons alone (John von Neumann, "Various techniques used in connection with random digits", 1951), because a
/// logarithm differs in its last digit from machine to machine, and a seed must mean the same everywhere: of runs of ever
/// smaller numbers the first one of odd length gives the rest, and each one before it adds 1.
fn exponential(source: &mut impl Rng) -> (u32, u64) {
    let mut whole = 0;
    loop {
        let first = source.next_u64();
        let (mut last, mut length) = (first, 1);
        loop {
            let next = source.next_u64();
            if next >= last {
                break;
            }
            last = next;
            length += 1;
        }
        if length % 2 == 1 {
            return (whole, first);
        }
        whole += 1;
    }
}

#[cfg(test)]
mod tests;

//! What the run's seed decides: each draw is a function of (seed, step, occurrence) and of what it is for, so that whoever
//! draws twice is told the same, and one kind of draw says nothing of another.

use rand::rngs::ChaCha12Rng;
use rand::{Rng, SeedableRng};

use crate::experiment::{Alternative, Step};

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Members, and what a fault draws for itself.
    Members = 0,
    /// One of several alternatives.
    Alternative = 1,
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
    let mut point = (u128::from(drawn) * u128::from(weights) >> 64) as u64;
    for (place, one) in all.iter().enumerate() {
        match point.checked_sub(u64::from(one.weight)) {
            Some(rest) => point = rest,
            None => return (place, one),
        }
    }
    (0, &all[0])
}

#[cfg(test)]
mod tests;

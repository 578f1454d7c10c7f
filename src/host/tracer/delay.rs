//! How long a call is held, and which ones are.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha12Rng;
use rand_distr::{Distribution, Normal};
use serde::{Deserialize, Serialize};

/// The time for which each call is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Delay {
    /// Always the same.
    Fixed(Duration),
    /// Anything from the first to the second, each as likely.
    Uniform(Duration, Duration),
    /// Normally distributed with this mean and standard deviation; what would be below zero is zero.
    Normal(Duration, Duration),
    /// One of these, each as likely: what was measured elsewhere.
    Recorded(Vec<Duration>),
}

impl Delay {
    /// The next one.
    pub(in crate::host) fn draw(&self, random: &mut ChaCha12Rng) -> Duration {
        match self {
            Self::Fixed(time) => *time,
            Self::Uniform(least, most) => random.random_range(*least..=*least.max(most)),
            Self::Normal(mean, deviation) => {
                let drawn = Normal::new(mean.as_secs_f64(), deviation.as_secs_f64());
                let drawn = drawn.map_or(mean.as_secs_f64(), |normal| normal.sample(random));
                Duration::from_secs_f64(drawn.max(0.0))
            }
            Self::Recorded(times) => {
                let chosen = random.random_range(0..times.len().max(1));
                times.get(chosen).copied().unwrap_or_default()
            }
        }
    }
}

/// Whether a call is among the `percent` of a hundred that are held.
pub(in crate::host) fn is_chosen(percent: u8, random: &mut ChaCha12Rng) -> bool {
    random.random_range(0..100) < percent
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn mean(delay: &Delay) -> f64 {
        let mut random = ChaCha12Rng::seed_from_u64(7);
        (0..10_000).map(|_| delay.draw(&mut random).as_secs_f64()).sum::<f64>() / 10_000.0
    }

    #[test]
    fn draws_what_was_asked_for() {
        let milli = Duration::from_millis;
        for (delay, expected) in [
            (Delay::Fixed(milli(20)), 0.020),
            (Delay::Uniform(milli(10), milli(30)), 0.020),
            (Delay::Normal(milli(20), milli(3)), 0.020),
            (Delay::Recorded(vec![milli(10), milli(10), milli(40)]), 0.020),
        ] {
            assert!((mean(&delay) - expected).abs() < 0.0005, "{delay:?}: {}", mean(&delay));
        }
    }

    #[test]
    fn holds_as_many_of_a_hundred_as_asked() {
        let mut random = ChaCha12Rng::seed_from_u64(7);
        let mut held = |percent| (0..10_000).filter(|_| is_chosen(percent, &mut random)).count();
        assert_eq!((held(0), held(100)), (0, 10_000));
        assert!((2_800..3_200).contains(&held(30)));
    }
}

//! Values that budgets compare with: exact, never floating-point, so that a verdict is the same on every machine.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Unit, duration, scalar};

/// A bound of a budget: a duration, a count, or a ratio in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Amount {
    /// `50ms`
    Time(Duration),
    /// `3`
    Count(u64),
    /// `0.34` or `99.9%`, in millionths.
    Ratio(u64),
}

/// All of a set, in millionths.
const ALL: u64 = 1_000_000;

impl Amount {
    /// In the unit of an SLI: millionths, events, events per second, or nanoseconds.
    pub fn in_unit(self, unit: Unit) -> u64 {
        match (unit, self) {
            (_, Self::Time(time)) => u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
            (Unit::Availability | Unit::Condition | Unit::Usage, Self::Count(count)) => {
                count.saturating_mul(ALL)
            }
            (Unit::Events | Unit::Rate | Unit::Latency | Unit::Property, Self::Count(count)) => count,
            (_, Self::Ratio(millionths)) => millionths,
        }
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(percent) = text.strip_suffix('%') {
            return decimal(percent.trim(), 10_000)
                .map(Self::Ratio)
                .ok_or_else(|| format!("`{text}` is not a percentage: write 99.9%"));
        }
        if let Ok(count) = text.parse() {
            return Ok(Self::Count(count));
        }
        if let Some(ratio) = decimal(text, 1_000_000) {
            return Ok(Self::Ratio(ratio));
        }
        duration::parse(text).map(Self::Time).map_err(|_| {
            format!(
                "`{text}` is not a value: write a duration (50ms), a ratio (0.34 or 99.9%) or a count (3)"
            )
        })
    }
}

/// A decimal number without exponent, times `scale`, cut off below one.
pub(super) fn decimal(text: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part = match fraction {
        "" => 0,
        digits => digits.parse::<u64>().ok()? * scale / 10u64.pow(u32::try_from(digits.len()).ok()?),
    };
    Some(whole * scale + part)
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => f.write_str(&duration::format(*time)),
            Self::Count(count) => write!(f, "{count}"),
            Self::Ratio(millionths) => {
                let (whole, part) = (millionths / 10_000, millionths % 10_000);
                match part {
                    0 => write!(f, "{whole}%"),
                    part => write!(f, "{whole}.{}%", format!("{part:04}").trim_end_matches('0')),
                }
            }
        }
    }
}

/// A factor against the baseline, in thousandths: `2x`, `1.5x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Factor(u64);

impl Factor {
    /// The baseline's value times this factor.
    pub fn of(self, baseline: u64) -> u64 {
        u64::try_from(u128::from(baseline) * u128::from(self.0) / 1000).unwrap_or(u64::MAX)
    }
}

impl FromStr for Factor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.trim()
            .strip_suffix('x')
            .and_then(|number| decimal(number, 1000))
            .filter(|&thousandths| thousandths > 0)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a factor: write 2x or 1.5x"))
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{}x", self.0 / 1000),
            part => write!(f, "{}.{}x", self.0 / 1000, format!("{part:03}").trim_end_matches('0')),
        }
    }
}

/// Reads a scalar of any YAML type as its text.
struct Scalar<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = String>> serde::de::Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a single value")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

/// Makes a type a scalar of documents through its text.
macro_rules! scalar {
    ($($type:ty = $words:literal),* $(,)?) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Scalar::<Self>(std::marker::PhantomData))
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let structural = json_schema!({ "x-kubernetes-preserve-unknown-fields": true });
                scalar::number_or_text(generator, $words, structural)
            }
        }
    )*};
}

scalar!(
    Amount = "duration, count or share, as 50ms, 3, 0.34 or 99.9%",
    Factor = "factor, as 2x",
    super::Bytes = "bytes, as 64Ki or 1Mi",
    super::Count = "number, percentage, minority, majority or all",
    super::Quantile = "quantile, as 0.5 or 0.99",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["50ms", "3", "99.9%", "34%", "0.01%"] {
            assert_eq!(text.parse::<Amount>().expect(text).to_string(), text);
        }
        assert_eq!("0.34".parse(), Ok(Amount::Ratio(340_000)));
        assert_eq!("1.5x".parse::<Factor>().expect("factor").of(10), 15);
        assert_eq!("1.5x".parse::<Factor>().expect("factor").to_string(), "1.5x");
    }

    #[test]
    fn refuses_what_is_no_value() {
        for text in ["", "fast", "-1", "1e9%", "50 ms"] {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
        for text in ["", "2", "0x", "x", "-1x"] {
            assert!(text.parse::<Factor>().is_err(), "{text}");
        }
    }
}

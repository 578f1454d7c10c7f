//! Rates of traffic in documents: bits per second with a unit, as tc(8) and people write them. A number without a unit is
//! refused, because bits and bytes are both plausible.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::amount::decimal;
use super::scalar;

/// The units, largest first; decimal, as on a network.
const UNITS: [(&str, u64); 3] = [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000)];

/// Bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(u64);

impl Rate {
    /// So many bits per second.
    pub const fn of_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// How many bytes per second that is.
    pub const fn bytes(self) -> u64 {
        self.0 / 8
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = UNITS.iter().find_map(|(unit, scale)| decimal(text.trim().strip_suffix(unit)?, *scale));
        read.map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not a rate: write bits per second with a unit, such as 512kbit, 10mbit or 1gbit"
            )
        })
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().find(|(_, scale)| self.0.is_multiple_of(*scale));
        let (unit, scale) = exact.copied().unwrap_or(("kbit", 1_000));
        match self.0 % scale {
            0 => write!(f, "{}{unit}", self.0 / scale),
            rest => write!(f, "{}.{}{unit}", self.0 / scale, format!("{rest:03}").trim_end_matches('0')),
        }
    }
}

impl JsonSchema for Rate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = json_schema!({ "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(kbit|mbit|gbit)$" });
        scalar::titled(generator, "rate, as 512kbit or 10mbit", schema)
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn reads_what_it_writes() {
        for (text, bytes) in [
            ("8kbit", 1_000),
            ("512kbit", 64_000),
            ("10mbit", 1_250_000),
            ("1gbit", 125_000_000),
            ("12.5kbit", 1562),
        ] {
            let rate: Rate = text.parse().expect(text);
            assert_eq!((rate.to_string().as_str(), rate.bytes()), (text, bytes));
        }
        assert_eq!("1.5mbit".parse::<Rate>().expect("a rate").to_string(), "1500kbit");
        assert_eq!(serde_json::to_string(&Rate::of_bits(10_000_000)).expect("serialises"), r#""10mbit""#);
    }

    #[test]
    fn refuses_what_is_no_rate() {
        for text in ["", "10", "10MB", "10 m", "-1mbit", "fast", "1e3mbit"] {
            let error = text.parse::<Rate>().expect_err(text);
            assert!(error.contains("such as 512kbit"), "{error}");
        }
        assert!(serde_json::from_str::<Rate>("10").is_err());
    }
}

//! Durations in documents: a number with a unit, as Kubernetes and Go write them. A number without a unit is refused,
//! because seconds and milliseconds are both plausible.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer};

use super::scalar;

/// The longest duration a document may name: a year.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// The units, longest first.
const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads `1h30m`, `10s`, `1.5s`, `250ms`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let refuse = |why: &str| format!("`{text}` {why}: write a number with a unit, such as 500ms, 10s or 2m");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(refuse("is not a duration"));
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let is_followed = tail.starts_with(|next: char| next != '.' && !next.is_ascii_digit());
        if number.is_empty() || unit.is_empty() && is_followed {
            return Err(refuse("is not a duration"));
        }
        if unit.is_empty() {
            return Err(refuse("has no unit"));
        }
        let &(_, scale) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(|| refuse(&format!("has the unknown unit `{unit}`")))?;
        total = total.saturating_add(scaled(number, scale).ok_or_else(|| refuse("is not a duration"))?);
        rest = tail;
    }
    match u64::try_from(total).map(Duration::from_nanos) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) | Err(_) => Err(format!("`{text}` is longer than a year")),
    }
}

/// `number` (digits with at most one point) times `scale`, exactly; what is finer than a nanosecond is cut off.
fn scaled(number: &str, scale: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || whole.len() > 18 || fraction.len() > 18 {
        return None;
    }
    let mut value = whole.parse::<u128>().ok()? * u128::from(scale);
    if !fraction.is_empty() {
        value += fraction.parse::<u128>().ok()? * u128::from(scale)
            / 10u128.pow(u32::try_from(fraction.len()).ok()?);
    }
    Some(value)
}

/// Writes a duration so that [`parse`] gives it back exactly: `1h30m`, `10s`, `1s500ms`.
pub fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, scale) in UNITS {
        let count = rest / scale;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            rest %= scale;
        }
    }
    text
}

/// A duration in a schema, for `#[schemars(with = "duration::Text")]`.
pub struct Text;

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let schema = json_schema!({ "type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(h|m|s|ms|us|ns))+$" });
        scalar::titled(generator, "duration, as 500ms, 10s or 2m", schema)
    }
}

/// For `#[serde(with = "duration")]`.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// For `#[serde(with = "duration")]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Written;
    impl serde::de::Visitor<'_> for Written {
        type Value = Duration;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a duration such as 500ms, 10s or 2m")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
            parse(text).map_err(E::custom)
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Duration, E> {
            parse(&number.to_string()).map_err(E::custom)
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Duration, E> {
            parse(&number.to_string()).map_err(E::custom)
        }

        fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Duration, E> {
            parse(&number.to_string()).map_err(E::custom)
        }
    }
    deserializer.deserialize_any(Written)
}

/// For `#[serde(with = "duration::optional")]`.
pub mod optional {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    #[derive(Deserialize)]
    struct Wrapped(#[serde(with = "super")] Duration);

    /// Writes the duration or nothing.
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a duration; an explicit null counts as left out.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|wrapped| wrapped.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["1h30m", "10s", "1s500ms", "250ms", "0s", "1us", "8784h"] {
            assert_eq!(format(parse(text).expect(text)), text);
        }
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
    }

    #[test]
    fn refuses_a_number_without_a_unit_and_says_what_to_write() {
        for text in ["10", "", "s", "10 s", "5 parsecs", "-1s", "1..5s", "9000h", "99999999999999999999h"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("10").expect_err("no unit").contains("has no unit: write a number with a unit"));
        assert!(parse("2 seconds").expect_err("a space").contains("is not a duration: write a number"));
    }
}

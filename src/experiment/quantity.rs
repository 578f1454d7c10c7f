//! Quantities of Kubernetes (`1Gi`, `100M`, `1e3`, `500m`) without floating-point numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A number of bytes, written as a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        bytes(text)
            .map(Self)
            .map_err(|why| format!("`{text}` {why}: write a number of bytes such as 1Mi or 500k"))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = [("Gi", 30), ("Mi", 20), ("Ki", 10)]
            .into_iter()
            .find(|(_, power)| self.0 > 0 && self.0.trailing_zeros() >= *power);
        match whole {
            Some((suffix, power)) => write!(f, "{}{suffix}", self.0 >> power),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Reads a number of bytes as [`Bytes`] are written, for `#[serde(deserialize_with)]` of what is kept as a number.
pub fn read_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Bytes::deserialize(deserializer).map(|bytes| bytes.0)
}

/// Why a text is no number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoBytes {
    /// Not written as one.
    #[error("is no quantity")]
    Malformed,
    /// Below zero.
    #[error("is negative")]
    Negative,
    /// More than there can be.
    #[error("is more than 8 EiB")]
    TooLarge,
    /// More digits than are read.
    #[error("has more than 20 digits")]
    TooManyDigits,
}

/// More than the largest number of bytes has.
const MAX_DIGITS: usize = 20;

/// The bytes of a quantity; a part of a byte counts as a whole one, as in Kubernetes.
pub fn bytes(text: &str) -> Result<u64, NoBytes> {
    scaled(text, 0)
}

/// The thousandths of a quantity, as processors are counted; a part of one counts as a whole one.
pub fn thousandths(text: &str) -> Result<u64, NoBytes> {
    scaled(text, 3)
}

/// A quantity times ten to the power of `more`, rounded up.
fn scaled(text: &str, more: i32) -> Result<u64, NoBytes> {
    let (is_negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if text.len() > 64 {
        return Err(NoBytes::TooManyDigits);
    }
    let end =
        unsigned.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(NoBytes::Malformed);
    }
    let (binary, decimal) = scale(suffix).ok_or(NoBytes::Malformed)?;
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(0);
    }
    if is_negative {
        return Err(NoBytes::Negative);
    }
    if digits.len() > MAX_DIGITS {
        return Err(NoBytes::TooManyDigits);
    }

    // The value is digits · 10^exponent · 2^binary, and 10^20 · 2^60 fits 128 bits.
    let number: u128 = digits.parse().map_err(|_| NoBytes::Malformed)?;
    let number = number << binary;
    let exponent = decimal + more - i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let value = match (u32::try_from(exponent), exponent.unsigned_abs()) {
        (Ok(exponent), _) => 10_u128.checked_pow(exponent).and_then(|power| number.checked_mul(power)),
        (Err(_), below) => Some(10_u128.checked_pow(below).map_or(1, |power| number.div_ceil(power))),
    };
    value.and_then(|value| i64::try_from(value).ok()).map(i64::unsigned_abs).ok_or(NoBytes::TooLarge)
}

/// The power of two and the power of ten of a suffix.
fn scale(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let exponent: i32 = exponent.parse().ok()?;
            (0, exponent.clamp(-1_000_000, 1_000_000))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Bytes, NoBytes, bytes, thousandths};

    #[test]
    fn writes_what_it_reads_back_in_the_largest_whole_unit() {
        for text in ["1Mi", "512Ki", "3Gi", "1000", "0", "1025"] {
            assert_eq!(text.parse::<Bytes>().expect(text).to_string(), text);
        }
        assert_eq!("0.5Mi".parse::<Bytes>().expect("bytes").to_string(), "512Ki");
        let why = "1MiB".parse::<Bytes>().expect_err("no suffix");
        assert!(why.contains("write a number of bytes such as 1Mi"), "{why}");
    }

    #[test]
    fn reads_every_suffix_exactly() {
        for (text, expected) in [
            ("0", 0),
            ("1", 1),
            ("1Ki", 1024),
            ("1.5Gi", 1_610_612_736),
            ("100M", 100_000_000),
            ("1e3", 1000),
            ("1E3", 1000),
            ("1E", 1_000_000_000_000_000_000),
            ("12e-1", 2),
            ("+5k", 5000),
            (".5Ki", 512),
            ("5.Ki", 5120),
            ("0.1Gi", 107_374_183),
            ("7Ei", 7 << 60),
            ("9223372036854775807", i64::MAX.unsigned_abs()),
            ("1.00000000000000000000000000Ki", 1024),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn counts_processors_in_thousandths() {
        for (text, expected) in
            [("1", 1000), ("500m", 500), ("0.1", 100), ("1.5", 1500), ("2500u", 3), ("1k", 1_000_000)]
        {
            assert_eq!(thousandths(text), Ok(expected), "{text}");
        }
        assert_eq!(thousandths("many"), Err(NoBytes::Malformed));
    }

    #[test]
    fn rounds_parts_of_a_byte_up_as_kubernetes_does() {
        for (text, expected) in
            [("500m", 1), ("1500m", 2), ("1n", 1), ("1e-30", 1), ("0.0001Ki", 1), ("2000m", 2)]
        {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_number_of_bytes() {
        for text in ["", "Gi", "1GiB", "1 Gi", "1gi", "1.2.3", ".", "-", "e3", "1e", "1e1.5", "0x10", "१"] {
            assert_eq!(bytes(text), Err(NoBytes::Malformed), "{text}");
        }
        assert_eq!(bytes("-1Gi"), Err(NoBytes::Negative));
        for text in ["8Ei", "1e19", "9223372036854775808", "1e999999999"] {
            assert_eq!(bytes(text), Err(NoBytes::TooLarge), "{text}");
        }
        assert_eq!(bytes("1.234567890123456789012345"), Err(NoBytes::TooManyDigits));
    }
}

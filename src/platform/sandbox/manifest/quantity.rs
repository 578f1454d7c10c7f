//! Quantities of Kubernetes (`1Gi`, `100M`, `1e3`, `500m`) without floating-point numbers.

/// Why a text is no number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoBytes {
    #[error("is no quantity")]
    Malformed,
    #[error("is negative")]
    Negative,
    #[error("is more than 8 EiB")]
    TooLarge,
    #[error("has more than 20 digits")]
    TooManyDigits,
}

/// More than the largest number of bytes has.
const MAX_DIGITS: usize = 20;

/// The bytes of a quantity; a part of a byte counts as a whole one, as in Kubernetes.
pub(super) fn bytes(text: &str) -> Result<u64, NoBytes> {
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
    let exponent = decimal - i32::try_from(fraction.len()).unwrap_or(i32::MAX);
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
    use super::{NoBytes, bytes};

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

//! Numbers as people read them, made from integers.

use crate::api::{Nanos, Ordinal};
use crate::experiment::Unit;

/// `3.2 s`, `45 ms`, `0.8 ms`.
pub fn time(nanos: Nanos) -> String {
    let (whole, tenth, unit) = match nanos {
        0 => return "0 s".into(),
        1..1_000_000 => (nanos / 1_000, 0, "µs"),
        1_000_000..10_000_000 => (nanos / 1_000_000, nanos / 100_000 % 10, "ms"),
        10_000_000..1_000_000_000 => (nanos / 1_000_000, 0, "ms"),
        1_000_000_000.. => (nanos / 1_000_000_000, nanos / 100_000_000 % 10, "s"),
    };
    match tenth {
        0 => format!("{whole} {unit}"),
        tenth => format!("{whole}.{tenth} {unit}"),
    }
}

/// A time that somebody wrote, with all of its digits: `1.25 s`, `180 s`.
pub fn exactly(nanos: Nanos) -> String {
    let (scale, unit) = match nanos {
        0 => return "0 s".into(),
        1..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        1_000_000_000.. => (1_000_000_000, "s"),
    };
    format!("{} {unit}", decimal(nanos, scale))
}

/// So many of `scale`, a power of ten, with as many digits as that takes.
fn decimal(number: u64, scale: u64) -> String {
    let (whole, part) = (number / scale, number % scale);
    if part == 0 {
        return whole.to_string();
    }
    let digits = scale.ilog10() as usize;
    format!("{whole}.{}", format!("{part:0digits$}").trim_end_matches('0'))
}

/// A moment of the run: `at 12.3 s`.
pub fn at(when: Nanos) -> String {
    format!("at {}", moment(when))
}

/// A moment of the run without its preposition: `12.3 s`.
pub fn moment(when: Nanos) -> String {
    format!("{}.{} s", when / 1_000_000_000, when / 100_000_000 % 10)
}

/// Millionths: `66.7 %`. Cut off, never rounded up, so that nothing below 100 % is shown as 100 %.
pub fn ratio(millionths: u64) -> String {
    match millionths / 1_000 % 10 {
        0 => format!("{} %", millionths / 10_000),
        tenth => format!("{}.{tenth} %", millionths / 10_000),
    }
}

/// So many in a second, from thousandths: `209`, `3.5`, `less than 0.1`.
pub fn rate(thousandths: u64) -> String {
    match thousandths {
        0 => "0".into(),
        1..100 => "less than 0.1".into(),
        100..10_000 => format!("{}.{}", thousandths / 1_000, thousandths / 100 % 10),
        10_000.. => (thousandths / 1_000).to_string(),
    }
}

/// A value in its unit.
pub fn value(unit: Unit, value: u64) -> String {
    match (unit, value) {
        (Unit::Latency, u64::MAX) => "no end".into(),
        (Unit::Latency, nanos) => time(nanos),
        (Unit::Availability | Unit::Usage, millionths) => ratio(millionths),
        (Unit::Rate, count) => format!("{count} per second"),
        (Unit::Events | Unit::Property, count) => count.to_string(),
        (Unit::Condition, 0) => "lost".into(),
        (Unit::Condition, _) => "held".into(),
    }
}

/// A bound in the unit of what is held to it, with all of its digits: cut off, it would be another bound.
pub fn bound(unit: Unit, bound: u64) -> String {
    match unit {
        Unit::Latency if bound < u64::MAX => exactly(bound),
        Unit::Availability | Unit::Usage => format!("{} %", decimal(bound, 10_000)),
        Unit::Latency | Unit::Rate | Unit::Events | Unit::Property | Unit::Condition => value(unit, bound),
    }
}

/// `member 2`, `members 0 and 2`, `members 0, 1 and 2`.
pub fn members(ordinals: &[Ordinal]) -> String {
    match ordinals {
        [] => "no member".into(),
        [only] => format!("member {only}"),
        [most @ .., last] => {
            let most: Vec<String> = most.iter().map(ToString::to_string).collect();
            format!("members {} and {last}", most.join(", "))
        }
    }
}

/// The same of a further StatefulSet, whose pods are told by their names: `zookeeper-2`, `zookeeper-0 and zookeeper-2`; of
/// the target where there is none.
pub fn members_of(set: Option<&str>, ordinals: &[Ordinal]) -> String {
    let Some(set) = set else { return members(ordinals) };
    let pods: Vec<String> = ordinals.iter().map(|ordinal| format!("{set}-{ordinal}")).collect();
    match pods.as_slice() {
        [] => "no pod".into(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A character that is no text: it moves a cursor, breaks a line, or has no place in XML.
pub fn is_no_text(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
}

/// Text that is nothing but text, in one line.
pub fn plain(text: &str) -> String {
    text.replace(is_no_text, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_times_with_as_many_digits_as_matter() {
        assert_eq!(time(3_249_000_000), "3.2 s");
        assert_eq!(time(45_600_000), "45 ms");
        assert_eq!(time(1_250_000), "1.2 ms");
        assert_eq!(time(20_000_000_000), "20 s");
        assert_eq!(time(900), "0 µs");
    }

    #[test]
    fn says_bounds_in_the_units_of_what_is_measured_and_cuts_nothing_off() {
        let times = [0, 1_500, 50_000_000, 10_500_000, 1_250_000_000, 180_000_000_000];
        assert_eq!(times.map(exactly), ["0 s", "1.5 µs", "50 ms", "10.5 ms", "1.25 s", "180 s"]);
        assert_eq!(bound(Unit::Latency, 200_000_000), value(Unit::Latency, 200_000_000));
        assert_eq!(bound(Unit::Availability, 999_500), "99.95 %");
        assert_eq!(bound(Unit::Usage, 800_000), "80 %");
        assert_eq!(bound(Unit::Rate, 40), "40 per second");
    }

    #[test]
    fn never_shows_less_than_all_as_all() {
        assert_eq!(ratio(999_999), "99.9 %");
        assert_eq!(ratio(1_000_000), "100 %");
    }

    #[test]
    fn never_shows_something_as_nothing() {
        assert_eq!([0, 1, 100, 3_599, 209_900].map(rate), ["0", "less than 0.1", "0.1", "3.5", "209"]);
    }

    #[test]
    fn names_members_as_a_person_would() {
        assert_eq!(members(&[2]), "member 2");
        assert_eq!(members(&[0, 1, 2]), "members 0, 1 and 2");
        assert_eq!(members_of(None, &[2]), "member 2");
        assert_eq!(members_of(Some("zookeeper"), &[0, 1, 2]), "zookeeper-0, zookeeper-1 and zookeeper-2");
    }
}

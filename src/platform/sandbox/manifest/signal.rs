//! Signals by their names.

use nix::sys::signal::Signal;

/// The number of a signal that is named as manifests and images do: `SIGINT`, `INT` or `2`.
pub(super) fn number(name: &str) -> Option<i32> {
    if let Ok(number) = name.parse::<i32>() {
        return Signal::try_from(number).ok().map(|signal| signal as i32);
    }
    let name = if name.starts_with("SIG") { name.to_owned() } else { format!("SIG{name}") };
    name.parse::<Signal>().ok().map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn knows_signals_by_name_and_by_number() {
        for (name, expected) in [
            ("SIGINT", Some(2)),
            ("QUIT", Some(3)),
            ("15", Some(15)),
            ("SIGRTMIN+3", None),
            ("", None),
            ("0", None),
        ] {
            assert_eq!(number(name), expected, "{name}");
        }
    }
}

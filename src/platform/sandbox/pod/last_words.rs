//! Why a container has ended, for a person: how its program ended, and what it wrote last.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use nix::sys::signal::Signal;

use crate::platform::sandbox::container::HEADLINE;

/// As much of a log's end as is looked at.
const LOOKED_AT: u64 = 8 * 1024;
/// Lines that are told: a panic takes three, and an error rarely as many.
const LINES: usize = 3;
/// Characters of a line that are told: some stores write a page in one.
const LONGEST: usize = 160;

/// `exit code 1: error: cannot listen on 0.0.0.0:7400`, as far as the log of the start that ended says anything.
pub fn of(exit_code: i32, log: &Path) -> String {
    // Of what a shell or a runtime tells in the same way: 128 and the number of a signal (bash(1)).
    let signal = exit_code.checked_sub(128).and_then(|number| Signal::try_from(number).ok());
    let signal = signal.map(|signal| format!(" ({signal})")).unwrap_or_default();
    // A log that cannot be read has no words.
    let said = end_of(log).map(|text| last_lines(&text)).unwrap_or_default();
    match said.as_str() {
        "" => format!("exit code {exit_code}{signal}"),
        said => format!("exit code {exit_code}{signal}: {said}"),
    }
}

fn end_of(log: &Path) -> io::Result<String> {
    let mut log = File::open(log)?;
    let length = log.seek(SeekFrom::End(0))?;
    log.seek(SeekFrom::Start(length.saturating_sub(LOOKED_AT)))?;
    let mut bytes = Vec::new();
    log.take(LOOKED_AT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines that this start wrote, in one.
fn last_lines(text: &str) -> String {
    let own = text.lines().rev().take_while(|line| !line.starts_with(HEADLINE));
    let mut lines: Vec<String> =
        own.map(str::trim).filter(|line| !line.is_empty()).take(LINES).map(shortened).collect();
    lines.reverse();
    lines.join(" | ")
}

fn shortened(line: &str) -> String {
    let plain = line.chars().filter(|character| !character.is_control());
    let mut short: String = plain.clone().take(LONGEST).collect();
    if plain.count() > LONGEST {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(exit_code: i32, text: &str) -> String {
        let log = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        std::fs::write(log.path(), text).expect("writable");
        of(exit_code, log.path())
    }

    #[test]
    fn tells_what_the_start_that_ended_wrote_last() {
        let text = "--- start 1 of db\nearlier\n--- start 2 of db\none\n\ntwo\n  three  \n\u{1b}four\n";
        assert_eq!(told(1, text), "exit code 1: two | three | four");
        assert_eq!(told(1, "--- start 1 of db\nearlier\n--- start 2 of db\n"), "exit code 1");
        assert_eq!(
            told(0, &format!("{}last", "x".repeat(9_000))),
            format!("exit code 0: {}…", "x".repeat(LONGEST))
        );
    }

    #[test]
    fn names_a_signal() {
        assert_eq!(told(139, ""), "exit code 139 (SIGSEGV)");
        assert_eq!(of(255, Path::new("/no/such/log")), "exit code 255");
    }
}

//! What people read before they run anything: help, and the table of exit codes.

use seatrial::cli::exit::Exit;

use crate::e2e_fixture::{Desk, shipped, text_of};

/// The help of a command; checked in, so that a change of it is seen.
fn help(arguments: &[&str]) -> String {
    let desk = Desk::new();
    let output = desk
        .command(&[arguments, &["--help"]].concat())
        .env("COLUMNS", "100")
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).expect("it is text")
}

#[test]
fn every_command_explains_itself() {
    insta::assert_snapshot!("help", help(&[]));
    let commands = [
        "run", "init", "validate", "plan", "faults", "slis", "stores", "schema", "judge", "report",
        "compare", "revert", "sandbox", "bench", "soak", "man",
    ];
    for command in commands {
        insta::assert_snapshot!(format!("help_{command}"), help(&[command]));
    }
    for command in ["up", "down", "ls"] {
        insta::assert_snapshot!(format!("help_sandbox_{command}"), help(&["sandbox", command]));
    }
}

#[test]
fn help_names_every_exit_code() {
    let text: String = help(&[]).split_whitespace().collect::<Vec<_>>().join(" ");
    for (code, meaning) in Exit::ALL.map(Exit::meaning) {
        assert!(text.contains(&format!("{code} {meaning}")), "{code} {meaning}: {text}");
    }
}

#[test]
fn the_readme_has_the_exit_codes_that_there_are() {
    let readme = text_of(&shipped("README.md"));
    let rows: Vec<(u8, String)> = readme
        .lines()
        .skip_while(|line| !is_row(line, "code", "meaning"))
        .skip(2)
        .map_while(|line| line.trim().strip_prefix('|')?.strip_suffix('|'))
        .map(|row| {
            let (code, meaning) = row.split_once('|').expect("a row has two cells");
            let code = code.trim().trim_matches('`').parse().expect("a code is a number");
            (code, meaning.trim().to_owned())
        })
        .collect();
    let known = Exit::ALL.map(Exit::meaning).map(|(code, meaning)| (code, meaning.to_owned()));
    assert_eq!(rows, known);
}

/// Whether a line is a row of a table with these two cells.
fn is_row(line: &str, first: &str, second: &str) -> bool {
    line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).eq([first, second])
}

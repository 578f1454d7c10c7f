//! Tests that need a process of their own: another user, a process that is killed, one that enters namespaces.
//!
//! Such a test starts this test binary again for itself alone, and does the other part there. So every test that is
//! listed tests something, and none is listed as ignored.

use std::process::{Command, Output};

/// The arguments by which this binary runs one test alone; `test` is its path, such as `module::name`.
pub fn alone(test: &str) -> [&str; 3] {
    ["--exact", test, "--nocapture"]
}

/// This binary, for one test alone.
pub fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this is a program"));
    command.args(alone(test));
    command
}

/// What the other part printed. Fails unless it was found, ran, and passed.
#[track_caller]
pub fn passed(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains(" 1 passed"), "{text}{errors}");
    text
}

//! What commands say: data on standard output, everything else on standard error. A reader that goes away is nobody's
//! problem.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::args::Format;
use super::exit::Exit;
use crate::report::paint;
use crate::report::wrap::{width, wrap};
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
use crate::spec::problem::Problem;
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
use crate::spec::{ACCEPT_ANNOTATION, Warning};

/// Prints data.
pub fn data(text: impl Display) {
    let _ = write!(std::io::stdout().lock(), "{text}");
}

/// Prints data for a person: within the width of a terminal, and with its colours.
pub fn report(text: &str) {
    let stdout = std::io::stdout();
    let shown = if stdout.is_terminal() { wrap(text, width()) } else { text.to_owned() };
    data(if paint::is_wanted(&stdout) { paint::beginnings(&shown) } else { shown });
}

/// Prints data as the person asked for it.
pub fn formatted(what: &(impl Display + Serialize), format: Format) -> Result<(), Exit> {
    let text = match format {
        Format::Text => Ok(what.to_string()),
        Format::Json => serde_json::to_string_pretty(what)
            .map(|text| text + "\n")
            .map_err(|error| failure(&error, Exit::Unexpected)),
        Format::Yaml => serde_yaml::to_string(what).map_err(|error| failure(&error, Exit::Unexpected)),
    };
    text.map(data)
}

/// Says something to the person.
pub fn say(text: impl Display) {
    let stderr = std::io::stderr();
    let text = text.to_string();
    let shown = if paint::is_wanted(&stderr) { paint::beginnings(&text) } else { text };
    let _ = writeln!(stderr.lock(), "{shown}");
}

/// Says what went wrong, and how the command ends for it.
pub fn error(text: impl Display, exit: Exit) -> Exit {
    say(format_args!("error: {text}"));
    exit
}

/// Says an error with its causes.
pub fn failure(error: &dyn std::error::Error, exit: Exit) -> Exit {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    self::error(text, exit)
}

/// Says every problem of the files.
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
pub fn problems(problems: &[Problem]) -> Exit {
    for problem in problems {
        say(problem);
    }
    let count = problems.len();
    error(
        format_args!("{count} problem{} found, nothing was started", if count == 1 { "" } else { "s" }),
        Exit::Invalid,
    )
}

/// Says what is valid and probably not meant. It changes nothing else.
#[cfg(any(feature = "kubernetes", feature = "sandbox"))]
pub fn warnings(warnings: &[Warning]) {
    for warning in warnings {
        say(warning);
    }
    if !warnings.is_empty() {
        hint(format_args!(
            "what is meant is accepted by its name: metadata.annotations: {{{ACCEPT_ANNOTATION}: {}}}",
            warnings[0].lint
        ));
    }
}

/// Gives advice.
pub fn hint(text: impl Display) {
    say(format_args!("hint: {text}"));
}

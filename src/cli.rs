//! The command line: arguments in, exit codes out. The edges: they wire things together and decide nothing.

pub mod args;
pub mod exit;
pub mod input;
mod internal;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Command};
use self::exit::Exit;

/// Everything that the binary does. A process of Seatrial itself never gets as far as the parser of people's words.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = internal::main(&arguments) {
        return code;
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version are told the same way as mistakes; printing to a closed pipe is nobody's problem.
            let _ = told.print();
            return if told.use_stderr() { Exit::Usage } else { Exit::Pass }.into();
        }
    };
    match cli.command {
        #[cfg(feature = "refkv")]
        Command::Refkv(options) => internal::refkv(options),
        _ => Exit::Usage.into(),
    }
}

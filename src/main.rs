//! The `seatrial` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(word) if word == seatrial::undo::guardian::SUBCOMMAND => {
            seatrial::undo::guardian::guardian_main(arguments)
        }
        Some(_) | None => ExitCode::from(2),
    }
}

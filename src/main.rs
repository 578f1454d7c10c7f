//! The `seatrial` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default();
    match seatrial::platform::sandbox::hidden_main(&name.to_string_lossy(), arguments) {
        Some(code) => ExitCode::from(code.clamp(0, 255) as u8),
        None => ExitCode::from(2),
    }
}

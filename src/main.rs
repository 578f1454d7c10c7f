//! The `seatrial` binary.

fn main() -> std::process::ExitCode {
    seatrial::cli::main(std::env::args_os())
}

//! Processes of Seatrial itself: the guardian, a sandbox's init, a pod's first process, the node.

use std::ffi::OsString;
use std::process::ExitCode;

/// Becomes such a process if the arguments say so.
pub(super) fn main(arguments: &[OsString]) -> Option<ExitCode> {
    let word = arguments.get(1)?;
    let rest = arguments.iter().skip(2).cloned();
    if word == crate::undo::guardian::SUBCOMMAND {
        return Some(crate::undo::guardian::guardian_main(rest));
    }
    #[cfg(feature = "sandbox")]
    if let Some(code) = crate::platform::sandbox::hidden_main(&word.to_string_lossy(), rest) {
        return Some(ExitCode::from(u8::try_from(code).unwrap_or(1)));
    }
    None
}

/// Runs one member of the built-in store until it is told to end.
#[cfg(feature = "refkv")]
pub(super) fn refkv(options: crate::refkv::Options) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return super::exit::Exit::Unexpected.into();
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match runtime.block_on(crate::refkv::serve(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            super::exit::Exit::Unexpected.into()
        }
    }
}

//! Processes of Seatrial itself: the guardian, a sandbox's init, a pod's first process, the node; and the store.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

#[cfg(feature = "refkv")]
use super::{console, exit::Exit};

/// The word that makes a process a sandbox's node.
#[cfg(feature = "sandbox")]
pub(super) const NODE: &str = "__node";

/// Becomes such a process if the arguments say so.
pub(super) fn main(arguments: &[OsString]) -> Option<ExitCode> {
    let word = arguments.get(1)?;
    let mut rest = arguments.iter().skip(2).cloned();
    if word == crate::undo::guardian::SUBCOMMAND {
        return Some(crate::undo::guardian::guardian_main(rest));
    }
    if word == crate::host::inodes::hoard::SUBCOMMAND {
        return Some(worker(rest, crate::host::inodes::hoard::main));
    }
    if word == crate::host::load::SUBCOMMAND {
        return Some(worker(rest, crate::host::load::main));
    }
    if word == crate::host::tracer::SUBCOMMAND {
        return Some(crate::host::tracer::main(rest.next()));
    }
    if word == crate::host::process::outside::SUBCOMMAND {
        return Some(crate::host::process::outside::main(rest));
    }
    if word == crate::host::gate::SUBCOMMAND {
        return Some(crate::host::gate::main(rest.next()));
    }
    #[cfg(feature = "kubernetes")]
    if word == super::proving_ground::IDLE {
        return Some(super::proving_ground::idle());
    }
    #[cfg(feature = "kubernetes")]
    if word == crate::platform::kubernetes::reading::SUBCOMMAND {
        return Some(crate::platform::kubernetes::reading::main(rest).into());
    }
    #[cfg(feature = "sandbox")]
    if word == NODE {
        log();
        return Some(super::sandbox::node(rest.next().unwrap_or_default().into()).into());
    }
    #[cfg(all(feature = "sandbox", feature = "refkv"))]
    if word == super::bench::disk::SUBCOMMAND {
        return Some(super::bench::disk::main(std::path::Path::new(&rest.next().unwrap_or_default())));
    }
    #[cfg(all(feature = "sandbox", feature = "refkv"))]
    if word == super::soak::INSPECT {
        return Some(super::soak::inspect(rest.next().unwrap_or_default().into()).into());
    }
    #[cfg(feature = "sandbox")]
    if let Some(code) = crate::platform::sandbox::hidden_main(&word.to_string_lossy(), rest) {
        return Some(ExitCode::from(u8::try_from(code).unwrap_or(1)));
    }
    None
}

/// Becomes a process that works for a fault, by its orders, where those who started it want it to be.
fn worker(mut rest: impl Iterator<Item = OsString>, main: fn(Option<OsString>) -> ExitCode) -> ExitCode {
    let orders = rest.next();
    if crate::undo::guardian::go_apart(rest).is_ok() { main(orders) } else { ExitCode::FAILURE }
}

/// Sends what is logged to standard error; `RUST_LOG` says how much of it, warnings where it says nothing.
pub(super) fn log() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::WARN.into())
        .from_env_lossy();
    // What it says is said again, with what was tried, by whoever asked.
    #[cfg(feature = "kubernetes")]
    let filter = filter.add_directive("kube_client::client::builder=off".parse().expect("it is a directive"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// Runs one member of the built-in store until it is told to end.
#[cfg(feature = "refkv")]
pub(super) fn refkv(options: &refkv::Options) -> ExitCode {
    log();
    match refkv::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => console::failure(&error, Exit::Unexpected).into(),
    }
}

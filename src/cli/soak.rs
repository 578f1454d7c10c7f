//! `seatrial soak`: kills what makes faults at random moments, and looks whether anything is left.

use super::args;
use super::exit::Exit;

#[cfg(feature = "kubernetes")]
mod cluster;
#[cfg(all(feature = "sandbox", feature = "refkv"))]
mod sandbox;
#[cfg(any(feature = "kubernetes", all(feature = "sandbox", feature = "refkv")))]
mod stage;

#[cfg(all(feature = "sandbox", feature = "refkv"))]
pub(super) use sandbox::{INSPECT, inspect};

/// How many rounds there are where nobody says it: runs of a sandbox, Injections of a cluster.
#[cfg(all(feature = "sandbox", feature = "refkv"))]
const IN_SANDBOX: u32 = 200;
#[cfg(feature = "kubernetes")]
const IN_CLUSTER: u32 = 100;

/// `seatrial soak`
pub(super) fn soak(args: &args::Soak) -> Exit {
    match args.on {
        #[cfg(feature = "sandbox")]
        args::On::Sandbox => in_sandbox(args),
        #[cfg(feature = "kubernetes")]
        args::On::Kubernetes => {
            cluster::soak(args.rounds.unwrap_or(IN_CLUSTER), args.cluster.controller_rounds, args)
        }
    }
}

#[cfg(all(feature = "sandbox", feature = "refkv"))]
fn in_sandbox(args: &args::Soak) -> Exit {
    sandbox::soak(args.rounds.unwrap_or(IN_SANDBOX), args.seed)
}

#[cfg(all(feature = "sandbox", not(feature = "refkv")))]
fn in_sandbox(_: &args::Soak) -> Exit {
    super::console::error("this build has no store to break: it was made without `refkv`", Exit::Usage)
}

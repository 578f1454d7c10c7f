//! `seatrial agent`: the node's side of a cluster.

use super::console;
use super::exit::Exit;
use crate::agent::{self, AgentError, Options};
use crate::node::ServeError;

/// Runs until it is told to end.
pub(super) fn agent(options: Options) -> Exit {
    match agent::run(options) {
        Ok(()) => Exit::Pass,
        Err(error @ AgentError::Serve(ServeError::LeftBehind(_))) => {
            console::failure(&error, Exit::RevertFailed)
        }
        Err(error @ (AgentError::Machine(_) | AgentError::Config(_))) => {
            console::failure(&error, Exit::PreflightUnmet)
        }
        Err(
            error @ (AgentError::Serve(_)
            | AgentError::Client(_)
            | AgentError::Runtime(_)
            | AgentError::Health(..)),
        ) => console::failure(&error, Exit::Unexpected),
    }
}

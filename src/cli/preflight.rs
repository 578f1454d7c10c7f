//! `seatrial preflight`: what an experiment needs of a cluster, looked at without changing anything.

mod cluster;
mod experiment;

use std::fmt::Display;

use super::args;
use super::console;
use super::exit::Exit;
use super::input::Documents;
use super::runtime::block_on;
use crate::platform::kubernetes::access;

/// Looks, tells, and says whether everything that is needed is there.
pub(super) fn preflight(args: &args::Preflight) -> Exit {
    let documents = Documents::read(&args.files);
    if !documents.problems.is_empty() {
        return console::problems(&documents.problems);
    }
    let done = block_on(async {
        let access = match access::connect(args.context.context.as_deref()).await {
            Ok(access) => access,
            Err(error) => return Ok(console::failure(&error, Exit::Unreachable)),
        };
        let namespace = args.namespace.clone().unwrap_or_else(|| access.namespace.clone());
        let mut findings = Findings::default();
        let server =
            cluster::Server { access: &access, namespace: &namespace, system: &args.system_namespace };
        server.look(&mut findings).await;
        for document in &documents.experiments {
            experiment::look(&server, document, &mut findings).await;
        }
        Ok(findings.exit())
    });
    done.unwrap_or_else(|why| console::error(why, Exit::Unexpected))
}

/// What was found, told as it is found.
#[derive(Debug, Default)]
struct Findings {
    unmet: usize,
    refused: bool,
    invalid: bool,
}

impl Findings {
    #[expect(clippy::unused_self, reason = "it is one of the findings, though nothing depends on it")]
    fn good(&mut self, what: impl Display) {
        console::report(&format!("ok    {what}\n"));
    }

    /// Worth knowing, and no reason to stop.
    #[expect(clippy::unused_self, reason = "it is one of the findings, though nothing depends on it")]
    fn note(&mut self, what: impl Display) {
        console::report(&format!("note  {what}\n"));
    }

    /// Something that is needed is not there; with what to do.
    fn unmet(&mut self, what: impl Display, instead: impl Display) {
        self.unmet += 1;
        console::report(&format!("no    {what}\n      {instead}\n"));
    }

    /// A guard would say no.
    fn refused(&mut self, what: impl Display) {
        self.refused = true;
        console::report(&format!("no    would be refused: {what}\n"));
    }

    /// The experiment itself is wrong.
    fn invalid(&mut self, what: impl Display) {
        self.invalid = true;
        console::report(&format!("no    invalid: {what}\n"));
    }

    fn exit(&self) -> Exit {
        if self.invalid {
            Exit::Invalid
        } else if self.unmet > 0 {
            Exit::PreflightUnmet
        } else if self.refused {
            Exit::Refused
        } else {
            Exit::Pass
        }
    }
}

//! Readiness, liveness and startup probes, with the kubelet's meaning.
//!
//! [`check`] asks once, within the probe's own timeout. [`Probes`] is pure: it says when to ask again and
//! what an answer changes, by the thresholds of the manifest. A probe reaches a pod as the kubelet does, from outside
//! of it, so that a cut between members is not seen by probes.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;

use super::pod_spec::{Probe, ProbeCheck};

mod http;
mod thresholds;

pub use thresholds::{Change, Kind, ProbeState, Probes};

#[cfg(test)]
mod tests;

/// Runs a program inside a container, for `exec` probes.
#[async_trait]
pub trait Exec: Send + Sync {
    /// Runs `argv` in the container and waits for its end, at most `limit`; ends it after that with an error of kind
    /// [`io::ErrorKind::TimedOut`].
    async fn exec(&self, argv: &[String], limit: Duration) -> io::Result<ExecOutcome>;
}

/// How a program inside a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutcome {
    /// Its exit code; 128 plus the signal's number where a signal ended it.
    pub exit_code: i32,
    /// The beginning of what it wrote.
    pub output: String,
}

/// Why a probe did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeFailure {
    /// No answer within `timeoutSeconds`.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// There is no connection to the port.
    #[error("connecting to {host}:{port} failed")]
    Connect {
        /// The address or name.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The request of the manifest is none that HTTP knows.
    #[error("the request cannot be sent")]
    Request(#[source] hyper::http::Error),
    /// What came over the connection is no HTTP, or it broke.
    #[error("the HTTP exchange failed")]
    Exchange(#[source] hyper::Error),
    /// The connection ended before the answer.
    #[error("the connection was closed without an answer")]
    Closed,
    /// The answer is no success.
    #[error("answered with status {0}")]
    Status(u16),
    /// The target sends the probe around.
    #[error("stopped after {0} redirects")]
    TooManyRedirects(usize),
    /// The target sends the probe where it cannot go.
    #[error("redirected to {0:?}, which is no address of plain HTTP")]
    Redirect(String),
    /// The program did not run.
    #[error("running {program:?} failed")]
    Exec {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program says no.
    #[error("{program:?} ended with exit code {exit_code}: {output}")]
    ExitCode {
        /// The program.
        program: String,
        /// What it ended with.
        exit_code: i32,
        /// What it wrote.
        output: String,
    },
}

/// How much longer than its limit an [`Exec`] may take to end the program that it ran.
const TO_END: Duration = Duration::from_secs(1);

/// Executes `probe` once on the pod with the address `pod`. Takes at most the probe's timeout, and a second more where
/// a program has to be ended.
pub async fn check(probe: &Probe, pod: IpAddr, exec: &dyn Exec) -> Result<(), ProbeFailure> {
    let limit = match probe.check {
        ProbeCheck::Http { .. } | ProbeCheck::Tcp { .. } => probe.timeout,
        // It must not be cancelled at the moment at which it ends its program.
        ProbeCheck::Exec { .. } => probe.timeout + TO_END,
    };
    let asked = tokio::time::timeout(limit, ask(probe, pod, exec)).await;
    asked.unwrap_or(Err(ProbeFailure::TimedOut(probe.timeout)))
}

async fn ask(probe: &Probe, pod: IpAddr, exec: &dyn Exec) -> Result<(), ProbeFailure> {
    match &probe.check {
        ProbeCheck::Http { host, port, path, headers } => {
            let host = host.clone().unwrap_or_else(|| pod.to_string());
            http::get(&http::Url { host, port: *port, path: path.clone() }, headers).await
        }
        ProbeCheck::Tcp { host, port } => {
            let host = host.clone().unwrap_or_else(|| pod.to_string());
            connect(&host, *port).await.map(drop)
        }
        ProbeCheck::Exec { argv } => run(exec, argv, probe.timeout).await,
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, ProbeFailure> {
    TcpStream::connect((host, port)).await.map_err(|source| ProbeFailure::Connect {
        host: host.to_owned(),
        port,
        source,
    })
}

async fn run(exec: &dyn Exec, argv: &[String], limit: Duration) -> Result<(), ProbeFailure> {
    let program = argv.first().cloned().unwrap_or_default();
    match exec.exec(argv, limit).await {
        Ok(ExecOutcome { exit_code: 0, .. }) => Ok(()),
        Ok(ExecOutcome { exit_code, output }) => {
            Err(ProbeFailure::ExitCode { program, exit_code, output: output.trim().to_owned() })
        }
        Err(source) if source.kind() == io::ErrorKind::TimedOut => Err(ProbeFailure::TimedOut(limit)),
        Err(source) => Err(ProbeFailure::Exec { program, source }),
    }
}

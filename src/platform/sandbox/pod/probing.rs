//! Asks a container's probes and acts on the answers.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::stream::{FuturesUnordered, StreamExt};
use nix::sys::signal::Signal;

use super::PodSandbox;
use super::plan;
use super::supervise::Place;
use crate::platform::sandbox::pod_spec::Container;
use crate::platform::sandbox::probe::{Change, Exec, ExecOutcome, Kind, Probes, check};

/// Keeps the readiness of a started container current; returns when it must be restarted.
pub async fn watch(pod: &PodSandbox<'_>, container: &Container, place: Place, id: u64) {
    let mut probes = Probes::new(container, Instant::now());
    let inside = Inside { pod, container, id };
    let mut asked = FuturesUnordered::new();
    loop {
        for kind in probes.take_due(Instant::now()) {
            let probe = match kind {
                Kind::Startup => &container.startup,
                Kind::Readiness => &container.readiness,
                Kind::Liveness => &container.liveness,
            };
            if let Some(probe) = probe {
                let inside = &inside;
                asked.push(async move { (kind, check(probe, IpAddr::V4(pod.facts.address), inside).await) });
            }
        }
        let wake = async {
            match probes.wake_at() {
                Some(time) => tokio::time::sleep_until(time.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((kind, answer)) = asked.next() => {
                if let Err(failure) = &answer {
                    tracing::debug!(pod = pod.facts.name, container = container.name, ?kind, %failure, "probe failed");
                }
                match probes.observe(kind, &answer, Instant::now()) {
                    Some(Change::Restart) => return,
                    Some(change @ (Change::Started | Change::Ready | Change::NotReady)) => {
                        if change == Change::Started {
                            pod.has_started.send_replace(true);
                        }
                        pod.show_ready(place, probes.is_ready());
                    }
                    None => {}
                }
            }
            () = wake => {}
        }
    }
}

/// A container that runs, for programs that are run beside its own.
pub(super) struct Inside<'a> {
    /// Its pod.
    pub pod: &'a PodSandbox<'a>,
    /// Its part of the template.
    pub container: &'a Container,
    /// What the holder knows it by.
    pub id: u64,
}

#[async_trait]
impl Exec for Inside<'_> {
    async fn exec(&self, argv: &[String], limit: Duration) -> io::Result<ExecOutcome> {
        let plan = plan::exec(self.pod.set, self.pod.facts, self.container, argv)?;
        let mut running = self.pod.holder.exec(self.id, plan).await.map_err(io::Error::other)?;
        let id = running.id;
        match tokio::time::timeout(limit, running.ended()).await {
            Ok(Some(ended)) => Ok(ExecOutcome { exit_code: ended.exit_code, output: ended.output }),
            Ok(None) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the pod is gone")),
            Err(_) => {
                self.pod.holder.signal(id, Signal::SIGKILL);
                Err(io::Error::new(io::ErrorKind::TimedOut, "the program takes too long"))
            }
        }
    }
}

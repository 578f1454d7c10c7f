//! Answers health checks.
//!
//! `/healthz`: the agent works on. That the API server is away is no reason to restart it: it still keeps deadlines.
//! `/readyz`: it has heard of every Injection that was there at its start, and the API server has heard of it lately.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::presence::Presence;
use crate::platform::kubernetes::channel::Injections;

/// How long the API server may be silent before the agent says that it is not ready.
const SILENCE: Duration = Duration::from_mins(1);
/// How long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is asked for.
#[derive(Clone)]
pub(super) struct Health {
    injections: Injections,
    presence: Presence,
}

impl Health {
    pub(super) fn new(injections: Injections, presence: Presence) -> Self {
        Self { injections, presence }
    }

    /// Listens from now on, for as long as the runtime lasts.
    pub(super) async fn listen(self, address: SocketAddr) -> io::Result<()> {
        let listener = TcpListener::bind(address).await?;
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => self.clone().answer(TokioIo::new(stream)),
                    // Too many open files, for example: it passes.
                    Err(_) => sleep(Duration::from_secs(1)).await,
                }
            }
        });
        Ok(())
    }

    fn answer(self, stream: TokioIo<tokio::net::TcpStream>) {
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let (code, text) = self.say(request.uri().path());
                async move {
                    let mut response = Response::new(Full::new(Bytes::from(text)));
                    *response.status_mut() = code;
                    Ok::<_, Infallible>(response)
                }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
            // A client that goes away in the middle is its own problem.
            let _ = server.serve_connection(stream, answer).await;
        });
    }

    fn say(&self, path: &str) -> (StatusCode, String) {
        match path {
            "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => match self.hindrance() {
                None => (StatusCode::OK, "ok\n".to_owned()),
                Some(hindrance) => (StatusCode::SERVICE_UNAVAILABLE, format!("{hindrance}\n")),
            },
            _ => (StatusCode::NOT_FOUND, "ask for /healthz or /readyz\n".to_owned()),
        }
    }

    fn hindrance(&self) -> Option<String> {
        if !self.injections.has_told_all() {
            return Some("not every Injection of this node has been heard of yet".to_owned());
        }
        match self.presence.silence() {
            None => Some("the API server has not taken this agent's NodeAgent yet".to_owned()),
            Some(silence) if silence > SILENCE => {
                Some(format!("the API server has been silent for {} s", silence.as_secs()))
            }
            Some(_) => None,
        }
    }
}

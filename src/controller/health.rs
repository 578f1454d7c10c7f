//! `/healthz`, `/readyz` and `/metrics` over HTTP/1.1.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use kube::runtime::reflector::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::metrics::Metrics;
use crate::resource::Experiment;

/// A controller whose main loop has not turned for this long is restarted by its liveness probe.
const SILENCE: i64 = 60;

/// How the controller is.
pub struct Health {
    turned: AtomicI64,
    ready: AtomicBool,
    metrics: Arc<Metrics>,
    experiments: watch::Sender<Option<Store<Experiment>>>,
}

impl Health {
    /// Not ready yet.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let turned = AtomicI64::new(Timestamp::now().as_second());
        Self { turned, ready: AtomicBool::new(false), metrics, experiments: watch::Sender::new(None) }
    }

    /// The main loop has turned, whatever it found: an API server that is away is no reason to be restarted.
    pub fn turn(&self) {
        self.turned.store(Timestamp::now().as_second(), Ordering::Relaxed);
    }

    /// The API server has answered.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// The Experiments that figures speak of.
    pub fn counts(&self, experiments: Option<Store<Experiment>>) {
        self.experiments.send_replace(experiments);
    }

    fn answer(&self, path: &str) -> (StatusCode, String) {
        match path {
            "/healthz" if Timestamp::now().as_second() - self.turned.load(Ordering::Relaxed) > SILENCE => {
                (StatusCode::INTERNAL_SERVER_ERROR, "the main loop stands still\n".into())
            }
            "/readyz" if !self.ready.load(Ordering::Relaxed) => {
                (StatusCode::SERVICE_UNAVAILABLE, "the API server has not answered yet\n".into())
            }
            "/healthz" | "/readyz" => (StatusCode::OK, "ok\n".into()),
            "/metrics" => (StatusCode::OK, self.metrics.text(self.experiments.borrow().as_ref())),
            _ => (StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n".into()),
        }
    }
}

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, health: Arc<Health>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, SocketAddr::V4(_) | SocketAddr::V6(_))) => stream,
            Err(error) => {
                // Out of descriptors, for one: waiting helps, giving up does not.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let health = Arc::clone(&health);
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let (status, text) = health.answer(request.uri().path());
                let mut response = Response::new(Full::new(Bytes::from(text)));
                *response.status_mut() = status;
                std::future::ready(Ok::<_, Infallible>(response))
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), answer);
            // A prober that hangs up early is nobody's problem.
            let _ = connection.await;
        });
    }
}

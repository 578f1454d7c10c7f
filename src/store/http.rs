//! HTTP/1.1 with JSON over one connection, where it is known whether a request was sent.
//!
//! Between "not connected" and "no answer" lies the difference between a write that did not happen and one that may
//! have: everything up to the moment at which the request is handed to the connection is [`CallError::NotSent`],
//! everything after it without a whole answer is [`CallError::NoAnswer`].

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::Failure;
use super::tls::{Tls, Way};
use crate::platform::{Dial, Endpoint};

/// The largest answer to a question about a single key or member.
pub(super) const SMALL_ANSWER: usize = 64 * 1024;

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    /// The store never saw the request.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request went out, and no whole answer came back.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let reason = error.to_string();
        match error {
            CallError::NotSent(_) => Self::NotApplied(reason),
            CallError::NoAnswer(_) => Self::Unknown(reason),
        }
    }
}

/// A whole answer, of whatever status.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// Its body.
    pub(super) body: Bytes,
}

/// One request of a client.
#[derive(Clone)]
pub(super) struct Call<'a> {
    /// Its method.
    pub(super) method: Method,
    /// Its path and query, already encoded.
    pub(super) path: &'a str,
    /// Its JSON body; empty where it has none.
    pub(super) body: Vec<u8>,
    /// What says who asks, for stores that want to know.
    pub(super) authorization: Option<HeaderValue>,
    /// The largest answer that is read.
    pub(super) answer_limit: usize,
    /// When it is given up.
    pub(super) deadline: Instant,
}

/// A way to one endpoint, with at most one connection.
pub(super) struct Connection {
    dial: Arc<dyn Dial>,
    endpoint: Endpoint,
    port: u16,
    tls: Option<Way>,
    open: Option<Open>,
}

/// An established connection and the task that drives it.
struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // An operation that was given up must not be sent afterwards.
        self.driver.abort();
    }
}

impl Connection {
    /// Connects at the first call.
    pub(super) fn new(dial: Arc<dyn Dial>, endpoint: Endpoint, port: u16) -> Self {
        Self { dial, endpoint, port, tls: None, open: None }
    }

    /// The same, by TLS where there is some.
    pub(super) fn secured(dial: Arc<dyn Dial>, endpoint: Endpoint, port: u16, tls: Option<&Tls>) -> Self {
        let tls = tls.map(|tls| tls.to(dial.names(endpoint)));
        Self { tls, ..Self::new(dial, endpoint, port) }
    }

    /// Sends a request once and reads its answer. After any error the connection is gone.
    pub(super) async fn call(&mut self, call: Call<'_>) -> Result<Answer, CallError> {
        let (deadline, answer_limit) = (call.deadline, call.answer_limit);
        let request = request(call)?;
        // Taken, so that it is dropped on every way out but the good one.
        let mut open = match self.open.take().filter(|open| !open.sender.is_closed()) {
            Some(open) => open,
            None => timeout_at(deadline, self.connect())
                .await
                .map_err(|_| CallError::NotSent("no connection in time".into()))??,
        };
        let answer = timeout_at(deadline, self.exchange(&mut open, request, answer_limit))
            .await
            .map_err(|_| CallError::NoAnswer("nothing came in time".into()))??;
        // The service is asked anew each time, so that it can choose another member.
        if matches!(self.endpoint, Endpoint::Member(_)) {
            self.open = Some(open);
        }
        Ok(answer)
    }

    async fn connect(&self) -> Result<Open, CallError> {
        let not_sent = |error: &dyn std::fmt::Display| CallError::NotSent(format!("cannot connect: {error}"));
        let stream = self.dial.dial(self.endpoint, self.port).await.map_err(|error| not_sent(&error))?;
        stream.set_nodelay(true).map_err(|error| not_sent(&error))?;
        let opened = match &self.tls {
            None => open(stream).await,
            Some(tls) => {
                let secured = tls
                    .secure(stream)
                    .await
                    .map_err(|error| not_sent(&tls.explain(&error).unwrap_or_else(|| error.to_string())))?;
                open(secured).await
            }
        };
        opened.map_err(|error| not_sent(&error))
    }

    async fn exchange(
        &self,
        open: &mut Open,
        request: Request<Full<Bytes>>,
        answer_limit: usize,
    ) -> Result<Answer, CallError> {
        let closed = |words| CallError::NotSent(format!("the connection was closed: {words}"));
        if let Err(error) = open.sender.ready().await {
            return Err(closed(self.words(&error, open).await));
        }
        let response = match open.sender.try_send_request(request).await {
            Ok(response) => response,
            // hyper gives the request back only if not a byte of it was written.
            Err(mut error) => {
                let was_sent = error.take_message().is_none();
                let words = self.words(&error.into_error(), open).await;
                return Err(if was_sent { CallError::NoAnswer(words) } else { closed(words) });
            }
        };
        let status = response.status();
        let body = Limited::new(response.into_body(), answer_limit)
            .collect()
            .await
            .map_err(|error| CallError::NoAnswer(format!("the answer broke off: {error}")))?
            .to_bytes();
        Ok(Answer { status, body })
    }

    /// An error of a connection that has ended, for a person. A store that does not take our certificate says so only
    /// now, and says it to whoever drives the connection.
    async fn words(&self, error: &hyper::Error, open: &mut Open) -> String {
        if let Some(tls) = &self.tls {
            if let Some(words) = tls.explain(error) {
                return words;
            }
            if let Ok(Err(end)) = (&mut open.driver).await
                && let Some(words) = tls.explain(&end)
            {
                return words;
            }
        }
        error.to_string()
    }
}

async fn open<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) -> hyper::Result<Open> {
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    Ok(Open { sender, driver: tokio::spawn(driver) })
}

fn request(call: Call<'_>) -> Result<Request<Full<Bytes>>, CallError> {
    let mut request = Request::builder().method(call.method).uri(call.path).header(HOST, "store");
    if !call.body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    if let Some(authorization) = call.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    request
        .body(Full::from(call.body))
        .map_err(|error| CallError::NotSent(format!("`{}` is no request: {error}", call.path)))
}

#[cfg(test)]
mod tests;

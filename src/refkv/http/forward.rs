//! Passes a request on to the leader, once.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::{Duration, timeout};

use crate::bugs::Bug;
use crate::member::Member;
use crate::outcome::Refusal;
use crate::peers::link::{LinkError, Message};

/// The largest body: the longest text, with every byte escaped, and some room.
pub const LARGEST_BODY: usize = 512 * 1024;

/// Marks a request that was passed on, so that it is not passed on again.
const PASSED_ON: HeaderName = HeaderName::from_static("x-refkv-passed-on");

/// The leader gives up first, so that its answer, which knows more, is the one that the client gets.
const MARGIN: Duration = Duration::from_millis(500);

/// Lets the leader's requests and local reads through and passes the others on.
pub async fn to_leader(State(member): State<Member>, request: Request, next: Next) -> Response {
    let is_read = request.method() == Method::GET;
    let is_local =
        is_read && request.uri().query().is_some_and(|query| query.split('&').any(|q| q == "read=local"));
    if is_local || (is_read && member.bugs.has(Bug::StaleRead)) {
        return next.run(request).await;
    }
    let leader = member.leader();
    if leader == Some(member.id) {
        return next.run(request).await;
    }
    if request.headers().contains_key(PASSED_ON) {
        return Refusal::NotTheLeader { leader }.into_response();
    }
    let Some(link) = leader.and_then(|leader| member.network.link(leader)) else {
        return Refusal::Unavailable("this member knows no leader".to_owned()).into_response();
    };
    let message = match message(request).await {
        Ok(message) => message,
        Err(refusal) => return refusal.into_response(),
    };
    match timeout(member.request_timeout + MARGIN, link.send(message)).await {
        Ok(Ok((status, body))) => {
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Ok(Err(error)) => refuse(&error, is_read).into_response(),
        Err(_) if is_read => Refusal::Unavailable("the leader does not answer".to_owned()).into_response(),
        Err(_) => Refusal::Unknown("the leader does not answer; it may have it".to_owned()).into_response(),
    }
}

async fn message(request: Request<Body>) -> Result<Message, Refusal> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or_else(|| head.uri.path().to_owned(), ToString::to_string);
    let body = to_bytes(body, LARGEST_BODY).await;
    let body = body.map_err(|error| Refusal::Bad(format!("the body cannot be read: {error}")))?;
    let headers = HeaderMap::from_iter([(PASSED_ON, HeaderValue::from_static("1"))]);
    Ok(Message { method: head.method, target, headers, body })
}

fn refuse(error: &LinkError, is_read: bool) -> Refusal {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let text = format!("while passing the request on to the leader: {error}: {source}");
    match error {
        LinkError::Connect { .. } | LinkError::Request { .. } => Refusal::Unavailable(text),
        LinkError::Lost { .. } if is_read => Refusal::Unavailable(text),
        LinkError::Lost { .. } => Refusal::Unknown(text),
    }
}

//! What clients see: HTTP/1.1 and JSON.
//!
//! ```text
//! GET    /v1/kv/KEY?read=linearizable|local   {"key","found","value","served_by"}
//! PUT    /v1/kv/KEY       {"value":V}         {"applied":"yes"}
//! POST   /v1/kv/KEY/cas   {"expect":V|null,"value":V}   {"applied":"yes","swapped":BOOL,"current":V|null}
//! GET    /v1/kv?prefix=P&read=…               {"entries":{KEY:V,…},"applied_index":N,"served_by":ID}
//! DELETE /v1/kv?prefix=P                      {"applied":"yes","deleted":N}
//! GET    /v1/members                          this member's own view
//! GET    /healthz                             the process lives
//! GET    /readyz                              it knows a leader and has applied what it knows to be committed
//! ```
//!
//! Reads are linearizable unless they say otherwise. `current` is what the key holds after the command. A key may
//! contain `/`; what is special in a URL is percent-encoded.
//!
//! An answer that is no success has `error` and `applied`: `"no"` (400, 409, 413, 503: it has not happened and will
//! not) or `"unknown"` (504: it may have happened or happen later). Any member takes any request: one that does not
//! lead passes it on to the leader, once, and hands back the leader's answer.

pub mod forward;
pub mod health;
pub mod keys;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, middleware};

use super::member::Member;
use super::outcome::{Applied, Body};
use super::peers::receiver;

/// All that one member answers, to clients and to the other members.
pub fn routes(member: Member) -> Router {
    keys::routes()
        .route_layer(middleware::from_fn_with_state(member.clone(), forward::to_leader))
        .merge(health::routes())
        .merge(receiver::routes())
        .fallback(async || no_such("path"))
        .method_not_allowed_fallback(async || no_such("method for this path"))
        .with_state(member)
}

fn no_such(what: &str) -> Response {
    let error = format!(
        "no such {what}; there are GET, PUT /v1/kv/KEY, POST /v1/kv/KEY/cas, GET, DELETE /v1/kv?prefix=P, \
         GET /v1/members, /healthz, /readyz"
    );
    (StatusCode::NOT_FOUND, Json(Body { error, applied: Applied::No, leader: None })).into_response()
}

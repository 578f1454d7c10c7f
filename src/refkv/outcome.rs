//! Why a request did not succeed, and, what matters more, whether it may have happened nevertheless.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::replica::Id;

/// Whether a change that was asked for has happened or can still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Applied {
    /// It has not happened and never will.
    No,
    /// It may have happened, or happen later.
    Unknown,
}

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request makes no sense: status 400.
    #[error("{0}")]
    Bad(String),
    /// Another member would have to answer, and this request has been passed on already: status 409.
    #[error("this member does not lead")]
    NotTheLeader {
        /// Who leads, as far as this member knows.
        leader: Option<Id>,
    },
    /// It cannot be done now and nothing has been done: status 503.
    #[error("{0}")]
    Unavailable(String),
    /// It was begun and the outcome is not known: status 504.
    #[error("{0}")]
    Unknown(String),
}

/// The body of such an answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Body {
    /// Why.
    pub error: String,
    /// Whether it may have happened.
    pub applied: Applied,
    /// Who leads, where that is the reason.
    pub leader: Option<Id>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, applied, leader) = match &self {
            Self::Bad(_) => (StatusCode::BAD_REQUEST, Applied::No, None),
            Self::NotTheLeader { leader } => (StatusCode::CONFLICT, Applied::No, *leader),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, Applied::No, None),
            Self::Unknown(_) => (StatusCode::GATEWAY_TIMEOUT, Applied::Unknown, None),
        };
        (status, Json(Body { error: self.to_string(), applied, leader })).into_response()
    }
}

//! Which of etcd's errors prove that nothing was changed.
//!
//! Everything that etcd decides before it proposes a change to its log proves it; everything after it does not, because
//! a proposal that is not heard of any more may still be committed by the next leader ("request timed out", "leader
//! changed", "server stopped"). "Database space exceeded" looks definite and is not: the applier reports it also for a
//! change that it has just made. Proofs are kept to the errors that are listed here; all others are unknown.

use hyper::StatusCode;
use serde::Deserialize;

use super::super::Failure;

/// gRPC's status codes that etcd uses for requests which it did not take.
/// <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>
const INVALID_ARGUMENT: u32 = 3;
const PERMISSION_DENIED: u32 = 7;
const UNIMPLEMENTED: u32 = 12;
const UNAUTHENTICATED: u32 = 16;

/// Messages of codes that by themselves say nothing.
const NOT_PROPOSED: [&str; 2] = [
    // Too far behind in applying: refused before the proposal.
    "etcdserver: too many requests",
    // The member's own raft refused to take it, and keeps no copy.
    "raft proposal dropped",
];

/// The gateway's error document, in the spelling of 3.4 (`error`) and later ones (`message`).
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    error: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    code: u32,
}

/// The failure that an error answer stands for.
pub(super) fn classify(status: StatusCode, body: &[u8]) -> Failure {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        if status == StatusCode::NOT_FOUND {
            return Failure::NotApplied(
                "this etcd has no JSON gateway at /v3: 3.4 or later is needed".into(),
            );
        }
        return Failure::Unknown(format!("etcd answered {status}"));
    };
    let text = if problem.message.is_empty() { problem.error } else { problem.message };
    let refused =
        matches!(problem.code, INVALID_ARGUMENT | PERMISSION_DENIED | UNIMPLEMENTED | UNAUTHENTICATED);
    if refused || NOT_PROPOSED.contains(&text.as_str()) {
        Failure::NotApplied(text)
    } else {
        Failure::Unknown(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u32, message: &str) -> Failure {
        let body = serde_json::json!({"error": message, "code": code}).to_string();
        classify(StatusCode::SERVICE_UNAVAILABLE, body.as_bytes())
    }

    #[test]
    fn refusals_before_the_proposal_prove_that_nothing_changed() {
        for (code, message) in [
            (3, "etcdserver: key is not provided"),
            (3, "etcdserver: request is too large"),
            (7, "etcdserver: permission denied"),
            (8, "etcdserver: too many requests"),
            (2, "raft proposal dropped"),
        ] {
            assert_eq!(error(code, message), Failure::NotApplied(message.into()));
        }
    }

    #[test]
    fn errors_after_the_proposal_prove_nothing() {
        for (code, message) in [
            (14, "etcdserver: request timed out"),
            (14, "etcdserver: request timed out, possibly due to previous leader failure"),
            (14, "etcdserver: leader changed"),
            (14, "etcdserver: server stopped"),
            (8, "etcdserver: mvcc: database space exceeded"),
            (4, "context deadline exceeded"),
            (0, ""),
        ] {
            assert_eq!(error(code, message), Failure::Unknown(message.into()));
        }
    }

    #[test]
    fn an_error_that_is_not_json_proves_nothing() {
        let failure = classify(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(failure, Failure::Unknown("etcd answered 502 Bad Gateway".into()));
    }
}

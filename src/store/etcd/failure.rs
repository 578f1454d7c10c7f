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

/// What etcd says of a token that it does not know, or that is older than the rights of users.
const UNKNOWN_TOKEN: [&str; 2] =
    ["etcdserver: invalid auth token", "etcdserver: revision of auth store is old"];

/// What the gateway says before it reads a request.
const COMMON_NAME: &[u8] = b"CommonName of client sending a request against gateway";

/// What to do about an answer.
const HINTS: [(&str, &str); 3] = [
    ("etcdserver: user name is empty", "name a user, as store: {etcd: {auth: {secret: NAME}}}"),
    ("etcdserver: authentication is not enabled", "leave out auth, because this etcd has no users"),
    (
        "etcdserver: permission denied",
        "name a user by auth whose role may read and write below the workload's scope",
    ),
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

impl Problem {
    fn text(self) -> String {
        if self.message.is_empty() { self.error } else { self.message }
    }
}

/// Whether a request was refused because of its token, which happens before anything else.
pub(super) fn is_unknown_token(status: StatusCode, body: &[u8]) -> bool {
    status != StatusCode::OK
        && serde_json::from_slice::<Problem>(body)
            .is_ok_and(|problem| UNKNOWN_TOKEN.contains(&problem.text().as_str()))
}

/// The failure that an error answer stands for.
pub(super) fn classify(status: StatusCode, body: &[u8]) -> Failure {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        if status == StatusCode::NOT_FOUND {
            return Failure::NotApplied(
                "this etcd has no JSON gateway at /v3: 3.4 or later is needed".into(),
            );
        }
        if status == StatusCode::BAD_REQUEST && body.starts_with(COMMON_NAME) {
            let why = "where etcd has users, its gateway takes no client certificate that has a common name: use one without";
            return Failure::NotApplied(why.into());
        }
        return Failure::Unknown(format!("etcd answered {status}"));
    };
    let refused =
        matches!(problem.code, INVALID_ARGUMENT | PERMISSION_DENIED | UNIMPLEMENTED | UNAUTHENTICATED);
    let text = problem.text();
    let is_proof = refused || NOT_PROPOSED.contains(&text.as_str());
    let told = match HINTS.iter().find(|(said, _)| *said == text) {
        Some((_, hint)) => format!("{text}: {hint}"),
        None => text,
    };
    if is_proof { Failure::NotApplied(told) } else { Failure::Unknown(told) }
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
    fn a_request_without_rights_is_told_what_it_needs() {
        for (code, message) in [(7, "etcdserver: permission denied"), (3, "etcdserver: user name is empty")] {
            let Failure::NotApplied(told) = error(code, message) else { unreachable!("nothing was changed") };
            assert!(told.starts_with(&format!("{message}: ")), "{told}");
        }
    }

    #[test]
    fn a_certificate_with_a_common_name_is_explained() {
        let body = b"CommonName of client sending a request against gateway will be ignored and not used as expected\n";
        let failure = classify(StatusCode::BAD_REQUEST, body);
        assert!(
            matches!(&failure, Failure::NotApplied(why) if why.contains("use one without")),
            "{failure:?}"
        );
    }

    #[test]
    fn only_a_token_that_is_not_known_is_worth_another_one() {
        let is_unknown = |code: u32, message: &str| {
            let body = serde_json::json!({"error": message, "code": code}).to_string();
            is_unknown_token(StatusCode::UNAUTHORIZED, body.as_bytes())
        };
        assert!(is_unknown(16, "etcdserver: invalid auth token"));
        assert!(is_unknown(3, "etcdserver: revision of auth store is old"));
        assert!(!is_unknown(3, "etcdserver: authentication failed, invalid user ID or password"));
        assert!(!is_unknown(14, "etcdserver: request timed out"));
        assert!(!is_unknown_token(StatusCode::OK, br#"{"message":"etcdserver: invalid auth token"}"#));
    }

    #[test]
    fn an_error_that_is_not_json_proves_nothing() {
        let failure = classify(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(failure, Failure::Unknown("etcd answered 502 Bad Gateway".into()));
    }
}

//! Which of PostgreSQL's errors prove that nothing was changed.
//!
//! A statement of ours is a transaction by itself. PostgreSQL answers it with an ERROR when that transaction was
//! rolled back: a commit that has been written down never ends in one ("cannot execute INSERT in a read-only transaction", a
//! full disk under a table, a conflict). FATAL and PANIC end the process or the server at any moment, also between the
//! commit and its answer: an administrator's shutdown, a log that cannot be written. So they prove nothing, as a
//! connection that breaks off. Before a connection is ready for statements nothing has been sent, whatever it says
//! ("the database system is starting up").
//! <https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-SEVERITY-LEVELS>

use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::experiment::SecretName;
use crate::store::Failure;

/// How far a connection was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It was not ready for statements yet.
    Entering,
    /// A statement was sent.
    Sent,
}

/// Why a statement has no answer that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    failure: Failure,
    /// What PostgreSQL itself says of a statement that it did not do.
    state: Option<SqlState>,
}

impl Refusal {
    /// The store never saw the statement.
    pub(super) fn not_sent(why: &str) -> Self {
        Self { failure: Failure::NotApplied(format!("not sent: {why}")), state: None }
    }

    /// The statement went out, and nothing says what came of it.
    pub(super) fn no_answer(why: &str) -> Self {
        Self { failure: Failure::Unknown(format!("no answer: {why}")), state: None }
    }

    /// Whether the statement was answered with this.
    pub(super) fn is(&self, state: &SqlState) -> bool {
        self.state.as_ref() == Some(state)
    }

    /// Whether it is a whole answer, after which the connection is as good as before.
    pub(super) fn is_an_answer(&self) -> bool {
        self.state.is_some()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        refusal.failure
    }
}

/// What an error stands for. `by_tls` is what TLS has to say about it; `user` is the Secret that names the user.
pub(super) fn explain(
    error: &tokio_postgres::Error,
    stage: Stage,
    by_tls: Option<String>,
    user: Option<&SecretName>,
) -> Refusal {
    let words = by_tls.unwrap_or_else(|| match error.as_db_error() {
        Some(said) => told(said, user),
        None => with_causes(error),
    });
    match (stage, error.as_db_error()) {
        (Stage::Entering, _) => Refusal::not_sent(&words),
        (Stage::Sent, Some(said)) if said.parsed_severity() == Some(Severity::Error) => {
            Refusal { failure: Failure::NotApplied(words), state: Some(said.code().clone()) }
        }
        (Stage::Sent, _) => Refusal::no_answer(&words),
    }
}

/// PostgreSQL's words, with what to do about them. Its words about a user name that user, which is part of a Secret.
fn told(said: &DbError, user: Option<&SecretName>) -> String {
    let code = said.code();
    let about_user = user.zip(what_to_look_at(code));
    if let Some((secret, look_at)) = about_user {
        return format!("the user of Secret `{secret}` is not let in ({}): look at {look_at}", code.code());
    }
    let words = format!("{} ({})", said.message(), code.code());
    match hint(code) {
        Some(hint) => format!("{words}: {hint}"),
        None => words,
    }
}

/// What may be wrong where the words are about a user.
fn what_to_look_at(code: &SqlState) -> Option<&'static str> {
    if [&SqlState::INVALID_PASSWORD, &SqlState::INVALID_AUTHORIZATION_SPECIFICATION].contains(&code) {
        Some("its password, at LOGIN of the role, and at pg_hba.conf")
    } else if *code == SqlState::TOO_MANY_CONNECTIONS {
        Some("CONNECTION LIMIT of the role and of the database, and at max_connections")
    } else {
        None
    }
}

fn hint(code: &SqlState) -> Option<&'static str> {
    let hints: [(&SqlState, &str); 4] = [
        (
            &SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "name a user that may connect, as store: {postgres: {auth: {secret: NAME}}}",
        ),
        (&SqlState::INVALID_PASSWORD, "name a user, as store: {postgres: {auth: {secret: NAME}}}"),
        (&SqlState::UNDEFINED_DATABASE, "name one that is there, as store: {postgres: {database: NAME}}"),
        (
            &SqlState::INSUFFICIENT_PRIVILEGE,
            "the user needs a schema to make a table in, for example CREATE SCHEMA AUTHORIZATION its_name",
        ),
    ];
    hints.into_iter().find(|(state, _)| *state == code).map(|(_, hint)| hint)
}

/// The library's own words are short; the cause is behind them.
fn with_causes(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        let words = current.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = current.source();
    }
    text
}

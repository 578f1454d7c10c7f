//! Who we are for etcd: a user's token, for each endpoint one that all clients of it share.
//!
//! etcd gives a token for a name and a password, and forgets it: after five minutes without use, when the member is started
//! again, or when the rights of users change. A request with a token that is not known is refused before anything is
//! changed, so it can be sent again with another one. Asking for a token costs etcd tens of milliseconds of work on purpose, and
//! a majority; therefore it is asked for once for everybody, and by nobody's deadline but its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::failure;
use crate::experiment::{Auth, SecretName};
use crate::platform::{Dial, Endpoint};
use crate::store::Failure;
use crate::store::http::{Call, Connection, SMALL_ANSWER};
use crate::store::secrets::{SecretError, Secrets};
use crate::store::tls::Tls;

/// How long etcd may take to give a token.
const LIMIT: Duration = Duration::from_secs(5);
/// How long a refusal is believed: whoever is refused again and again must not keep etcd busy with it.
const PAUSE: Duration = Duration::from_millis(500);

/// A user of an etcd cluster.
pub(super) struct User {
    secret: SecretName,
    name: SecretString,
    password: SecretString,
}

impl User {
    /// Reads what the Secret holds.
    pub(super) fn load(auth: &Auth, secrets: &Secrets) -> Result<Self, SecretError> {
        let secret = &auth.secret;
        Ok(Self {
            secret: secret.clone(),
            name: secrets.text(secret, "username")?,
            password: secrets.text(secret, "password")?,
        })
    }
}

/// The tokens of a user.
pub(super) struct Sessions {
    user: User,
    dial: Arc<dyn Dial>,
    port: u16,
    tls: Option<Tls>,
    known: Mutex<HashMap<Endpoint, watch::Sender<State>>>,
}

/// A token, as the header that carries it.
#[derive(Debug, Clone)]
pub(super) struct Token(Arc<HeaderValue>);

impl Token {
    /// The header's value.
    pub(super) fn header(&self) -> HeaderValue {
        (*self.0).clone()
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[derive(Debug, Clone)]
enum State {
    Unknown,
    Asking,
    Given(Token),
    Refused { reason: String, until: Instant },
}

impl State {
    /// Whether somebody has to ask, and nobody does.
    fn wants(&self, stale: Option<&Token>, now: Instant) -> bool {
        match self {
            Self::Unknown => true,
            Self::Asking => false,
            Self::Given(token) => stale.is_some_and(|stale| token.is(stale)),
            Self::Refused { until, .. } => *until <= now,
        }
    }
}

impl Sessions {
    pub(super) fn new(user: User, dial: Arc<dyn Dial>, port: u16, tls: Option<Tls>) -> Self {
        Self { user, dial, port, tls, known: Mutex::default() }
    }

    /// A token for `endpoint`, another one than `stale`, which it does not know any more.
    pub(super) async fn token(
        self: &Arc<Self>,
        endpoint: Endpoint,
        stale: Option<&Token>,
        deadline: Instant,
    ) -> Result<Token, Failure> {
        let here = self.state(endpoint);
        let mut news = here.subscribe();
        loop {
            let asks = here.send_if_modified(|state| {
                let wants = state.wants(stale, Instant::now());
                if wants {
                    *state = State::Asking;
                }
                wants
            });
            if asks {
                let (asker, answer) = (Arc::clone(self), here.clone());
                tokio::spawn(async move { answer.send_replace(asker.ask(endpoint).await) });
            }
            match news.borrow_and_update().clone() {
                State::Given(token) if stale.is_none_or(|stale| !token.is(stale)) => return Ok(token),
                State::Refused { reason, .. } => {
                    let secret = &self.user.secret;
                    return Err(Failure::NotApplied(format!(
                        "no token for the user of Secret `{secret}`: {reason}"
                    )));
                }
                State::Unknown | State::Asking | State::Given(_) => {}
            }
            let changed = timeout_at(deadline, news.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return Err(Failure::NotApplied("not sent: etcd gave no token in time".into()));
            }
        }
    }

    fn state(&self, endpoint: Endpoint) -> watch::Sender<State> {
        // An insert that panicked halfway leaves a map that is still a map.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(endpoint).or_insert_with(|| watch::Sender::new(State::Unknown)).clone()
    }

    async fn ask(&self, endpoint: Endpoint) -> State {
        match self.authenticate(endpoint).await {
            Ok(token) => State::Given(token),
            Err(failure) => {
                State::Refused { reason: failure.reason().to_owned(), until: Instant::now() + PAUSE }
            }
        }
    }

    async fn authenticate(&self, endpoint: Endpoint) -> Result<Token, Failure> {
        let mut connection =
            Connection::secured(Arc::clone(&self.dial), endpoint, self.port, self.tls.as_ref());
        let request = Authenticate {
            name: self.user.name.expose_secret(),
            password: self.user.password.expose_secret(),
        };
        let body = serde_json::to_vec(&request)
            .map_err(|error| Failure::NotApplied(format!("cannot be written as JSON: {error}")))?;
        let call = Call {
            method: Method::POST,
            path: "/v3/auth/authenticate",
            body,
            authorization: None,
            answer_limit: SMALL_ANSWER,
            deadline: Instant::now() + LIMIT,
        };
        let answer = connection.call(call).await?;
        if answer.status != StatusCode::OK {
            return Err(failure::classify(answer.status, &answer.body));
        }
        // What is not understood may hold a token all the same, so it is not repeated.
        let strange = || Failure::Unknown("etcd's answer has no token that a header could carry".into());
        let given: Authenticated = serde_json::from_slice(&answer.body).map_err(|_| strange())?;
        let mut header = HeaderValue::from_str(&given.token).map_err(|_| strange())?;
        header.set_sensitive(true);
        Ok(Token(Arc::new(header)))
    }
}

/// `AuthenticateRequest`.
#[derive(Serialize)]
struct Authenticate<'a> {
    name: &'a str,
    password: &'a str,
}

/// `AuthenticateResponse`.
#[derive(Deserialize)]
struct Authenticated {
    token: String,
}

//! What the API server's errors mean for a run: silence, which passes, or a no, which stays.

use std::time::Duration;

use kube::Error;
use tokio::time::{Instant, sleep, timeout_at};

use crate::platform::PlatformError;

/// How long a request is tried again while nobody answers. Shorter than a run waits for an answer.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long an API server that answers again may not know who has which rights.
const STARTING: Duration = Duration::from_secs(20);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(400);

/// Whether the same request may succeed later without anybody changing anything.
pub fn is_silence(error: &Error) -> bool {
    match error {
        Error::Api(status) => status.code >= 500 || status.code == 429,
        Error::HyperError(_) | Error::Service(_) | Error::ReadEvents(_) => true,
        _ => false,
    }
}

/// Whether an API server that has just started may say so until it knows who has which rights.
fn is_unready(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 401 || status.code == 403)
}

/// Whether the API server said that there is no such object, or no such kind of objects.
pub fn is_absent(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// Whether the API server said that the object of a UID is not there any more: nothing of its name is, or another one.
pub fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404 || status.code == 409)
}

/// The error in one line. The API server's own words where it has some.
pub fn words(error: &Error) -> String {
    match error {
        Error::Api(status) => status.message.clone(),
        other => {
            let kind: &dyn std::error::Error = other;
            // Its own name says nothing to a person; what is behind it does.
            let first = match other {
                Error::Service(cause) => &**cause,
                _ => kind,
            };
            let mut text = first.to_string();
            let mut source = first.source();
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text
        }
    }
}

impl From<Error> for PlatformError {
    fn from(error: Error) -> Self {
        if is_silence(&error) { Self::Unreachable(words(&error)) } else { Self::Refused(words(&error)) }
    }
}

/// Whether an answer comes soon after a silence.
fn is_soon_after(silent_at: Option<Instant>) -> bool {
    silent_at.is_some_and(|at| at.elapsed() < STARTING)
}

/// Makes a request, and makes it again while nobody answers.
pub async fn insist<T, F>(request: impl FnMut() -> F) -> Result<T, PlatformError>
where
    F: Future<Output = Result<T, Error>>,
{
    insist_for(PATIENCE, request).await
}

/// Makes a request, and makes it again for as long as `patience` while nobody answers.
pub async fn insist_for<T, F>(patience: Duration, mut request: impl FnMut() -> F) -> Result<T, PlatformError>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut silent_at = None;
    let deadline = Instant::now() + patience;
    loop {
        let error = match timeout_at(deadline, request()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if is_unready(&error) && is_soon_after(silent_at) => words(&error),
            Ok(Err(error)) if !is_silence(&error) => return Err(error.into()),
            Ok(Err(error)) => {
                silent_at = Some(Instant::now());
                words(&error)
            }
            Err(_) => format!("nothing came within {} s", patience.as_secs()),
        };
        if Instant::now() + PAUSE >= deadline {
            return Err(PlatformError::Unreachable(error));
        }
        sleep(PAUSE).await;
    }
}

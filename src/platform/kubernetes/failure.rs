//! What the API server's errors mean for a run: silence, which passes, or a no, which stays.

use std::time::Duration;

use kube::Error;
use tokio::time::{Instant, sleep, timeout_at};

use crate::platform::PlatformError;

/// How long a request is tried again while nobody answers. Shorter than a run waits for an answer.
const PATIENCE: Duration = Duration::from_secs(6);
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

/// Whether the API server said that there is no such object, or no such kind of objects.
pub fn is_absent(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404)
}

/// The error in one line. The API server's own words where it has some.
pub fn words(error: &Error) -> String {
    match error {
        Error::Api(status) => status.message.clone(),
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
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
    let deadline = Instant::now() + patience;
    loop {
        let error = match timeout_at(deadline, request()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if !is_silence(&error) => return Err(error.into()),
            Ok(Err(error)) => words(&error),
            Err(_) => format!("nothing came within {} s", patience.as_secs()),
        };
        if Instant::now() + PAUSE >= deadline {
            return Err(PlatformError::Unreachable(error));
        }
        sleep(PAUSE).await;
    }
}

//! One HTTP GET with the kubelet's rules: 200 to 399 is success, redirects are followed on the same host only.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{ACCEPT, HOST, LOCATION, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;

use super::{ProbeFailure, connect};

/// Where the kubelet gives up.
const MAX_REDIRECTS: usize = 10;

/// An address of plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

/// Gets `url`. A redirect to another host is taken for success, as the kubelet does, because the target answered.
pub(super) async fn get(url: &Url, headers: &[(String, String)]) -> Result<(), ProbeFailure> {
    let mut at = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        let (status, location) = exchange(&at, headers).await?;
        match location {
            Some(location) if is_followed(status) => {
                let next = at.join(&location).ok_or(ProbeFailure::Redirect(location))?;
                if next.host != url.host {
                    return Ok(());
                }
                at = next;
            }
            _ if (200..400).contains(&status.as_u16()) => return Ok(()),
            _ => return Err(ProbeFailure::Status(status.as_u16())),
        }
    }
    Err(ProbeFailure::TooManyRedirects(MAX_REDIRECTS))
}

/// The statuses that Go's HTTP client, and so the kubelet, follows.
fn is_followed(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// One request on a connection of its own, so that a probe never succeeds by an old connection.
async fn exchange(
    url: &Url,
    headers: &[(String, String)],
) -> Result<(StatusCode, Option<String>), ProbeFailure> {
    let mut request = Request::get(url.path.as_str());
    let given = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    if !given(HOST.as_str()) {
        request = request.header(HOST, url.authority());
    }
    if !given(USER_AGENT.as_str()) {
        request = request.header(USER_AGENT, "kube-probe/1.33");
    }
    if !given(ACCEPT.as_str()) {
        request = request.header(ACCEPT, "*/*");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(ProbeFailure::Request)?;

    let stream = connect(&url.host, url.port).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(ProbeFailure::Exchange)?;
    let answer = sender.send_request(request);
    tokio::pin!(answer, connection);
    // A target that closes right after its answer ends the connection in the same moment; the answer still counts.
    let response = tokio::select! {
        response = &mut answer => response,
        _ended = &mut connection => answer.await,
    }
    .map_err(|error| match error {
        error if error.is_incomplete_message() || error.is_canceled() => ProbeFailure::Closed,
        error => ProbeFailure::Exchange(error),
    })?;
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok((response.status(), location))
}

impl Url {
    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Where a `Location` leads from here (RFC 9110, section 10.2.2); `None` where plain HTTP cannot go.
    fn join(&self, location: &str) -> Option<Self> {
        let absolute = if let Some(rest) = location.strip_prefix("//") {
            format!("http://{rest}")
        } else if location.contains("://") {
            location.to_owned()
        } else if location.starts_with('/') {
            return Some(Self { path: location.to_owned(), ..self.clone() });
        } else {
            let path = self.path.split('?').next().unwrap_or_default();
            let folder = path.rfind('/').map_or("", |end| &path[..end]);
            return Some(Self { path: format!("{folder}/{location}"), ..self.clone() });
        };
        let uri: Uri = absolute.parse().ok()?;
        if uri.scheme_str() != Some("http") {
            return None;
        }
        Some(Self {
            host: uri.host()?.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(80),
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn follows_a_location_from_where_it_is() {
        let at = Url { host: "10.0.0.1".into(), port: 8080, path: "/a/b?c".into() };
        for (location, host, port, path) in [
            ("/x?y", "10.0.0.1", 8080, "/x?y"),
            ("x", "10.0.0.1", 8080, "/a/x"),
            ("http://10.0.0.1:9/z", "10.0.0.1", 9, "/z"),
            ("//other", "other", 80, "/"),
            ("http://[fd00::1]:9/z", "fd00::1", 9, "/z"),
        ] {
            let expected = Url { host: host.into(), port, path: path.into() };
            assert_eq!(at.join(location), Some(expected), "{location}");
        }
        assert_eq!(at.join("https://10.0.0.1/"), None);
        assert_eq!(at.join("http://"), None);
    }
}

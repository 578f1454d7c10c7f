use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::platform::sandbox::pod_spec::{Probe, ProbeCheck};
use crate::platform::sandbox::probe::{Exec, ExecOutcome, ProbeFailure, check};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn probe(check: ProbeCheck) -> Probe {
    Probe {
        check,
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(1),
        timeout: Duration::from_secs(20),
        success_threshold: 1,
        failure_threshold: 1,
    }
}

/// Runs programs of this machine, as a container of it would.
struct Here;

#[async_trait]
impl Exec for Here {
    async fn exec(&self, argv: &[String], limit: Duration) -> io::Result<ExecOutcome> {
        let mut command = tokio::process::Command::new(&argv[0]);
        command.args(&argv[1..]).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(limit, command.output()).await.map_err(io::Error::from)??;
        let exit_code = output.status.code().unwrap_or(137);
        Ok(ExecOutcome { exit_code, output: String::from_utf8_lossy(&output.stdout).into_owned() })
    }
}

/// A server that gives one connection after the other the next of `answers`; the requests come back.
async fn server(answers: Vec<String>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((LOCAL, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let requests = tokio::spawn(async move {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut buffer = vec![0; 4096];
            let length = stream.read(&mut buffer).await.expect("a request");
            requests.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            stream.write_all(answer.as_bytes()).await.expect("sent");
        }
        requests
    });
    (port, requests)
}

fn answer(status: u16, more: &str) -> String {
    format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n{more}\r\n")
}

fn http(port: u16, headers: &[(&str, &str)]) -> ProbeCheck {
    let headers = headers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ProbeCheck::Http { host: None, port, path: "/health?full=1".into(), headers }
}

async fn get(port: u16, headers: &[(&str, &str)]) -> Result<(), ProbeFailure> {
    check(&probe(http(port, headers)), LOCAL, &Here).await
}

#[tokio::test]
async fn takes_200_to_399_for_success_and_nothing_else() {
    for (status, is_success) in
        [(200, true), (204, true), (304, true), (399, true), (400, false), (503, false)]
    {
        let (port, _requests) = server(vec![answer(status, "")]).await;
        let result = get(port, &[]).await;
        assert_eq!(result.is_ok(), is_success, "{status}: {result:?}");
    }
}

#[tokio::test]
async fn asks_as_the_kubelet_does() {
    let (port, requests) = server(vec![answer(200, ""), answer(200, "")]).await;
    get(port, &[]).await.expect("success");
    get(port, &[("Host", "db"), ("X-Token", "t")]).await.expect("success");
    let requests = requests.await.expect("served");
    assert!(requests[0].starts_with("GET /health?full=1 HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains(&format!("host: 127.0.0.1:{port}\r\n")), "{}", requests[0]);
    assert!(requests[0].contains("user-agent: kube-probe/"), "{}", requests[0]);
    assert!(
        requests[1].contains("host: db\r\n") && requests[1].contains("x-token: t\r\n"),
        "{}",
        requests[1]
    );
    assert_eq!(requests[1].matches("host:").count(), 1);
}

#[tokio::test]
async fn follows_redirects_on_the_same_host_only() {
    let (port, requests) = server(vec![answer(302, "Location: /ready\r\n"), answer(500, "")]).await;
    assert!(matches!(get(port, &[]).await, Err(ProbeFailure::Status(500))));
    assert!(requests.await.expect("served")[1].starts_with("GET /ready "));

    let (port, _requests) = server(vec![answer(307, "Location: http://other.example/\r\n")]).await;
    get(port, &[]).await.expect("the target answered");

    let (port, _requests) = server(vec![answer(301, "Location: /again\r\n"); 11]).await;
    assert!(matches!(get(port, &[]).await, Err(ProbeFailure::TooManyRedirects(10))));

    let (port, _requests) = server(vec![answer(301, "Location: https://127.0.0.1/\r\n")]).await;
    assert!(matches!(get(port, &[]).await, Err(ProbeFailure::Redirect(_))));
}

#[tokio::test]
async fn fails_on_what_is_no_http() {
    let (port, _requests) = server(vec![String::new()]).await;
    let failure = get(port, &[]).await.expect_err("closed");
    assert!(matches!(failure, ProbeFailure::Closed), "{failure:?}");
    let (port, _requests) = server(vec!["junk\r\n\r\n".into()]).await;
    assert!(matches!(get(port, &[]).await, Err(ProbeFailure::Exchange(_))));
}

#[tokio::test]
async fn never_takes_longer_than_its_timeout() {
    let silent = TcpListener::bind((LOCAL, 0)).await.expect("a free port");
    let port = silent.local_addr().expect("bound").port();
    let began = Instant::now();
    let exec = ProbeCheck::Exec { argv: vec!["sleep".into(), "300".into()] };
    for hanging in [http(port, &[]), exec] {
        let impatient = Probe { timeout: Duration::from_millis(500), ..probe(hanging) };
        assert!(matches!(check(&impatient, LOCAL, &Here).await, Err(ProbeFailure::TimedOut(_))));
    }
    assert!(began.elapsed() < Duration::from_secs(100), "{:?}", began.elapsed());
}

#[tokio::test]
async fn takes_a_connection_for_success() {
    let listener = TcpListener::bind((LOCAL, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let tcp = probe(ProbeCheck::Tcp { host: None, port });
    check(&tcp, LOCAL, &Here).await.expect("it listens");
    drop(listener);
    let failure = check(&tcp, LOCAL, &Here).await.expect_err("nobody listens");
    assert_eq!(failure.to_string(), format!("connecting to 127.0.0.1:{port} failed"));
}

#[tokio::test]
async fn takes_exit_code_zero_for_success() {
    let exec =
        |script: &str| probe(ProbeCheck::Exec { argv: ["sh", "-c", script].map(str::to_owned).to_vec() });
    check(&exec("true"), LOCAL, &Here).await.expect("exit code 0");
    let failure = check(&exec("echo not yet; exit 3"), LOCAL, &Here).await.expect_err("exit code 3");
    assert_eq!(failure.to_string(), "\"sh\" ended with exit code 3: not yet");
    let missing = probe(ProbeCheck::Exec { argv: vec!["/no/such/program".into()] });
    assert!(matches!(check(&missing, LOCAL, &Here).await, Err(ProbeFailure::Exec { .. })));
}

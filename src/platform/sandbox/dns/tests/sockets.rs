use std::io;
use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::{lookup, serve};
use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// A responder on a free port of this machine, both for UDP and TCP; it ends with the test's runtime.
async fn responder(records: Records) -> (SocketAddr, watch::Sender<Records>) {
    let (udp, tcp) = loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = tcp.local_addr().expect("bound");
        // Another process may hold the same number for UDP.
        if let Ok(udp) = UdpSocket::bind(address).await {
            break (udp, tcp);
        }
    };
    let address = tcp.local_addr().expect("bound");
    let (sender, receiver) = watch::channel(records);
    tokio::spawn(serve(udp, tcp, vec![receiver]));
    (address, sender)
}

#[tokio::test]
async fn tells_our_own_clients_and_follows_changes() {
    let (server, sender) = responder(records(false)).await;
    let name = format!("db-0.{DOMAIN}");
    assert_eq!(lookup(server, &name, LIMIT).await.expect("known"), [IpAddr::V4(address(0))]);
    assert_eq!(lookup(server, DOMAIN, LIMIT).await.expect("known").len(), 2);
    sender.send(Records::new(&set(false), Vec::new())).expect("it listens");
    let gone = lookup(server, &name, LIMIT).await.expect_err("gone");
    assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    assert_eq!(lookup(server, DOMAIN, LIMIT).await.expect("the service stays"), Vec::<IpAddr>::new());
    drop(sender);
    assert!(lookup(server, DOMAIN, LIMIT).await.is_ok(), "the last records stay");
}

#[tokio::test]
async fn says_that_nobody_answers_when_the_time_is_over() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let server = silent.local_addr().expect("bound");
    let error = lookup(server, DOMAIN, Duration::from_millis(100)).await.expect_err("silence");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn gives_long_answers_over_tcp() {
    let pods = (0..200).map(|ordinal| PodRecord {
        name: format!("db-{ordinal}"),
        address: Ipv4Addr::new(10, 1, 1, ordinal),
        is_ready: true,
    });
    let (server, _sender) = responder(Records::new(&set(false), pods.collect())).await;
    assert_eq!(lookup(server, DOMAIN, LIMIT).await.expect("known").len(), 200);
}

#[tokio::test]
async fn answers_several_questions_on_one_connection() {
    let (server, _sender) = responder(records(false)).await;
    let mut stream = TcpStream::connect(server).await.expect("it listens");
    for ordinal in [0, 1] {
        let request = question(&format!("db-{ordinal}.{DOMAIN}"), RecordType::A);
        let bytes = request.to_vec().expect("encoded");
        stream.write_u16(bytes.len() as u16).await.expect("sent");
        stream.write_all(&bytes).await.expect("sent");
        let mut answer = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
        stream.read_exact(&mut answer).await.expect("an answer");
        let answer = Message::from_vec(&answer).expect("a message");
        assert_eq!(answer.metadata.id, request.metadata.id);
        assert_eq!(answer.answers.len(), 1);
    }
}

#[tokio::test]
async fn survives_junk_and_says_so_where_it_is_a_question() {
    let (server, _sender) = responder(records(false)).await;
    let client = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    client.connect(server).await.expect("connected");
    for length in [0_usize, 1, 11, 12, 100, 4000] {
        client.send(&vec![0x7f; length]).await.expect("sent");
    }
    let mut seed = 1_u32;
    for _ in 0..2000 {
        let junk: Vec<u8> = (0..60)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        client.send(&junk).await.expect("sent");
    }
    let mut stream = TcpStream::connect(server).await.expect("it listens");
    stream.write_all(&[0xff; 10]).await.expect("sent");
    assert_eq!(lookup(server, DOMAIN, LIMIT).await.expect("it still answers").len(), 2);

    let malformed = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    malformed.connect(server).await.expect("connected");
    malformed.send(&[0x12, 0x34, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0]).await.expect("sent");
    let mut buffer = vec![0; 512];
    let length =
        tokio::time::timeout(LIMIT, malformed.recv(&mut buffer)).await.expect("in time").expect("received");
    let answer = Message::from_vec(&buffer[..length]).expect("a message");
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (0x1234, ResponseCode::FormErr));
}

/// The resolver of the C library is what a store uses, and it asks for A and AAAA together.
#[tokio::test]
async fn is_understood_by_a_resolver_of_this_machine() {
    let (server, _sender) = responder(records(false)).await;
    let name = format!("db-1.{DOMAIN}");
    let lookup = tokio::process::Command::new("busybox")
        .args(["nslookup", &name, &server.to_string()])
        .stdin(Stdio::null())
        .output();
    let output = tokio::time::timeout(LIMIT, lookup).await.expect("in time").expect("busybox is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("10.1.0.11"), "{text}");
    assert!(!text.contains("NXDOMAIN") && !text.contains("can't find"), "{text}");
}

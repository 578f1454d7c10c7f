//! Against servers that misbehave in ways in which a real store does only by chance.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
/// For a call that comes to its end by itself.
const LONG: Duration = Duration::from_secs(20);
/// For one that waits until then. By that time its request has arrived.
const SHORT: Duration = Duration::from_secs(1);

/// Goes to one address, or nowhere.
struct To(Option<SocketAddr>);

#[async_trait]
impl Dial for To {
    async fn dial(&self, _: Endpoint, _: u16) -> io::Result<TcpStream> {
        match self.0 {
            Some(address) => TcpStream::connect(address).await,
            None => pending().await,
        }
    }

    fn names(&self, _: Endpoint) -> Vec<String> {
        Vec::new()
    }
}

/// What a server does with a request.
#[derive(Clone, Copy)]
enum Conduct {
    /// Says this and waits for the next request.
    Say(&'static [u8]),
    /// Says this and closes.
    SayAndClose(&'static [u8]),
    /// Nothing, for ever.
    Silence,
}

/// A server on the loopback that counts what reaches it.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    async fn start(conduct: Conduct) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = Self {
            address: listener.local_addr().expect("a bound address"),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (connections, requests) = (Arc::clone(&server.connections), Arc::clone(&server.requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, conduct, Arc::clone(&requests)));
            }
        });
        server
    }

    fn connection(&self, endpoint: Endpoint) -> Connection {
        Connection::new(Arc::new(To(Some(self.address))), endpoint, 0)
    }

    fn seen(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

async fn serve(mut stream: TcpStream, conduct: Conduct, requests: Arc<AtomicUsize>) {
    let mut received = Vec::new();
    while stream.read_buf(&mut received).await.is_ok_and(|read| read > 0) {
        if !received.ends_with(b"\r\n\r\n") {
            continue;
        }
        received.clear();
        requests.fetch_add(1, Ordering::SeqCst);
        match conduct {
            Conduct::Say(answer) => stream.write_all(answer).await.expect("the client listens"),
            Conduct::SayAndClose(answer) => {
                stream.write_all(answer).await.expect("the client listens");
                return;
            }
            Conduct::Silence => pending().await,
        }
    }
}

async fn get(connection: &mut Connection) -> Result<Answer, CallError> {
    get_within(LONG, connection).await
}

async fn get_within(limit: Duration, connection: &mut Connection) -> Result<Answer, CallError> {
    let call = Call {
        method: Method::GET,
        path: "/",
        body: Vec::new(),
        authorization: None,
        answer_limit: 100,
        deadline: Instant::now() + limit,
    };
    connection.call(call).await
}

/// One call to such a server, given up after so long.
async fn one_call(limit: Duration, conduct: Conduct) -> CallError {
    let server = Server::start(conduct).await;
    let mut connection = server.connection(Endpoint::Member(0));
    let error = get_within(limit, &mut connection).await.expect_err("it misbehaves");
    assert_eq!(server.seen(), (1, 1), "a request must be sent once, whatever happens to it");
    error
}

#[tokio::test]
async fn a_member_keeps_its_connection_and_the_service_does_not() {
    let server = Server::start(Conduct::Say(GOOD)).await;
    let mut member = server.connection(Endpoint::Member(0));
    for _ in 0..3 {
        get(&mut member).await.expect("a good server");
    }
    assert_eq!(server.seen(), (1, 3));
    let mut service = server.connection(Endpoint::Service);
    for _ in 0..3 {
        get(&mut service).await.expect("a good server");
    }
    assert_eq!(server.seen(), (4, 6));
}

#[tokio::test]
async fn a_connection_that_the_store_closed_meanwhile_is_made_anew() {
    let server = Server::start(Conduct::SayAndClose(GOOD)).await;
    let mut connection = server.connection(Endpoint::Member(0));
    get(&mut connection).await.expect("a whole answer");
    let until = Instant::now() + LONG;
    while connection.open.as_ref().is_some_and(|open| !open.sender.is_closed()) {
        assert!(Instant::now() < until, "nobody hears that it was closed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    get(&mut connection).await.expect("a new connection");
    assert_eq!(server.seen(), (2, 2));
}

#[tokio::test]
async fn what_was_never_sent_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let closed = listener.local_addr().expect("a bound address");
    drop(listener);
    for nowhere in [Some(closed), None] {
        let mut connection = Connection::new(Arc::new(To(nowhere)), Endpoint::Member(0), 0);
        let limit = if nowhere.is_some() { LONG } else { SHORT };
        let error = get_within(limit, &mut connection).await.expect_err("there is nobody");
        assert!(matches!(error, CallError::NotSent(_)), "{error}");
        assert!(matches!(Failure::from(error), Failure::NotApplied(_)));
    }
}

#[tokio::test]
async fn a_request_without_a_whole_answer_is_unknown() {
    let endless: &[u8] =
        &[b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".as_slice(), &[b' '; 1000]].concat();
    for (limit, conduct) in [
        (SHORT, Conduct::Silence),
        (LONG, Conduct::SayAndClose(b"")),
        (LONG, Conduct::SayAndClose(b"HTTP/1.1 200 O")),
        (LONG, Conduct::SayAndClose(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"half\":")),
        (SHORT, Conduct::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{\"half\":")),
        (LONG, Conduct::Say(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")),
        (LONG, Conduct::Say(Box::leak(endless.to_vec().into_boxed_slice()))),
    ] {
        let error = one_call(limit, conduct).await;
        assert!(matches!(error, CallError::NoAnswer(_)), "{error}");
        assert!(matches!(Failure::from(error), Failure::Unknown(_)));
    }
}

//! The sockets of the responder.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Records;
use super::records::{answer, udp_limit};

/// How long a client may keep a TCP connection without asking.
const IDLE: Duration = Duration::from_secs(5);

/// How many TCP clients are served at a time; the others wait in the listener's queue.
const MAX_CONNECTIONS: usize = 64;

/// After an error of a socket itself, which would else be retried without end at full speed.
const PAUSE: Duration = Duration::from_millis(20);

/// Answers on both sockets with the newest `records` of each set until it is dropped.
pub async fn serve(udp: UdpSocket, tcp: TcpListener, records: Vec<watch::Receiver<Records>>) {
    let responder = Arc::new(Responder { records, turn: AtomicUsize::new(0) });
    tokio::join!(serve_udp(&udp, &responder), serve_tcp(&tcp, &responder));
}

struct Responder {
    records: Vec<watch::Receiver<Records>>,
    turn: AtomicUsize,
}

enum Transport {
    Udp,
    Tcp,
}

impl Responder {
    /// The bytes to send back, if any.
    fn respond(&self, bytes: &[u8], transport: &Transport) -> Option<Vec<u8>> {
        let Ok(request) = Message::from_vec(bytes) else {
            return malformed(bytes);
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let sets: Vec<_> = self.records.iter().map(watch::Receiver::borrow).collect();
        let response = answer(&sets, &request, turn)?;
        let encoded = response.to_vec().ok()?;
        match transport {
            Transport::Udp if encoded.len() > udp_limit(&request) => response.truncate().to_vec().ok(),
            Transport::Udp | Transport::Tcp => Some(encoded),
        }
    }
}

/// Says that a question is not understood, if it has a header that says that it is one (RFC 1035, section 4.1.1).
fn malformed(bytes: &[u8]) -> Option<Vec<u8>> {
    let header = bytes.first_chunk::<12>()?;
    let is_response = header[2] & 0x80 != 0;
    let id = u16::from_be_bytes([header[0], header[1]]);
    if is_response {
        return None;
    }
    Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok()
}

async fn serve_udp(socket: &UdpSocket, responder: &Responder) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, client)) => {
                if let Some(answer) = responder.respond(&buffer[..length], &Transport::Udp) {
                    // A client that is gone does not need its answer; others ask again.
                    let _gone = socket.send_to(&answer, client).await;
                }
            }
            // An earlier answer's ICMP error is told here (man 7 udp), so it is no reason to stop.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn serve_tcp(listener: &TcpListener, responder: &Arc<Responder>) {
    let mut clients = JoinSet::new();
    loop {
        while clients.len() >= MAX_CONNECTIONS {
            clients.join_next().await;
        }
        while clients.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                clients.spawn(serve_stream(stream, Arc::clone(responder)));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Questions on one TCP connection, each with its length before it (RFC 1035, section 4.2.2).
async fn serve_stream(mut stream: TcpStream, responder: Arc<Responder>) {
    loop {
        let exchange = async {
            let mut request = vec![0; usize::from(stream.read_u16().await.ok()?)];
            stream.read_exact(&mut request).await.ok()?;
            let answer = responder.respond(&request, &Transport::Tcp)?;
            let length = u16::try_from(answer.len()).ok()?;
            stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await.ok()
        };
        if !matches!(tokio::time::timeout(IDLE, exchange).await, Ok(Some(()))) {
            return;
        }
    }
}

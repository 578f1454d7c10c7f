//! Asking the responder, for our own clients: they must not depend on the resolver of the host.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// A question over UDP is sent again after this time, because UDP loses packets.
const RESEND: Duration = Duration::from_millis(500);

/// The addresses of `name`, which must be complete, as `server` gives them; in their order. No address is an empty list,
/// no such name is an error of kind [`io::ErrorKind::NotFound`], no answer within `limit` one of
/// [`io::ErrorKind::TimedOut`].
pub async fn lookup(server: SocketAddr, name: &str, limit: Duration) -> io::Result<Vec<IpAddr>> {
    let exchange = async {
        let request = question(name)?;
        let response = over_udp(server, &request).await?;
        let response =
            if response.metadata.truncation { over_tcp(server, &request).await? } else { response };
        addresses(name, &response)
    };
    tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
        let text = format!("{server} did not say within {limit:?} what {name} is");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

fn question(name: &str) -> io::Result<Message> {
    let mut name = Name::from_ascii(name).map_err(invalid_data)?;
    name.set_fqdn(true);
    let mut request = Message::query();
    request.metadata.recursion_desired = true;
    request.add_query(Query::query(name, RecordType::A));
    Ok(request)
}

async fn over_udp(server: SocketAddr, request: &Message) -> io::Result<Message> {
    let local = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(local).await?;
    // A connected socket hears only this server (man 7 udp).
    socket.connect(server).await?;
    let bytes = request.to_vec().map_err(invalid_data)?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        socket.send(&bytes).await?;
        let answer = tokio::time::timeout(RESEND, async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                match Message::from_vec(&buffer[..length]) {
                    Ok(response) if answers(request, &response) => return Ok(response),
                    Ok(_) | Err(_) => {}
                }
            }
        });
        if let Ok(response) = answer.await {
            return response;
        }
    }
}

async fn over_tcp(server: SocketAddr, request: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let bytes = request.to_vec().map_err(invalid_data)?;
    let length = u16::try_from(bytes.len()).map_err(invalid_data)?;
    stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    let response = Message::from_vec(&answer).map_err(invalid_data)?;
    if answers(request, &response) {
        Ok(response)
    } else {
        Err(invalid_data("an answer to another question"))
    }
}

fn answers(request: &Message, response: &Message) -> bool {
    response.metadata.id == request.metadata.id && response.queries == request.queries
}

fn addresses(name: &str, response: &Message) -> io::Result<Vec<IpAddr>> {
    match response.metadata.response_code {
        ResponseCode::NoError => Ok(response
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            })
            .collect()),
        ResponseCode::NXDomain => {
            Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no name {name}")))
        }
        code => Err(io::Error::other(format!("the question for {name} was answered with {code}"))),
    }
}

fn invalid_data(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

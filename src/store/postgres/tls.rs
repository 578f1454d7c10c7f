//! TLS as PostgreSQL's protocol asks for it: after a word in plain text, on the same connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsConnect};
use tokio_rustls::client::TlsStream;

use crate::store::tls::Way;

/// A connection that is secure.
pub struct Secured(TlsStream<TcpStream>);

impl<'a> TlsConnect<TcpStream> for &'a Way {
    type Stream = Secured;
    type Error = io::Error;
    type Future = BoxFuture<'a, io::Result<Secured>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move { self.secure(stream).await.map(Secured) })
    }
}

impl tokio_postgres::tls::TlsStream for Secured {
    /// The certificate is looked at by [`Way`], so a password need not be bound to it as well.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

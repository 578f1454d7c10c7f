//! A netlink socket in the network namespace in which it was opened (netlink(7)).
//!
//! rtnetlink and nfnetlink work on a request before send(2) returns, so that every answer is already waiting then: nothing
//! here ever blocks, and an answer that is missing is an error at once. It can only be missing where another process holds
//! the same socket and has read it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use netlink_bindings::builtin::Nlmsghdr;
use netlink_bindings::traits::{NetlinkRequest, Protocol};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
    sockopt,
};

/// A dump fills at most one of these per message (`NLMSG_GOODSIZE` and netlink_dump).
const BUFFER: usize = 64 * 1024;

static SEQUENCE: AtomicU32 = AtomicU32::new(1);

/// The first of `count` sequence numbers that this process has not used yet. Each process begins elsewhere, because two of
/// them may hold the same socket.
pub(in crate::host) fn take_sequence(count: u32) -> u32 {
    let spread = std::process::id().wrapping_mul(0x9E37_79B1);
    SEQUENCE.fetch_add(count, Ordering::Relaxed).wrapping_add(spread)
}

/// See the module.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Opens one in the network namespace of the calling thread.
    pub fn open(protocol: SockProtocol) -> io::Result<Self> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&fd, sockopt::RcvBuf, &(1 << 20))?;
        Ok(Self(fd))
    }

    /// One that was opened before, perhaps by another process.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The descriptor itself, for one who only keeps it.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Sends a query and hands every answer to `each`.
    pub(in crate::host) fn query<Request: NetlinkRequest>(
        &self,
        request: &Request,
        mut each: impl FnMut(Request::ReplyType<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Protocol::Raw { request_type, .. } = request.protocol() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let sequence = take_sequence(1);
        let header = Nlmsghdr {
            len: (Nlmsghdr::len() + request.payload().len()) as u32,
            r#type: request_type,
            flags: request.flags() | libc::NLM_F_REQUEST as u16 | libc::NLM_F_ACK as u16,
            seq: sequence,
            pid: 0,
        };
        self.forget_answers();
        self.send(&[header.as_slice(), request.payload()].concat())?;
        let (mut result, mut is_complete) = (Ok(()), false);
        self.receive(|header, payload| {
            if header.seq != sequence || result.is_err() {
                return;
            }
            result = match i32::from(header.r#type) {
                libc::NLMSG_ERROR | libc::NLMSG_DONE => {
                    is_complete = true;
                    match error_code(payload) {
                        0.. => Ok(()),
                        code => Err(io::Error::from_raw_os_error(-code)),
                    }
                }
                // What is read changed meanwhile: half of it may be old.
                _ if header.flags & libc::NLM_F_DUMP_INTR as u16 != 0 => {
                    Err(io::ErrorKind::Interrupted.into())
                }
                _ => each(Request::decode_reply(payload)),
            };
        })?;
        // Half an answer must not be taken for the whole.
        if is_complete { result } else { result.and(Err(io::ErrorKind::Interrupted.into())) }
    }

    pub(in crate::host) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        // To the kernel, whose port is 0; the socket gets a port of its own on the way (netlink(7)).
        let kernel = NetlinkAddr::new(0, 0);
        loop {
            match sendto(self.0.as_raw_fd(), bytes, &kernel, MsgFlags::empty()) {
                Ok(sent) if sent == bytes.len() => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(in crate::host) fn forget_answers(&self) {
        let mut buffer = [0; 64];
        while recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).is_ok() {}
    }

    /// Every message that waits, a dump's next parts included.
    pub(in crate::host) fn receive(&self, mut each: impl FnMut(&Nlmsghdr, &[u8])) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(Errno::EAGAIN) => return Ok(()),
                Ok(length) => length,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let mut rest = &buffer[..length];
            while let Some(header) = rest.get(..Nlmsghdr::len()).map(Nlmsghdr::from_slice) {
                let end = (header.len as usize).clamp(Nlmsghdr::len(), rest.len());
                each(header, &rest[Nlmsghdr::len()..end]);
                rest = rest.get(end.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

/// The error number at the head of an error or done message, 0 for an acknowledgement.
pub(in crate::host) fn error_code(payload: &[u8]) -> i32 {
    payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes))
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

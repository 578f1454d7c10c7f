//! A netlink socket for nftables, in the network namespace in which it was opened.
//!
//! nfnetlink works on a request before send(2) returns, so that every answer is already waiting then: nothing here ever
//! blocks, and an answer that is missing is an error at once.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use netlink_bindings::builtin::Nlmsghdr;
use netlink_bindings::nftables::{Chained, Nfgenmsg};
use netlink_bindings::traits::{NetlinkChained, NetlinkRequest, Protocol};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
    sockopt,
};

/// `NFNL_SUBSYS_NFTABLES`, to which a batch speaks.
const NFTABLES: u16 = 10;
/// A dump fills at most one of these per message (`NLMSG_GOODSIZE` and netlink_dump).
const BUFFER: usize = 64 * 1024;

static SEQUENCE: AtomicU32 = AtomicU32::new(1);

/// Messages that take effect together or not at all.
pub(super) struct Batch {
    bytes: Vec<u8>,
    first: u32,
    len: u32,
}

impl Batch {
    /// A batch of what `fill` asks for.
    pub(super) fn of(fill: impl FnOnce(&mut Chained)) -> Self {
        let mut edge = Nfgenmsg::new();
        edge.set_res_id(NFTABLES);
        // Room for more messages than any cut needs; what answers carry is compared with this range.
        let first = SEQUENCE.fetch_add(4096, Ordering::Relaxed);
        let mut chained = Chained::new(first);
        chained.request().op_batch_begin_do(&edge);
        fill(&mut chained);
        chained.request().op_batch_end_do(&edge);
        let finished = chained.finalize();
        Self { len: finished.chain_len() as u32, bytes: finished.payload().to_vec(), first }
    }

    fn place_of(&self, sequence: u32) -> Option<u32> {
        let place = sequence.wrapping_sub(self.first);
        (place < self.len).then_some(place)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Opens one in the network namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        )?;
        setsockopt(&fd, sockopt::RcvBuf, &(1 << 20))?;
        Ok(Self(fd))
    }

    /// One that was opened before, perhaps by another process.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Sends a batch and takes the kernel's answers: it has taken effect, or nothing of it has.
    pub(super) fn transact(&self, batch: &Batch) -> io::Result<()> {
        self.forget_answers();
        self.send(&batch.bytes)?;
        let mut acknowledged = 0;
        let mut failure = None;
        self.receive(|header, payload| {
            let Some(place) = batch.place_of(header.seq) else {
                return;
            };
            if i32::from(header.r#type) == libc::NLMSG_ERROR {
                match error_code(payload) {
                    0 if place != 0 && place != batch.len - 1 => acknowledged += 1,
                    0 => {}
                    code => {
                        failure.get_or_insert(io::Error::from_raw_os_error(-code));
                    }
                }
            }
        })?;
        match failure {
            Some(error) => Err(error),
            None if acknowledged == batch.len - 2 => Ok(()),
            None => Err(io::Error::other(format!(
                "the kernel acknowledged {acknowledged} of {} nftables messages",
                batch.len - 2
            ))),
        }
    }

    /// Sends a query and hands every answer to `each`.
    pub(super) fn query<Request: NetlinkRequest>(
        &self,
        request: &Request,
        mut each: impl FnMut(Request::ReplyType<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Protocol::Raw { request_type, .. } = request.protocol() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        let header = Nlmsghdr {
            len: (Nlmsghdr::len() + request.payload().len()) as u32,
            r#type: request_type,
            flags: request.flags() | libc::NLM_F_REQUEST as u16 | libc::NLM_F_ACK as u16,
            seq: sequence,
            pid: 0,
        };
        self.forget_answers();
        self.send(&[header.as_slice(), request.payload()].concat())?;
        let mut result = Ok(());
        self.receive(|header, payload| {
            if header.seq != sequence || result.is_err() {
                return;
            }
            result = match i32::from(header.r#type) {
                libc::NLMSG_ERROR | libc::NLMSG_DONE => match error_code(payload) {
                    0.. => Ok(()),
                    code => Err(io::Error::from_raw_os_error(-code)),
                },
                // The ruleset changed while it was being read: half of it may be old.
                _ if header.flags & libc::NLM_F_DUMP_INTR as u16 != 0 => {
                    Err(io::ErrorKind::Interrupted.into())
                }
                _ => each(Request::decode_reply(payload)),
            };
        })?;
        result
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
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

    fn forget_answers(&self) {
        let mut buffer = [0; 64];
        while recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).is_ok() {}
    }

    /// Every message that waits, a dump's next parts included.
    fn receive(&self, mut each: impl FnMut(&Nlmsghdr, &[u8])) -> io::Result<()> {
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
fn error_code(payload: &[u8]) -> i32 {
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

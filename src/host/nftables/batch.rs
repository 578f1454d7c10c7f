//! Messages to nftables that take effect together or not at all.

use std::io;

use netlink_bindings::nftables::{Chained, Nfgenmsg};
use netlink_bindings::traits::NetlinkChained;
use nix::libc;

use crate::host::netlink::socket::{Socket, error_code, take_sequence};

/// `NFNL_SUBSYS_NFTABLES`, to which a batch speaks.
const NFTABLES: u16 = 10;

/// See the module.
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
        let first = take_sequence(4096);
        let mut chained = Chained::new(first);
        chained.request().op_batch_begin_do(&edge);
        fill(&mut chained);
        chained.request().op_batch_end_do(&edge);
        let finished = chained.finalize();
        Self { len: finished.chain_len() as u32, bytes: finished.payload().to_vec(), first }
    }

    /// Sends it and takes the kernel's answers: it has taken effect, or nothing of it has.
    pub(super) fn transact(&self, socket: &Socket) -> io::Result<()> {
        socket.forget_answers();
        socket.send(&self.bytes)?;
        let mut acknowledged = 0;
        let mut failure = None;
        socket.receive(|header, payload| {
            let Some(place) = self.place_of(header.seq) else {
                return;
            };
            if i32::from(header.r#type) == libc::NLMSG_ERROR {
                match error_code(payload) {
                    0 if place != 0 && place != self.len - 1 => acknowledged += 1,
                    0 => {}
                    code => {
                        failure.get_or_insert(io::Error::from_raw_os_error(-code));
                    }
                }
            }
        })?;
        match failure {
            Some(error) => Err(error),
            None if acknowledged == self.len - 2 => Ok(()),
            None => Err(io::Error::other(format!(
                "the kernel acknowledged {acknowledged} of {} nftables messages",
                self.len - 2
            ))),
        }
    }

    fn place_of(&self, sequence: u32) -> Option<u32> {
        let place = sequence.wrapping_sub(self.first);
        (place < self.len).then_some(place)
    }
}

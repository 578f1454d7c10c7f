//! Probes whose way out of a pod the kernel times.
//!
//! A probe is one byte by UDP. The kernel tells when it was handed to the queueing discipline and when the device sent it
//! (`SO_TIMESTAMPING`, Documentation/networking/timestamping.rst): in between it waited, and nobody at the other end has to
//! answer for that to be known. What the discipline loses is handed over and never sent; what cannot leave, because nobody
//! has the address or a rule drops it, is not even handed over. Probes do arrive, and what answers them is not let in.
//!
//! A packet belongs to its sender's socket until somebody receives it. A device on top of another one hands it over again, and
//! on some kernels (6.1) so does a bridge beyond the pod's own device, which then sends it at once: of each probe only the first
//! times count.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, TimestampingFlag, recvmsg, setsockopt, sockopt};
use nix::sys::time::{TimeSpec, TimeValLike};

/// When it is handed over, when it is sent, with a number for each probe, without the packet itself.
const TIMES: u32 = libc::SOF_TIMESTAMPING_SOFTWARE
    | libc::SOF_TIMESTAMPING_TX_SCHED
    | libc::SOF_TIMESTAMPING_TX_SOFTWARE
    | libc::SOF_TIMESTAMPING_OPT_ID
    | libc::SOF_TIMESTAMPING_OPT_TSONLY;
/// `SCM_TSTAMP_SND` and `SCM_TSTAMP_SCHED` of linux/errqueue.h.
const SENT: u32 = 0;
const HANDED: u32 = 1;
/// Probes that are remembered: those that are lost never come back, and others come again.
const REMEMBERED: usize = 4_096;

/// Sends probes and hears of them.
#[derive(Debug)]
pub struct Probes {
    v4: Probe,
    /// Where the kernel has IPv6.
    v6: Option<Probe>,
}

/// What has been heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many probes were handed to the discipline.
    pub handed: u64,
    /// How long each waited that was sent.
    pub waited: Vec<Duration>,
}

impl Probes {
    /// Opens sockets for them in the network namespace of the calling thread.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            v4: Probe::open(Ipv4Addr::UNSPECIFIED.into())?,
            v6: Probe::open(Ipv6Addr::UNSPECIFIED.into()).ok(),
        })
    }

    /// Sends one, as far as that is possible now: there may be no way, no room, or a rule against it.
    pub fn send(&self, to: IpAddr, port: u16) {
        let probe = match to {
            IpAddr::V4(_) => Some(&self.v4),
            IpAddr::V6(_) => self.v6.as_ref(),
        };
        // What was not sent is not handed over, and counts for nothing.
        let _ = probe.map(|probe| probe.socket.send_to(&[0], (to, port)));
    }

    /// What has been heard since the last time.
    pub fn hear(&mut self) -> io::Result<Seen> {
        let mut seen = Seen::default();
        for probe in std::iter::once(&mut self.v4).chain(self.v6.as_mut()) {
            probe.hear(&mut seen)?;
        }
        Ok(seen)
    }

    /// Waits until there may be something to hear, or for this long.
    pub fn wait(&self, limit: Duration) {
        let until = Instant::now() + limit;
        // An error queue that holds something is told without being asked for (poll(2)).
        let sockets = std::iter::once(&self.v4).chain(self.v6.as_ref());
        let mut fds: Vec<_> =
            sockets.map(|probe| PollFd::new(probe.socket.as_fd(), PollFlags::empty())).collect();
        let left = until.saturating_duration_since(Instant::now()).as_millis();
        // Whatever wakes it only makes the caller look again.
        let _ = poll(&mut fds, PollTimeout::from(u16::try_from(left).unwrap_or(u16::MAX)));
    }
}

/// Lets nothing in (socket(7), `SO_ATTACH_FILTER`): answers would fill the room that the times need.
fn deafen(socket: &UdpSocket) -> io::Result<()> {
    let mut nothing = libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 };
    let filter = libc::sock_fprog { len: 1, filter: &raw mut nothing };
    // SAFETY: the kernel copies both, which live until the call is over.
    let attached = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size_of_val(&filter) as libc::socklen_t,
        )
    };
    Errno::result(attached)?;
    Ok(())
}

#[derive(Debug)]
struct Probe {
    socket: UdpSocket,
    /// When each of the last ones was handed over, until it is sent.
    handed: BTreeMap<u32, Option<TimeSpec>>,
}

impl Probe {
    fn open(address: IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((address, 0))?;
        socket.set_nonblocking(true)?;
        deafen(&socket)?;
        setsockopt(&socket, sockopt::Timestamping, &TimestampingFlag::from_bits_retain(TIMES))?;
        Ok(Self { socket, handed: BTreeMap::new() })
    }

    fn hear(&mut self, seen: &mut Seen) -> io::Result<()> {
        while let Some((what, which, when)) = self.next()? {
            match what {
                HANDED if !self.handed.contains_key(&which) => {
                    seen.handed += 1;
                    self.handed.insert(which, Some(when));
                }
                SENT => {
                    if let Some(handed) = self.handed.get_mut(&which).and_then(Option::take) {
                        // A clock that was set meanwhile shows nothing.
                        let waited = u64::try_from((when - handed).num_nanoseconds()).ok();
                        seen.waited.extend(waited.map(Duration::from_nanos));
                    }
                }
                _ => {}
            }
        }
        while self.handed.len() > REMEMBERED {
            self.handed.pop_first();
        }
        Ok(())
    }

    /// The next time that waits: of what, of which probe, when.
    fn next(&self) -> io::Result<Option<(u32, u32, TimeSpec)>> {
        let mut room = nix::cmsg_space!([libc::timespec; 3], libc::sock_extended_err, libc::sockaddr_in6);
        let mut nothing = [0; 1];
        let mut data = [IoSliceMut::new(&mut nothing)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        loop {
            let message = match recvmsg::<()>(self.socket.as_raw_fd(), &mut data, Some(&mut room), flags) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let (mut when, mut whose) = (None, None);
            for part in message.cmsgs()? {
                match part {
                    ControlMessageOwned::ScmTimestampsns(times) => when = Some(times.system),
                    ControlMessageOwned::Ipv4RecvErr(told, _) | ControlMessageOwned::Ipv6RecvErr(told, _) => {
                        whose = Some((told.ee_info, told.ee_data));
                    }
                    _ => {}
                }
            }
            if let (Some(when), Some((what, which))) = (when, whose) {
                return Ok(Some((what, which, when)));
            }
        }
    }
}

//! The holder's own side: one thread, one loop over everything it waits for.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::sethostname;

use super::children::Children;
use super::{CONTROL_DESCRIPTOR, Event, Request};
use crate::host::namespace::inherited;
use crate::host::netlink;
use crate::platform::sandbox::network::{GATEWAY, POD_INTERFACE, PREFIX};

/// `seatrial __sandbox-pod HOSTNAME PROGRAM`, as process 1 of the pod.
pub fn pod_main(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let mut arguments = arguments.into_iter();
    let (Some(hostname), Some(program)) = (arguments.next(), arguments.next()) else {
        eprintln!("seatrial: a pod needs its hostname and the program");
        return 2;
    };
    match hold(&hostname, program) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("seatrial: the holder of {} failed: {error}", hostname.display());
            1
        }
    }
}

/// Lives until init closes its end.
fn hold(hostname: &std::ffi::OsStr, program: OsString) -> io::Result<()> {
    let mut control = UnixStream::from(inherited(CONTROL_DESCRIPTOR)?);
    sethostname(hostname)?;
    netlink::set_up("lo")?;
    // As container runtimes do since ports below 1024 need no privilege in a namespace of one's own (ip(7)).
    let _ = std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    let mut child_signal = SigSet::empty();
    child_signal.add(Signal::SIGCHLD);
    child_signal.thread_block()?;
    let signals = SignalFd::with_flags(&child_signal, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let mut children = Children::new(program);
    let mut pending = Vec::new();
    loop {
        wait_for_anything(&control, &signals, &children)?;
        while signals.read_signal()?.is_some() {}
        for event in children.advance() {
            send(&mut control, &event)?;
        }
        if !is_readable(control.as_fd())? {
            continue;
        }
        let mut buffer = [0; 8192];
        let length = control.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        pending.extend_from_slice(&buffer[..length]);
        while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            if let Some(event) = obey(serde_json::from_slice(&line)?, &mut children) {
                send(&mut control, &event)?;
            }
        }
    }
}

fn obey(request: Request, children: &mut Children) -> Option<Event> {
    match request {
        Request::Network { address } => {
            let configured = netlink::add_address(POD_INTERFACE, address, PREFIX)
                .and_then(|()| netlink::set_up(POD_INTERFACE))
                .and_then(|()| netlink::add_default_route(GATEWAY));
            Some(Event::Network(configured.map_err(|error| error.to_string())))
        }
        Request::Start(id, plan) => not_started(id, children.start(id, &plan)),
        Request::Exec(id, container, plan) => not_started(id, children.exec(id, container, *plan)),
        Request::Signal(id, signal) => {
            children.signal(id, signal);
            None
        }
    }
}

fn not_started(id: u64, result: io::Result<()>) -> Option<Event> {
    result.err().map(|error| Event::NotStarted(id, error.to_string()))
}

fn send(control: &mut UnixStream, event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    control.write_all(&line)
}

fn wait_for_anything(control: &UnixStream, signals: &SignalFd, children: &Children) -> io::Result<()> {
    let reports = children.reports().map(|report: &OwnedFd| report.as_fd());
    let mut watched: Vec<PollFd> = [control.as_fd(), signals.as_fd()]
        .into_iter()
        .chain(reports)
        .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
        .collect();
    match poll(&mut watched, PollTimeout::NONE) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is_readable(descriptor: std::os::fd::BorrowedFd<'_>) -> io::Result<bool> {
    Ok(poll(&mut [PollFd::new(descriptor, PollFlags::POLLIN)], PollTimeout::ZERO)? > 0)
}

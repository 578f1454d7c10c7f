//! For tests: a process whose first thread has ended while others go on.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;

use super::ProcessId;

/// Tells this test binary that it is one.
const HEADLESS: &str = "SEATRIAL_TEST_HEADLESS";

/// This binary, for one test alone, which begins by becoming one with [`be_where_asked`].
pub(crate) fn command(test: &str) -> Command {
    let mut again = Command::new(std::env::current_exe().expect("this is a program"));
    again.args(["--exact", test, "--nocapture"]).env(HEADLESS, "");
    again.stdin(Stdio::piped()).stdout(Stdio::null());
    again
}

/// Ends the first thread where this process is to be one, as a kill may while others are still at work; what is left ends at
/// the end of its input.
pub(crate) fn be_where_asked() {
    extern "C" fn end_of_a_thread(_: i32) {
        // SAFETY: exit(2) takes an integer, and ends the calling thread alone.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
    if std::env::var_os(HEADLESS).is_none() {
        return;
    }
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let (own, handler) = (std::process::id().cast_signed(), end_of_a_thread as extern "C" fn(i32));
    // SAFETY: the handler makes one system call and nothing else.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    // SAFETY: tgkill(2) takes three integers.
    Errno::result(unsafe { libc::syscall(libc::SYS_tgkill, own, own, libc::SIGUSR1) }).expect("ours");
    loop {
        std::thread::park();
    }
}

/// Waits until its first thread has ended.
pub(crate) fn wait_for(process: ProcessId) {
    let until = Instant::now() + Duration::from_secs(30);
    while process.is_alive().expect("readable") {
        assert!(Instant::now() < until, "its first thread does not end");
        std::thread::yield_now();
    }
}

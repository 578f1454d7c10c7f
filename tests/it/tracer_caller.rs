//! A process that makes one system call at a time, as it is told, and says how it was answered.

use std::collections::HashMap;
use std::ffi::CString;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::ptr::null;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use seatrial::host::process::ProcessId;
use seatrial::node::LocatedContainer;

use crate::again::alone;
use crate::node_pod::Pod;
use crate::node_writer::be_strict;

/// Tells the program that it is a caller.
const CALLER: &str = "SEATRIAL_TEST_CALLER";

/// What begins the lines that are answers.
const ANSWER: &str = "answered ";

/// How a call was answered, and how long that took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub errno: i32,
    pub took: Duration,
}

/// What a thread found that made one call after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hammered {
    /// Answers other than the errors that may be.
    pub wrong: usize,
    /// Answers with the first error that may be.
    pub failed: usize,
    /// Calls after which the register of an argument had another value.
    pub changed: usize,
}

pub struct Caller {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Caller {
    /// One of which nothing is special.
    pub fn start() -> Self {
        Self::by(Command::new(program()))
    }

    /// One that seccomp(2) kills at any call without a name.
    pub fn strict() -> Self {
        let mut caller = Self::start();
        caller.must("strict");
        caller
    }

    /// One in a mount namespace of its own, in which `script` has been run.
    pub fn within(script: &str) -> Self {
        let mut command = Command::new("unshare");
        let script = format!("set -e; {script}; exec {} \"$@\"", program().display());
        command.args(["--mount", "sh", "-c", &script, "sh"]);
        Self::by(command)
    }

    fn by(mut command: Command) -> Self {
        command.args(alone("tracer_caller::a_caller_does_what_it_is_told")).env(CALLER, "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("installed");
        let orders = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut caller = Self { child, orders, answers };
        caller.must("wake");
        caller
    }

    pub fn process(&self) -> ProcessId {
        ProcessId::of(self.child.id().cast_signed()).expect("readable").expect("ours")
    }

    fn ask(&mut self, order: &str) -> Vec<i64> {
        writeln!(self.orders, "{order}").expect("it lives");
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.answers.read_line(&mut line).expect("readable") > 0, "it ended at {order}");
            if let Some(numbers) = line.strip_prefix(ANSWER) {
                return numbers.split_whitespace().map(|number| number.parse().expect("a number")).collect();
            }
        }
    }

    /// Has it make one call: see [`obey`].
    pub fn call(&mut self, order: &str) -> Answer {
        let numbers = self.ask(order);
        Answer { errno: numbers[0] as i32, took: Duration::from_micros(numbers[1] as u64) }
    }

    /// The error of one call; 0 where there was none.
    pub fn errno(&mut self, order: &str) -> i32 {
        self.call(order).errno
    }

    /// Has its first thread make so many calls beside so many threads that call all the time; how many those made meanwhile.
    pub fn call_beside(&mut self, threads: u32, calls: u32) -> u64 {
        self.ask(&format!("beside {threads} {calls}"))[0].cast_unsigned()
    }

    #[track_caller]
    pub fn must(&mut self, order: &str) {
        assert_eq!(self.errno(order), 0, "{order}");
    }

    /// Has it begin to write to a file that it has open, for so long; [`hammered`](Self::hammered) says what came of it.
    pub fn hammer(&mut self, name: &str, lasting: Duration, errnos: &[i32]) {
        let errnos: Vec<String> = errnos.iter().map(ToString::to_string).collect();
        writeln!(self.orders, "hammer {name} {} {}", lasting.as_micros(), errnos.join(","))
            .expect("it lives");
    }

    pub fn hammered(&mut self) -> Hammered {
        let numbers = self.ask("wake-after-hammering");
        let [wrong, failed, changed] = [0, 1, 2].map(|at| numbers[at] as usize);
        // The answer to that order, which is none.
        let mut line = String::new();
        while !line.starts_with(ANSWER) {
            line.clear();
            self.answers.read_line(&mut line).expect("readable");
        }
        Hammered { wrong, failed, changed }
    }
}

impl Caller {
    /// Makes it the only container of a pod.
    pub fn be_in(&self, pod: &mut Pod) {
        let pid = self.process().pid;
        let container = LocatedContainer { name: "main".to_owned(), pid, cgroup: None, throttle: None };
        pod.located.containers = vec![container];
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> std::path::PathBuf {
    std::env::current_exe().expect("this is a program")
}

/// Does what it is told until nobody tells it anything.
fn be_the_caller() {
    let mut open = HashMap::new();
    for order in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = order.split(' ').collect();
        if let ["hammer", name, micros, errnos] = words[..] {
            let lasting = Duration::from_micros(micros.parse().expect("a number"));
            let errnos: Vec<i32> = errnos.split(',').map(|errno| errno.parse().expect("one")).collect();
            let Hammered { wrong, failed, changed } = hammer(open[name], lasting, &errnos);
            println!("{ANSWER}{wrong} {failed} {changed}");
            continue;
        }
        if let ["beside", threads, calls] = words[..] {
            let [threads, calls] = [threads, calls].map(|number| number.parse().expect("a number"));
            println!("{ANSWER}{}", call_beside(threads, calls));
            continue;
        }
        let since = Instant::now();
        let result = obey(&words, &mut open);
        let took = since.elapsed().as_micros();
        let errno = result.err().map_or(0, |errno| errno as i32);
        println!("{ANSWER}{errno} {took}");
    }
}

fn text(path: &str) -> CString {
    CString::new(path).expect("no zero byte")
}

/// Makes one call. What an `open` opens is closed at once, but for what `keep` opens.
fn obey(words: &[&str], open: &mut HashMap<String, i32>) -> nix::Result<()> {
    let close = |descriptor: i64| {
        // SAFETY: nobody else knows this descriptor.
        unsafe { libc::close(descriptor as i32) };
    };
    let flags = |text: &str| {
        let known = [
            ("r", libc::O_RDONLY),
            ("w", libc::O_WRONLY),
            ("c", libc::O_CREAT),
            ("t", libc::O_TRUNC),
            ("x", libc::O_EXCL),
            ("n", libc::O_NOFOLLOW),
            ("p", libc::O_PATH),
            ("d", libc::O_DIRECTORY),
            ("u", libc::O_TMPFILE),
        ];
        known.iter().filter(|(letter, _)| text.contains(letter)).fold(0, |all, (_, flag)| all | flag)
    };
    let mut byte = [0_u8; 1];
    let pointer = byte.as_mut_ptr();
    // SAFETY: every pointer is to something that lives until the call returns.
    let result = unsafe {
        match words {
            ["strict"] => {
                be_strict();
                0
            }
            #[cfg(target_arch = "x86_64")]
            ["open", how, path] => libc::syscall(libc::SYS_open, text(path).as_ptr(), flags(how), 0o600),
            #[cfg(target_arch = "x86_64")]
            ["creat", path] => libc::syscall(libc::SYS_creat, text(path).as_ptr(), 0o600),
            ["openat", how, path] => {
                libc::syscall(libc::SYS_openat, libc::AT_FDCWD, text(path).as_ptr(), flags(how), 0o600)
            }
            ["openat", folder, how, path] => {
                libc::syscall(libc::SYS_openat, open[*folder], text(path).as_ptr(), flags(how), 0o600)
            }
            ["openat2", how, path] => {
                let mode = if how.contains('c') { 0o600_u64 } else { 0 };
                let asked = [flags(how) as u64, mode, 0];
                let size = size_of_val(&asked);
                libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, text(path).as_ptr(), &raw const asked, size)
            }
            ["keep", name, how, path] => {
                let kept =
                    libc::syscall(libc::SYS_openat, libc::AT_FDCWD, text(path).as_ptr(), flags(how), 0o600);
                open.insert((*name).to_owned(), Errno::result(kept)? as i32);
                return Ok(());
            }
            ["close", name] => {
                close(i64::from(open[*name]));
                0
            }
            ["write", name] => libc::syscall(libc::SYS_write, open[*name], pointer, 1),
            ["read", name] => libc::syscall(libc::SYS_pread64, open[*name], pointer, 1, 0),
            ["sendfile", from, to] => {
                libc::syscall(libc::SYS_sendfile, open[*to], open[*from], null::<i64>(), 1)
            }
            ["splice", from, to] => {
                libc::syscall(libc::SYS_splice, open[*from], null::<i64>(), open[*to], null::<i64>(), 1, 0)
            }
            ["copy", from, to] => {
                let (none, from, to) = (null::<i64>(), open[*from], open[*to]);
                libc::syscall(libc::SYS_copy_file_range, from, none, to, none, 1, 0)
            }
            ["sync", name] => libc::syscall(libc::SYS_fdatasync, open[*name]),
            ["rename", from, to] => i64::from(libc::rename(text(from).as_ptr(), text(to).as_ptr())),
            ["io_uring"] => {
                let mut parameters = [0_u8; 120];
                libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr())
            }
            ["libaio"] => {
                let mut context = 0_u64;
                libc::syscall(libc::SYS_io_setup, 1, &raw mut context)
            }
            ["cd", path] => i64::from(libc::chdir(text(path).as_ptr())),
            ["chroot", path] => i64::from(libc::chroot(text(path).as_ptr())),
            _ => 0,
        }
    };
    Errno::result(result)?;
    if words[0].starts_with("open") || words[0] == "creat" {
        close(result);
    }
    Ok(())
}

/// Makes calls that take next to no time beside threads that do so all the time; how many those make meanwhile.
fn call_beside(threads: u32, calls: u32) -> u64 {
    let (made, are_done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !are_done.load(Ordering::Relaxed) {
                    nix::unistd::getppid();
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while made.load(Ordering::Relaxed) < 1000 {
            std::thread::yield_now();
        }
        let before = made.load(Ordering::Relaxed);
        for _ in 0..calls {
            nix::unistd::getppid();
        }
        let meanwhile = made.load(Ordering::Relaxed) - before;
        are_done.store(true, Ordering::Relaxed);
        meanwhile
    })
}

fn hammer(descriptor: i32, lasting: Duration, errnos: &[i32]) -> Hammered {
    let until = Instant::now() + lasting;
    let mut found = Hammered { wrong: 0, failed: 0, changed: 0 };
    while Instant::now() < until {
        let (result, after) = write_once(descriptor);
        let errno = i32::try_from(-result).unwrap_or_default();
        found.wrong += usize::from(result != 1 && !errnos.contains(&errno));
        found.failed += usize::from(errnos.first() == Some(&errno));
        found.changed += usize::from(after != i64::from(descriptor));
    }
    found
}

/// Writes a byte, by an instruction of its own; the answer, and what is in the register of the first argument afterwards.
#[cfg(target_arch = "x86_64")]
fn write_once(descriptor: i32) -> (i64, i64) {
    let (result, after): (i64, i64);
    let byte = [0_u8; 1];
    // SAFETY: write(2) reads one byte, which is there; the kernel changes these registers alone.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") libc::SYS_write => result,
            inlateout("rdi") i64::from(descriptor) => after,
            in("rsi") byte.as_ptr(),
            in("rdx") 1,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    (result, after)
}

/// The register of the first argument is that of the answer.
#[cfg(target_arch = "aarch64")]
fn write_once(descriptor: i32) -> (i64, i64) {
    let result: i64;
    let byte = [0_u8; 1];
    // SAFETY: write(2) reads one byte, which is there; the kernel changes this register alone.
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") libc::SYS_write,
            inlateout("x0") i64::from(descriptor) => result,
            in("x1") byte.as_ptr(),
            in("x2") 1,
        );
    }
    (result, i64::from(descriptor))
}

#[test]
fn a_caller_does_what_it_is_told() {
    if std::env::var_os(CALLER).is_some() {
        return be_the_caller();
    }
    let folder = tempfile::tempdir().expect("writable");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut caller = Caller::strict();
    caller.must(&format!("openat wc {}", path("a")));
    assert_eq!(caller.errno(&format!("openat wcx {}", path("a"))), libc::EEXIST);
    caller.must(&format!("keep a w {}", path("a")));
    caller.hammer("a", Duration::from_millis(1), &[libc::EIO]);
    assert_eq!(caller.hammered(), Hammered { wrong: 0, failed: 0, changed: 0 });
    assert!(Path::new(&path("a")).metadata().expect("there").len() > 0);
}

//! A small virtual machine for what the kernel of this machine may lack: shaping of links, device mapper, cgroups of
//! version 2 alone and with the controller `io`.
//!
//! A test whose module begins with `vm_` is listed and started on the host as any other, and does its work in the
//! machine: there, this same test binary runs it again for itself alone, as [`crate::again`] does for another user. So
//! every test that is listed tests something, none is listed as ignored, and `cargo test` needs nothing around it. The
//! machine boots for the first of them, in seconds, and serves all, one after the other.
//!
//! It is qemu with a distribution's kernel, by KVM where the processor has it and by emulation elsewhere, with two
//! processors, without a disk and a network, and its files are those of [`image`]. The second serial line carries
//! requests in and answers out; an answer ends with a mark that nothing else can print. qemu ends with this process,
//! however that ends.
//!
//! Under emulation everything takes several times as long: what is tested there takes long enough, and is never asked to
//! be quick. A fault with a deadline of a few seconds may be late for it.
//!
//! Whole experiments have budgets, elections and a store's own timeouts, which no patience of a test reaches. For them there
//! is a second machine, whose clock is its own where it is emulated: it counts instructions (qemu's `-icount`) and skips the
//! time in which there is nothing to do. However little of the processors it gets, in there a second is as long as the work
//! that fits into it. Such a machine has one processor: more do not even boot with one count.

mod image;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use image::{Kernel, find};

use crate::again::alone;
use crate::gallery;

/// Set in the machine.
const INSIDE: &str = "SEATRIAL_TEST_IN_VM";
/// Both are for a machine that is lost: one that is emulated beside other tests gets what they leave of the processors.
const BOOT: Duration = Duration::from_mins(5);
const REQUEST: Duration = Duration::from_mins(15);
/// How many times as long a machine may take whose clock is its own.
const UNHURRIED: u32 = 4;
/// The instructions of such a machine take four nanoseconds each (two to the power of this).
const COUNT: &str = "shift=2,sleep=off";
/// How much of the console is shown when the machine fails.
const TAIL: usize = 40;

static MACHINE: LazyLock<Mutex<Machine>> = LazyLock::new(|| Mutex::new(Machine::boot(Clock::Shared)));
static UNHURRIED_MACHINE: LazyLock<Mutex<Machine>> = LazyLock::new(|| Mutex::new(Machine::boot(Clock::Own)));

/// By what an emulated machine tells the time; with KVM it is always as quick as this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// That of this machine.
    Shared,
    /// What it has done itself.
    Own,
}

/// Does the work of a test in the machine; `test` is its path, such as `vm_module::name`.
#[track_caller]
pub fn inside(test: &str, work: impl FnOnce()) {
    if is_here() {
        return work();
    }
    let printed = run(&MACHINE, &alone(test));
    assert!(printed.contains(" 1 passed"), "the machine knows no test {test}");
}

/// Runs tests in the machine that also run on the host; each of `names` is the beginning of the path of one or more.
#[track_caller]
pub fn these(names: &[&str]) {
    they_ran(names, &run(&MACHINE, &[names, &["--test-threads=2"]].concat()));
}

/// The same, one after the other, in the machine whose clock is its own; what they print.
#[track_caller]
pub fn these_unhurried(names: &[&str]) -> String {
    let arguments = [names, &["--test-threads=1", "--show-output"]].concat();
    let printed = run(&UNHURRIED_MACHINE, &arguments);
    they_ran(names, &printed);
    printed
}

#[track_caller]
fn they_ran(names: &[&str], printed: &str) {
    for name in names {
        assert!(printed.contains(&format!("\ntest {name}")), "the machine knows no test {name}");
    }
}

/// Whether this is the machine.
pub fn is_here() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// How long something may take here that takes `limit` on the host.
pub fn patient(limit: Duration) -> Duration {
    if is_here() { limit * 5 } else { limit }
}

/// Runs this test binary in a machine; what it printed, when all has passed.
#[track_caller]
fn run(machine: &Mutex<Machine>, arguments: &[&str]) -> String {
    let mut machine = machine.lock().expect("the machine is lost, an earlier test tells how");
    let (is_passed, text) = machine.ask(arguments);
    drop(machine);
    assert!(is_passed, "failed in the virtual machine, see above");
    text
}

struct Machine {
    requests: ChildStdin,
    answers: Receiver<String>,
    console: Console,
    /// How long a request may take.
    limit: Duration,
}

impl Machine {
    fn boot(clock: Clock) -> Self {
        let reason = "the machine's kernel is one for x86-64; leave it out here: `-- --skip vm_`";
        assert_eq!(std::env::consts::ARCH, "x86_64", "{reason}");
        let kernel = Kernel::cached();
        let image = image::make(&kernel, clock == Clock::Own);
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL", "--"])
            .arg(find("qemu-system-x86_64"))
            .args("-nodefaults -no-user-config -no-reboot -display none -m 2G".split(' '))
            .args(processors(clock))
            .args(["-serial", "file:/dev/stderr", "-serial", "stdio"])
            .args(["-append", "console=ttyS0 quiet panic=-1 cgroup_no_v1=all"])
            .arg("-kernel")
            .arg(kernel.program())
            .arg("-initrd")
            .arg(format!("/proc/{}/fd/{}", std::process::id(), image.as_raw_fd()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (started, pipes) = channel();
        let (lines, answers) = channel();
        // The kernel ends qemu with the thread that started it, which is one that lives as long as this process.
        std::thread::spawn(move || {
            let mut child = qemu.spawn().expect("setpriv is there");
            let answers = child.stdout.take().expect("piped");
            started.send((child.stdin.take(), child.stderr.take())).expect("it is awaited");
            for line in BufReader::new(answers).split(b'\n').map_while(Result::ok) {
                let _ = lines.send(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned());
            }
            let _ = child.wait();
        });
        let (requests, console) = pipes.recv().expect("qemu was started");
        let console = Console::of(console.expect("piped"));
        let times = if clock == Clock::Own { UNHURRIED } else { 1 };
        let mut machine =
            Self { requests: requests.expect("piped"), answers, console, limit: times * REQUEST };
        machine.until(Instant::now() + times * BOOT, |line| (line == "ready").then_some(()));
        machine
    }

    /// Whether the test binary has succeeded with these arguments, and what it printed, which is shown line by line.
    fn ask(&mut self, arguments: &[&str]) -> (bool, String) {
        let mark = format!("end-{:016x}", rand::random::<u64>());
        writeln!(self.requests, "{mark} {}", arguments.join(" ")).expect("the machine listens");
        let mut text = String::new();
        let status = self.until(Instant::now() + self.limit, |line| {
            if let Some(status) = line.strip_prefix(&mark) {
                return Some(status.trim().to_owned());
            }
            if !line.starts_with(gallery::HANDED_OUT) {
                println!("vm: {line}");
            }
            text += line;
            text.push('\n');
            None
        });
        (status == "0", text)
    }

    /// Reads lines until one is the answer.
    fn until<T>(&mut self, limit: Instant, mut answer: impl FnMut(&str) -> Option<T>) -> T {
        loop {
            let line = self.answers.recv_timeout(limit.saturating_duration_since(Instant::now()));
            let console = || format!("its console ends with:\n{}", self.console.tail());
            assert_ne!(line, Err(RecvTimeoutError::Timeout), "the machine does not answer; {}", console());
            assert!(line.is_ok(), "the machine has ended; {}", console());
            if let Some(answer) = answer(&line.expect("just checked")) {
                return answer;
            }
        }
    }
}

/// By KVM where it works: its device may be there without anything behind it.
fn processors(clock: Clock) -> Vec<&'static str> {
    let processor = std::fs::read_to_string("/proc/cpuinfo").expect("proc is mounted");
    let is_able = processor.split_ascii_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    let is_allowed = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
    match clock {
        _ if is_able && is_allowed => vec!["-accel", "kvm", "-cpu", "host", "-smp", "2"],
        Clock::Shared => vec!["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"],
        Clock::Own => vec!["-accel", "tcg", "-icount", COUNT, "-cpu", "max", "-smp", "1"],
    }
}

/// The last lines of the first serial line, and what qemu itself says.
struct Console(Arc<Mutex<VecDeque<String>>>);

impl Console {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let mut kept = kept.lock().expect("no holder panics");
                kept.push_back(String::from_utf8_lossy(&line).into_owned());
                if kept.len() > TAIL {
                    kept.pop_front();
                }
            }
        });
        Self(lines)
    }

    fn tail(&self) -> String {
        self.0.lock().expect("no holder panics").make_contiguous().join("\n")
    }
}

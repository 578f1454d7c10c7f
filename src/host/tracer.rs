//! A process that holds system calls of other processes for a while, or has them fail, by ptrace(2).
//!
//! It attaches to every thread of the processes that it is told of, with `PTRACE_SEIZE`, so that nobody is stopped by that,
//! and follows the threads and processes that they start. Each system call stops twice, at its entry and at its exit; one that
//! [`Rules`] mean waits at its entry until its time has come, or is not made and answered with an error. Nothing else is
//! changed: no filter, no memory, and no register but that of the answer; the module `divert` says what that takes, and what a
//! thread is left with whose tracer dies in the middle of it.
//!
//! A call is meant by the file that it is about. Of a descriptor the kernel says which file that is; of an open, the path is
//! resolved before the call is made, so that one that fails makes no file.
//!
//! When it ends, however it ends, the kernel lets everybody go on at once, also from the middle of a wait (`PTRACE_O_EXITKILL`
//! is never set). It ends when its standard input does, so with whoever started it. Who is held stays killable.
//!
//! What it costs: every system call of a traced thread becomes slower, meant or not, by some microseconds; by more where many
//! threads call at once, because one process meets them all, each in its turn, or where that process waits for a processor,
//! which [`Tally`] tells. Calls that are submitted by io_uring or libaio are made by the kernel and never seen here.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;
use serde::{Deserialize, Serialize};

mod calls;
pub(super) mod delay;
mod divert;
mod files;
mod launch;
mod memory;
mod opens;
mod orders;
mod patterns;
pub(super) mod stops;

pub use calls::Operation;
pub use delay::Delay;
pub use launch::{Tracer, open_ring, tracer_of, unseen_io};
pub use patterns::Patterns;

use super::process::{ProcessId, asked};
use super::tally::Tally;
use calls::Use;
use divert::Diverted;
use files::Files;
use orders::{Answer, Orders, Refused};
use stops::{Stop, Stopped};

/// The hidden subcommand that runs [`main`].
pub const SUBCOMMAND: &str = "__tracer";

/// Which calls are meant, and what happens to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    /// Calls that do this.
    pub operations: Vec<Operation>,
    /// On files of these filesystems (`st_dev`).
    pub devices: Vec<u64>,
    /// Only those at such paths; all where there are none.
    pub paths: Option<Paths>,
    /// What happens to them.
    pub then: Then,
    /// How many of a hundred are meant.
    pub percent: u8,
    /// Decides which, and how long each is held where that varies.
    pub seed: u64,
}

/// At which paths files are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paths {
    /// See [`Patterns`].
    pub patterns: Vec<String>,
    /// The folders below which they are: the filesystem of each (`st_dev`), and where it is on that.
    pub roots: Vec<(u64, PathBuf)>,
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Then {
    /// It waits at its entry.
    Wait(Delay),
    /// It is not made, and answered with this errno.
    Fail(i32),
}

/// Who is traced, and what was done to calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traced {
    /// Threads that are traced now.
    pub threads: usize,
    /// What was done so far.
    pub tally: Tally,
}

/// Becomes a tracer: `rules` are JSON, orders come by standard input.
pub fn main(rules: Option<OsString>) -> ExitCode {
    asked::main(rules, |rules| Loop::new(rules)?.run())
}

/// So many stops are met before those go on whose time has come.
const AT_A_TIME: usize = 64;

/// How long to wait for calls that are to fail and have not been answered yet, when everything ends.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// A call that waits at its entry.
struct Held {
    thread: i32,
    since: Instant,
    asked: Duration,
}

struct Loop {
    rules: Rules,
    files: Files,
    random: ChaCha12Rng,
    /// By the moment at which each goes on; the number tells those of the same moment apart.
    held: BTreeMap<(Instant, u64), Held>,
    /// Where a thread that is held is found in `held`; nothing for one that runs.
    threads: HashMap<i32, Option<(Instant, u64)>>,
    /// Threads in a call that is to fail.
    failing: HashMap<i32, Diverted>,
    count: u64,
    tally: Tally,
}

impl Loop {
    fn new(rules: Rules) -> io::Result<Self> {
        let random = ChaCha12Rng::seed_from_u64(rules.seed);
        // By default the kernel may wake a sleeper 50 µs late (PR_SET_TIMERSLACK(2const)).
        nix::sys::prctl::set_timerslack(1)?;
        stops::hurry();
        Ok(Self {
            files: Files::new(&rules)?,
            rules,
            random,
            held: BTreeMap::new(),
            threads: HashMap::new(),
            failing: HashMap::new(),
            count: 0,
            tally: Tally::default(),
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut children = SigSet::empty();
        children.add(Signal::SIGCHLD);
        children.thread_block()?;
        let children = SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mut orders = Orders::default();
        let input = io::stdin();
        let mut awake = Instant::now();
        loop {
            self.meet_all()?;
            self.tally.has_met_all(awake);
            self.let_go();
            let mut fds = [
                PollFd::new(children.as_fd(), PollFlags::POLLIN),
                PollFd::new(input.as_fd(), PollFlags::POLLIN),
            ];
            stops::wait(&mut fds, self.next_moment())?;
            awake = Instant::now();
            let speaks = fds[1].any() == Some(true);
            while children.read_signal()?.is_some() {}
            if speaks {
                let Some(new) = orders.read()? else { return self.finish(&children) };
                self.files.look_anew();
                for processes in new {
                    let refused = self.attach(&processes).err();
                    let tally = self.tally.now(self.held.len());
                    asked::answer(&Answer {
                        traced: Traced { threads: self.threads.len(), tally },
                        refused,
                    })?;
                }
            }
        }
    }

    /// Meets everybody who has stopped. All are found before the first goes on: the kernel tells of who was attached last
    /// first, so that threads that call all the time would have stopped again before it told of any other.
    fn meet_all(&mut self) -> io::Result<()> {
        let mut all: Vec<Stopped> = Vec::new();
        // It ends, because nobody stops twice without having gone on.
        while let Some(stopped) = stops::next()? {
            if stopped.stop.ends_what_was() {
                for earlier in all.extract_if(.., |earlier| earlier.thread == stopped.thread) {
                    if let Stop::Exec(Some(before)) = earlier.stop {
                        self.forget(before);
                    }
                }
            }
            all.push(stopped);
        }
        for some in all.chunks(AT_A_TIME) {
            for Stopped { thread, stop } in some {
                self.meet(*thread, *stop);
            }
            self.let_go();
        }
        Ok(())
    }

    /// Answers those that are in a call that is to fail, which takes no time, unless somebody has stopped them.
    fn finish(mut self, children: &SignalFd) -> io::Result<()> {
        self.rules.operations.clear();
        let until = Instant::now() + LAST_ANSWERS;
        loop {
            self.meet_all()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.failing.is_empty() {
                return Ok(());
            }
            stops::wait(&mut [PollFd::new(children.as_fd(), PollFlags::POLLIN)], Some(left))?;
            while children.read_signal()?.is_some() {}
        }
    }

    /// Attaches to every thread of these processes, until no new one appears. Where that is refused, it goes on with the others.
    fn attach(&mut self, processes: &[ProcessId]) -> Result<(), Refused> {
        let mut done = Ok(());
        for process in processes {
            loop {
                match self.attach_to_new_threads(process) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(refused) => {
                        done = Err(refused);
                        break;
                    }
                }
            }
        }
        done
    }

    /// Whether there was one.
    fn attach_to_new_threads(&mut self, process: &ProcessId) -> Result<bool, Refused> {
        let mut is_any = Ok(false);
        for thread in stops::threads(process).map_err(|error| Refused::new(process, &error))? {
            if self.threads.contains_key(&thread) {
                continue;
            }
            match stops::seize(thread) {
                Ok(true) => {
                    self.threads.insert(thread, None);
                    is_any = is_any.map(|_| true);
                }
                Ok(false) => {}
                Err(error) => is_any = Err(Refused::new(&format!("thread {thread} of {process}"), &error)),
            }
        }
        is_any
    }

    fn meet(&mut self, thread: i32, stop: Stop) {
        match stop {
            Stop::Gone => self.forget(thread),
            Stop::Group => stops::listen(thread),
            Stop::Signal(signal) => stops::go_on(thread, signal),
            Stop::Exec(before) => {
                // Of all threads of the process it alone goes on, under the number of the first.
                self.forget(thread);
                if let Some(before) = before {
                    self.forget(before);
                }
                self.threads.insert(thread, None);
                stops::go_on(thread, 0);
            }
            Stop::Other => {
                self.threads.entry(thread).or_insert(None);
                stops::go_on(thread, 0);
            }
            Stop::Call => self.call(thread),
        }
    }

    fn forget(&mut self, thread: i32) {
        self.failing.remove(&thread);
        if let Some(Some(moment)) = self.threads.remove(&thread) {
            self.held.remove(&moment);
        }
    }

    /// A thread is at the entry or the exit of a call.
    fn call(&mut self, thread: i32) {
        if let (Then::Fail(errno), Some(diverted)) = (&self.rules.then, self.failing.remove(&thread))
            && diverted.answer(thread, *errno)
        {
            self.tally.count_failed(asked::tell_if_heard);
        }
        if let Some(argument) = self.meant(thread) {
            match &self.rules.then {
                Then::Wait(delay) => {
                    let delay = delay.draw(&mut self.random);
                    return self.hold(thread, delay);
                }
                Then::Fail(errno) => {
                    let diverted = Diverted::new(thread, argument, *errno);
                    self.failing.extend(diverted.map(|diverted| (thread, diverted)));
                }
            }
        }
        stops::go_on(thread, 0);
    }

    /// Which argument says what the call is about at whose entry a thread stands, where that call is meant.
    fn meant(&mut self, thread: i32) -> Option<usize> {
        let used = calls::entered(thread).into_iter().find(|used| self.means(thread, used))?;
        delay::is_chosen(self.rules.percent, &mut self.random).then_some(used.argument)
    }

    fn means(&mut self, thread: i32, used: &Use) -> bool {
        if !self.rules.operations.contains(&used.operation) {
            return false;
        }
        let Some(wants) = self.files.wanted(thread, &used.file) else { return false };
        match &self.rules.then {
            Then::Fail(errno) => wants.may_fail_with(*errno),
            Then::Wait(_) => true,
        }
    }

    fn hold(&mut self, thread: i32, asked: Duration) {
        let since = Instant::now();
        self.count += 1;
        let moment = (since + asked, self.count);
        self.held.insert(moment, Held { thread, since, asked });
        self.threads.insert(thread, Some(moment));
    }

    /// Lets everybody go on whose time has come.
    fn let_go(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.held.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let Held { thread, since, asked } = entry.remove();
            self.threads.insert(thread, None);
            let measured = since.elapsed();
            stops::go_on(thread, 0);
            self.tally.count(asked, measured);
        }
    }

    fn next_moment(&self) -> Option<Duration> {
        let ((moment, _), _) = self.held.first_key_value()?;
        Some(moment.saturating_duration_since(Instant::now()))
    }
}

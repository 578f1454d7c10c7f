//! A process that the kernel asks before every read and write on some filesystems, and that answers late, or with an error
//! (fanotify(7): pre-content events, `FAN_PRE_ACCESS`, Linux 6.14 and later).
//!
//! The kernel asks about files that are opened after the filesystem was marked, and about no others; not about syncs, but also
//! about memory maps and what io_uring and libaio submit. It does not say what is going on: where only reads or only writes
//! are meant, the call of the thread that waits is read from `/proc/TID/syscall`, and what is no call of either kind passes. Of a
//! call that reads one file and writes another, the thread's descriptors tell which of them the kernel asks about. Only the
//! processes that [`Rules`] name are held up; everybody else is answered at once.
//!
//! Many wait at the same time, each until its own moment, and all stay killable. When the process ends, however it ends,
//! the kernel lets everybody go on at once. It ends when its standard input does, so with whoever started it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use nix::sys::fanotify::FanotifyEvent;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;
use serde::{Deserialize, Serialize};

mod call;
mod group;
mod launch;

use call::Known;
pub use call::is_told_of;
use group::Group;
pub use group::{Unasked, is_possible_on};
pub use launch::Gate;

use super::freezer::CgroupId;
use super::process::tree::Tree;
use super::process::{ProcessId, asked};
use super::tally::Tally;
use super::tracer::stops::wait;
use super::tracer::{Operation, Then, delay};

/// The hidden subcommand that runs [`main`].
pub const SUBCOMMAND: &str = "__gate";

/// Which reads and writes are meant, and what happens to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    /// Where filesystems are mounted, and their device numbers (`st_dev`).
    pub filesystems: Vec<(PathBuf, u64)>,
    /// What these do.
    pub whose: Vec<Whose>,
    /// Reads, writes or both.
    pub operations: Vec<Operation>,
    /// What happens to them.
    pub then: Then,
    /// How many of a hundred are meant.
    pub percent: u8,
    /// Decides which, and how long each is held where that varies.
    pub seed: u64,
}

/// Some processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Whose {
    /// One and all below it.
    Below(ProcessId),
    /// Those in a cgroup and in cgroups below it.
    In(CgroupId),
}

/// Answers the kernel: `rules` are JSON. For each byte of standard input, the first of which marks the filesystems, there is
/// a line with a [`Tally`].
pub fn main(rules: Option<OsString>) -> ExitCode {
    asked::main(rules, |rules| Loop::new(rules)?.run())
}

/// How soon a thread is looked at again that does not wait yet.
const SOON: Duration = Duration::from_micros(50);

/// A read or write that waits.
struct Held {
    event: FanotifyEvent,
    since: Instant,
    asked: Duration,
}

struct Loop {
    rules: Rules,
    group: Group,
    /// What the kernel asks and when that was read, of threads that have not come to wait yet, so that nobody can tell what
    /// they do.
    undecided: Vec<(FanotifyEvent, Instant)>,
    is_marked: bool,
    random: ChaCha12Rng,
    /// By the moment at which each goes on; the number tells those of the same moment apart.
    held: BTreeMap<(Instant, u64), Held>,
    /// How many may be held at once: each takes a descriptor.
    most: usize,
    /// Processes and whether they are meant, as it was found out since the last question: a number may be given to another
    /// process.
    known: HashMap<i32, bool>,
    count: u64,
    tally: Tally,
}

impl Loop {
    fn new(rules: Rules) -> io::Result<Self> {
        // By default the kernel may wake a sleeper 50 µs late (PR_SET_TIMERSLACK(2const)).
        nix::sys::prctl::set_timerslack(1)?;
        let (_, limit) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, limit, limit)?;
        Ok(Self {
            group: Group::new()?,
            random: ChaCha12Rng::seed_from_u64(rules.seed),
            rules,
            undecided: Vec::new(),
            is_marked: false,
            held: BTreeMap::new(),
            most: usize::try_from(limit / 2).unwrap_or(usize::MAX),
            known: HashMap::new(),
            count: 0,
            tally: Tally::default(),
        })
    }

    fn run(mut self) -> io::Result<()> {
        let input = io::stdin();
        let mut awake = Instant::now();
        loop {
            let new = self.group.events()?;
            let undecided = std::mem::take(&mut self.undecided).into_iter();
            for (event, since) in undecided.chain(new.into_iter().map(|event| (event, Instant::now()))) {
                self.meet(event, since)?;
            }
            self.tally.has_met_all(awake);
            self.let_go()?;
            let mut fds = [
                PollFd::new(self.group.as_fd(), PollFlags::POLLIN),
                PollFd::new(input.as_fd(), PollFlags::POLLIN),
            ];
            wait(&mut fds, self.next_moment())?;
            awake = Instant::now();
            if fds[1].any() == Some(true) {
                let mut questions = [0; 64];
                let count = nix::unistd::read(&input, &mut questions)?;
                if count == 0 {
                    return Ok(());
                }
                for _ in 0..count {
                    self.answer()?;
                }
            }
        }
    }

    fn answer(&mut self) -> io::Result<()> {
        if !self.is_marked {
            self.rules.filesystems.iter().try_for_each(|(path, device)| self.group.mark(path, *device))?;
            self.is_marked = true;
        }
        self.known.clear();
        asked::answer(&self.tally.now(self.held.len() + self.undecided.len()))
    }

    fn meet(&mut self, event: FanotifyEvent, since: Instant) -> io::Result<()> {
        let is_meant = match self.is_meant(&event) {
            Some(true) => delay::is_chosen(self.rules.percent, &mut self.random),
            Some(false) => false,
            None => {
                self.undecided.push((event, since));
                return Ok(());
            }
        };
        match &self.rules.then {
            Then::Wait(delay) if is_meant && self.held.len() < self.most => {
                let asked = delay.draw(&mut self.random);
                self.count += 1;
                self.held.insert((since + asked, self.count), Held { event, since, asked });
                Ok(())
            }
            Then::Fail(errno) if is_meant => {
                self.tally.count_failed(asked::tell_if_heard);
                self.group.deny(&event, *errno)
            }
            Then::Wait(_) | Then::Fail(_) => self.group.allow(&event),
        }
    }

    /// Whether the thread that waits does what is meant; nothing where that cannot be told yet.
    fn is_meant(&mut self, event: &FanotifyEvent) -> Option<bool> {
        let thread = event.pid();
        if !self.is_a_members(thread) {
            return Some(false);
        }
        let means = |operation| self.rules.operations.contains(&operation);
        if means(Operation::Read) && means(Operation::Write) {
            return Some(true);
        }
        match Known::of(thread) {
            Known::Nothing => None,
            Known::Call(call) => Some(event.fd().is_some_and(|file| call.does(&self.rules.operations, file))),
        }
    }

    /// Whether it is a thread of a process that is meant. All are listed again for one that is not known.
    fn is_a_members(&mut self, thread: i32) -> bool {
        let Some(process) = process_of(thread) else { return false };
        if let Some(is_member) = self.known.get(&process) {
            return *is_member;
        }
        let members = self.rules.whose.iter().flat_map(Whose::members);
        self.known.extend(members.map(|member| (member, true)));
        *self.known.entry(process).or_insert(false)
    }

    /// Lets everybody go on whose time has come.
    fn let_go(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while let Some(entry) = self.held.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let Held { event, since, asked } = entry.remove();
            let measured = since.elapsed();
            self.group.allow(&event)?;
            self.tally.count(asked, measured);
        }
        Ok(())
    }

    /// How long nothing has to be done.
    fn next_moment(&self) -> Option<Duration> {
        let held =
            self.held.keys().next().map(|(moment, _)| moment.saturating_duration_since(Instant::now()));
        let undecided = (!self.undecided.is_empty()).then_some(SOON);
        held.into_iter().chain(undecided).min()
    }
}

impl Whose {
    /// The processes; nobody where they cannot be listed, because they are gone.
    fn members(&self) -> Vec<i32> {
        match self {
            Self::Below(first) => {
                let members = Tree::below(*first).members().unwrap_or_default();
                members.into_iter().map(|process| process.pid).collect()
            }
            Self::In(cgroup) => {
                let freezer = cgroup.open().ok().flatten();
                freezer.and_then(|freezer| freezer.processes().ok()).unwrap_or_default()
            }
        }
    }
}

/// The process of a thread (proc_pid_status(5)).
fn process_of(thread: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
}

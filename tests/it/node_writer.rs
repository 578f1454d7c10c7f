//! A process that writes and syncs on a real filesystem all the time, from two threads, and notes how long each sync took.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::libc;
use seatrial::host::tracer::tracer_of;

use crate::again::again;
use crate::node_fixture::{Folder, eventually};
use crate::node_pod::Pod;
use crate::node_power::Disk;

/// Tells the program that it is a writer, and where.
pub const WRITER: &str = "SEATRIAL_TEST_WRITER";

/// The test that becomes one then.
pub const TEST: &str = "node_writer::a_writer_is_slowed_down_by_nobody_and_ends_when_it_is_killed";

/// Tells the writer to be killed by seccomp(2) at any call without a name, as runtimes' profiles would deny one.
const STRICT: &str = "SEATRIAL_TEST_WRITER_STRICT";

/// Tells the writer to end at its first error, as stores do whose sync fails.
const FRAIL: &str = "SEATRIAL_TEST_WRITER_FRAIL";

/// Tells the writer a cgroup to write from: a file counts for the cgroup that has written to it from the beginning.
const CGROUP: &str = "SEATRIAL_TEST_WRITER_CGROUP";

/// Writes, syncs and reads until it is killed; how long each sync took, or the error of the first call that failed, is a
/// line of a file beside the volume.
fn be_the_writer(folder: &Path) -> ! {
    if std::env::var_os(STRICT).is_some() {
        be_strict();
    }
    if let Some(cgroup) = std::env::var_os(CGROUP) {
        fs::write(Path::new(&cgroup).join("cgroup.procs"), "0").expect("writable for root");
    }
    let write = |name: &str| {
        let options = File::options().read(true).write(true).create(true).truncate(true).clone();
        let (mut file, mut times) = (
            options.open(folder.join(name)).expect("writable"),
            File::create(folder.with_extension(name)).expect("writable"),
        );
        loop {
            let mut since = Instant::now();
            let result = file.write_all(b"a line\n").and_then(|()| {
                since = Instant::now();
                file.sync_data()?;
                let took = since.elapsed();
                file.read_exact_at(&mut [0], 0)?;
                Ok(took)
            });
            match result {
                Ok(took) => writeln!(times, "{}", took.as_micros()).expect("writable"),
                Err(_) if std::env::var_os(FRAIL).is_some() => std::process::exit(1),
                Err(error) => writeln!(times, "error {:?}", error.raw_os_error()).expect("writable"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    std::thread::scope(|threads| {
        threads.spawn(|| write("one"));
        write("two")
    })
}

/// Kills this process at a call whose number is none.
pub fn be_strict() {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        // The number of the call is the first word of struct seccomp_data (seccomp(2)).
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, 0x8000_0000),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which lives until the call returns.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter)
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// The only container of a pod with one volume.
pub struct Writer {
    pub child: Child,
    pub disk: Disk,
}

impl Writer {
    pub fn start(folder: &Folder, pod: &mut Pod) -> Self {
        Self::with(folder, pod, Disk::new(folder.path()), &[])
    }

    /// One on a disk that is mounted already.
    pub fn on(folder: &Folder, pod: &mut Pod, disk: Disk) -> Self {
        Self::with(folder, pod, disk, &[])
    }

    /// One that seccomp(2) kills at any call without a name.
    pub fn strict(folder: &Folder, pod: &mut Pod) -> Self {
        Self::with(folder, pod, Disk::new(folder.path()), &[(STRICT, OsStr::new("1"))])
    }

    /// One that ends at its first error.
    pub fn frail(folder: &Folder, pod: &mut Pod) -> Self {
        Self::with(folder, pod, Disk::new(folder.path()), &[(FRAIL, OsStr::new("1"))])
    }

    /// Starts it again once it has ended, as a kubelet does.
    pub fn restart(&mut self, folder: &Folder, pod: &mut Pod) {
        self.child.wait().expect("ours");
        self.child = spawn(folder, pod, &self.disk, &[(FRAIL, OsStr::new("1"))]);
    }

    /// One that writes from this cgroup.
    pub fn within(folder: &Folder, pod: &mut Pod, cgroup: &Path) -> Self {
        Self::with(folder, pod, Disk::new(folder.path()), &[(CGROUP, cgroup.as_os_str())])
    }

    fn with(folder: &Folder, pod: &mut Pod, disk: Disk, variables: &[(&str, &OsStr)]) -> Self {
        let writer = Self { child: spawn(folder, pod, &disk, variables), disk };
        eventually("it writes", Duration::from_secs(10), || (writer.times("two").len() > 3).then_some(()));
        writer
    }

    /// How long each sync of a thread took so far, in microseconds.
    pub fn times(&self, thread: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.disk.mount.with_extension(thread)).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// How many calls of each thread were answered with this errno so far.
    pub fn errors(&self, errno: i32) -> [usize; 2] {
        let line = format!("error {:?}", Some(errno));
        ["one", "two"].map(|thread| self.complaints(thread).iter().filter(|found| **found == line).count())
    }

    /// How many calls of both threads were answered with any other so far.
    pub fn other_errors(&self, errnos: &[i32]) -> usize {
        let all = ["one", "two"].map(|thread| self.complaints(thread).len());
        let known = errnos.iter().flat_map(|&errno| self.errors(errno));
        all.into_iter().sum::<usize>() - known.sum::<usize>()
    }

    fn complaints(&self, thread: &str) -> Vec<String> {
        let text = fs::read_to_string(self.disk.mount.with_extension(thread)).unwrap_or_default();
        text.lines().filter(|line| line.starts_with("error ")).map(ToOwned::to_owned).collect()
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The shortest of the next twenty syncs of each thread.
    pub fn shortest(&self) -> [u64; 2] {
        self.shortest_of(20)
    }

    /// The shortest of so many.
    pub fn shortest_of(&self, count: usize) -> [u64; 2] {
        ["one", "two"].map(|thread| {
            let before = self.times(thread).len();
            // The one that was under way may have begun before.
            let new = eventually("more syncs", Duration::from_mins(1), || {
                let all = self.times(thread);
                (all.len() > before + count).then(|| all[before + 1..].to_vec())
            });
            new.into_iter().min().expect("more than none")
        })
    }

    /// How many syncs there were so far.
    pub fn syncs(&self) -> usize {
        ["one", "two"].map(|thread| self.times(thread).len()).into_iter().sum()
    }

    /// Whether anybody traces one of its threads.
    pub fn is_traced(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it lives").flatten();
        let mut threads = tasks.filter_map(|task| task.file_name().to_str()?.parse().ok());
        threads.any(|thread| tracer_of(thread).expect("readable").is_some())
    }

    /// Waits until each thread has noted one more answer: that of a call that was under way, perhaps.
    pub fn notes_more(&self) {
        let noted = || {
            ["one", "two"].map(|thread| {
                let text = fs::read_to_string(self.disk.mount.with_extension(thread)).unwrap_or_default();
                text.matches('\n').count()
            })
        };
        let before = noted();
        eventually("each thread notes an answer", Duration::from_secs(20), || {
            let now = noted();
            (now[0] > before[0] && now[1] > before[1]).then_some(())
        });
    }

    /// Waits until it goes on.
    pub fn goes_on_within(&self, limit: Duration) {
        let before = self.syncs();
        eventually("it writes again", limit, || (self.syncs() > before + 4).then_some(()));
    }
}

fn spawn(folder: &Folder, pod: &mut Pod, disk: &Disk, variables: &[(&str, &OsStr)]) -> Child {
    let child = again(TEST)
        .env(WRITER, &disk.mount)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("this test binary can be started");
    pod.holds(&child, disk.volume());
    folder.show(0, &pod.located);
    child
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_writer_is_slowed_down_by_nobody_and_ends_when_it_is_killed() {
    if let Some(folder) = std::env::var_os(WRITER) {
        be_the_writer(Path::new(&folder));
    }
    let (folder, mut pod) = (Folder::new(), Pod::new(crate::node_pod::Grouping::None));
    let mut writer = Writer::start(&folder, &mut pod);
    writer.goes_on_within(Duration::from_secs(10));
    writer.child.kill().expect("ours");
    eventually("it ends", Duration::from_secs(5), || writer.child.try_wait().expect("ours"));
}

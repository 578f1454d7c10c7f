//! A process that writes and syncs on a real filesystem all the time, from two threads, and notes how long each sync took.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use seatrial::node::LocatedContainer;

use crate::again::again;
use crate::node_fixture::{Folder, eventually};
use crate::node_pod::Pod;
use crate::node_power::Disk;

/// Tells the program that it is a writer, and where.
const WRITER: &str = "SEATRIAL_TEST_WRITER";

/// Writes until it is killed; each call's time is a line of a file beside the volume.
fn be_the_writer(folder: &Path) -> ! {
    let write = |name: &str| {
        let (mut file, mut times) = (
            File::create(folder.join(name)).expect("writable"),
            File::create(folder.with_extension(name)).expect("writable"),
        );
        loop {
            file.write_all(b"a line\n").expect("writable");
            let since = Instant::now();
            match file.sync_data() {
                Ok(()) => writeln!(times, "{}", since.elapsed().as_micros()).expect("writable"),
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

/// The only container of a pod with one volume.
pub struct Writer {
    pub child: Child,
    pub disk: Disk,
}

impl Writer {
    pub fn start(folder: &Folder, pod: &mut Pod) -> Self {
        let disk = Disk::new(folder.path());
        let child = again("node_writer::a_writer_is_slowed_down_by_nobody_and_ends_when_it_is_killed")
            .env(WRITER, &disk.mount)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("this test binary can be started");
        pod.located.volumes = vec![disk.volume()];
        let pid = child.id().cast_signed();
        pod.located.containers = vec![LocatedContainer { name: "main".to_owned(), pid, cgroup: None }];
        folder.show(0, &pod.located);
        let writer = Self { child, disk };
        eventually("it writes", Duration::from_secs(10), || (writer.times("two").len() > 3).then_some(()));
        writer
    }

    /// How long each sync of a thread took so far, in microseconds.
    pub fn times(&self, thread: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.disk.mount.with_extension(thread)).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// How many syncs of each thread were answered with this errno so far.
    pub fn errors(&self, errno: i32) -> [usize; 2] {
        ["one", "two"].map(|thread| {
            let text = fs::read_to_string(self.disk.mount.with_extension(thread)).unwrap_or_default();
            text.lines().filter(|line| *line == format!("error {:?}", Some(errno))).count()
        })
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The shortest of the next twenty syncs of each thread.
    pub fn shortest(&self) -> [u64; 2] {
        ["one", "two"].map(|thread| {
            let before = self.times(thread).len();
            // The one that was under way may have begun before.
            let new = eventually("twenty more syncs", Duration::from_secs(20), || {
                let all = self.times(thread);
                (all.len() >= before + 21).then(|| all[before + 1..].to_vec())
            });
            new.into_iter().min().expect("twenty")
        })
    }

    /// How many syncs there were so far.
    pub fn syncs(&self) -> usize {
        ["one", "two"].map(|thread| self.times(thread).len()).into_iter().sum()
    }

    /// Waits until it goes on.
    pub fn goes_on_within(&self, limit: Duration) {
        let before = self.syncs();
        eventually("it writes again", limit, || (self.syncs() > before + 4).then_some(()));
    }
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

//! Limited disks: a real process that writes and syncs on a real filesystem, from a cgroup of its own in which the node limits
//! its I/O.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::libc::{major, minor};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{HostFault, InjectionState, ThrottledDisk};
use seatrial::host::cgroup::remove;
use seatrial::node::LocatedContainer;

use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod, cgroups};
use crate::node_writer::Writer;
use crate::vm::is_here;

const SOON: Duration = Duration::from_secs(10);
/// Longer than any of these tests waits.
const LONG: Duration = Duration::from_mins(1);
/// How many syncs in a second may be measured where ten writes are let through.
const MOST: f64 = 12.0;

/// The hierarchy in which I/O can be limited, where the machine has one: version 1's, or version 2 where that has its controller.
/// The virtual machine is there for the latter.
pub fn hierarchy() -> Option<PathBuf> {
    let old = PathBuf::from("/sys/fs/cgroup/blkio");
    if old.join("cgroup.procs").exists() {
        assert!(!is_here(), "version 1 has it");
        return Some(old);
    }
    let passed_on = fs::read_to_string(cgroups().join("cgroup.subtree_control")).unwrap_or_default();
    let found = passed_on.split_whitespace().any(|name| name == "io").then(cgroups);
    assert!(found.is_some() || !is_here(), "no controller io: {passed_on}");
    found
}

pub fn writes(per_second: u32) -> HostFault {
    HostFault::DiskThrottle(ThrottledDisk { write_iops: Some(per_second), ..ThrottledDisk::default() })
}

/// A writer in a cgroup of its own.
pub struct Limited {
    pub writer: Writer,
    pub cgroup: PathBuf,
    /// The writer's disk, as the kernel's files name it.
    disk: String,
}

impl Limited {
    /// `None` where no I/O can be limited.
    pub fn start(folder: &Folder, pod: &mut Pod) -> Option<Self> {
        let cgroup = hierarchy()?.join(format!("seatrial-test-io-{}", pod.located.holder));
        fs::create_dir(&cgroup).expect("cgroups are writable for root");
        let writer = Writer::within(folder, pod, &cgroup);
        let device = fs::metadata(&writer.disk.mount).expect("there").dev();
        pod.located.containers[0].throttle = Some(cgroup.clone());
        folder.show(0, &pod.located);
        Some(Self { writer, cgroup, disk: format!("{}:{}", major(device), minor(device)) })
    }

    /// How many writes there may be in a second, by the kernel's own word.
    pub fn limit(&self) -> Option<u64> {
        let old = fs::read_to_string(self.cgroup.join("blkio.throttle.write_iops_device"));
        let text = old.or_else(|_| fs::read_to_string(self.cgroup.join("io.max"))).expect("readable");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{} ", self.disk)))?;
        line.split(' ').find_map(|word| word.trim_start_matches("wiops=").parse().ok())
    }

    /// Limits it as somebody else would; 0 for no limit.
    fn limit_to(&self, limit: u64) {
        let old = self.cgroup.join("blkio.throttle.write_iops_device");
        let written = if old.exists() {
            fs::write(old, format!("{} {limit}", self.disk))
        } else {
            let limit = if limit == 0 { "max".to_owned() } else { limit.to_string() };
            fs::write(self.cgroup.join("io.max"), format!("{} wiops={limit}", self.disk))
        };
        written.expect("writable for root");
    }

    /// Moves the writer into a cgroup below its own, which passes on what limits I/O.
    pub fn move_below(&self) -> PathBuf {
        let inner = self.cgroup.join("inner");
        fs::create_dir(&inner).expect("writable");
        fs::write(inner.join("cgroup.procs"), self.writer.pid().to_string()).expect("it lives");
        let passed_on = self.cgroup.join("cgroup.subtree_control");
        if passed_on.exists() {
            fs::write(passed_on, "+io").expect("nobody is left in it");
        }
        inner
    }

    /// How many syncs there are in a second; fewer where counting them takes a while.
    fn syncs_per_second(&self) -> f64 {
        let (since, before) = (Instant::now(), self.writer.syncs());
        std::thread::sleep(Duration::from_secs(4));
        (self.writer.syncs() - before) as f64 / since.elapsed().as_secs_f64()
    }

    /// Waits for a while with more of them than [`MOST`], which a busy disk does not do all the time.
    fn does_more(&self) {
        eventually("more syncs than with a limit", LONG, || (self.syncs_per_second() > MOST).then_some(()));
    }
}

impl Drop for Limited {
    /// A process that waits for a limit ends when that is gone.
    fn drop(&mut self) {
        self.limit_to(0);
        let _ = self.writer.child.kill();
        let _ = self.writer.child.wait();
        // With those below.
        let _ = remove(&self.cgroup, SOON);
    }
}

#[test]
fn as_many_writes_as_asked_are_done_in_a_second_and_as_many_as_ever_afterwards() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    limited.does_more();
    let mut node = Node::start(&folder);
    node.put(&injection("slow", &pod, writes(10), LONG));
    let observed = folder.await_state("slow", InjectionState::Injected).proof.expect("proven").observed;
    assert!(observed.contains("writes of container main on volume data (disk "), "{observed}");
    assert!(observed.contains("limited to 10/s, "), "{observed}");
    assert_eq!(limited.limit(), Some(10));
    let during = limited.syncs_per_second();
    assert!(during <= MOST, "{during}/s: {observed}");
    node.gone("slow");
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    assert_eq!(limited.limit(), None);
    limited.does_more();
    node.end();
    assert!(guardians(&folder).is_empty());
}

#[test]
fn a_limit_of_somebody_else_is_there_again_afterwards_and_a_stricter_one_is_kept() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    limited.limit_to(40);
    let mut node = Node::start(&folder);
    node.put(&injection("more", &pod, writes(50), LONG));
    let error = folder.await_state("more", InjectionState::Failed).error.expect("why");
    assert!(error.contains("are limited to 40/s already, no more than it shall be"), "{error}");
    node.put(&injection("slow", &pod, writes(10), LONG));
    folder.await_state("slow", InjectionState::Injected);
    assert_eq!(limited.limit(), Some(10));
    // Two could not both put back what was before.
    node.put(&injection("second", &pod, writes(5), LONG));
    let error = folder.await_state("second", InjectionState::Failed).error.expect("why");
    assert!(error.contains("Injection slow limits it already"), "{error}");
    assert_eq!(limited.limit(), Some(10));
    node.gone("slow");
    eventually("it is as before", SOON, || (limited.limit() == Some(40)).then_some(()));
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    node.end();
    assert_eq!(limited.limit(), Some(40));
}

/// Whoever comes second takes back nothing, also where both ask for the same number.
#[test]
fn an_injection_that_finds_its_limit_taken_leaves_it_in_force() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    // It has looked at what there was before, and has written no record yet.
    let mut second = Node::start_with(&folder, &[("SEATRIAL_STOP_AT", "guardian-started")]);
    second.put(&injection("second", &pod, writes(10), LONG));
    let id = second.child.id();
    eventually("the second one stops", SOON, || {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("it is there");
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')).then_some(())
    });
    let mut first = Node::start(&folder);
    first.put(&injection("first", &pod, writes(10), LONG));
    folder.await_state("first", InjectionState::Injected);
    kill(Pid::from_raw(id.cast_signed()), Signal::SIGCONT).expect("ours");
    let error = folder.await_state("second", InjectionState::Failed).error.expect("why");
    assert!(error.contains("Injection first limits it already"), "{error}");
    assert_eq!(limited.limit(), Some(10), "it is not its own to take back");
    second.end();
    assert_eq!(limited.limit(), Some(10));
    first.gone("first");
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    assert_eq!(limited.limit(), None);
    first.end();
}

#[test]
fn a_limit_that_is_changed_behind_its_back_is_lost_and_stays_changed() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    let mut node = Node::start(&folder);
    for (name, now, actual) in [("removed", 0, "no limit"), ("raised", 70, "70")] {
        node.put(&injection(name, &pod, writes(10), LONG));
        folder.await_state(name, InjectionState::Injected);
        limited.limit_to(now);
        let error = folder.await_state(name, InjectionState::Lost).error.expect("why");
        assert!(error.contains(&format!("expected a limit of 10/s, actual {actual}")), "{error}");
        node.gone(name);
        eventually("no record", SOON, || folder.records().is_empty().then_some(()));
        assert_eq!(limited.limit(), Some(now).filter(|&now| now > 0));
    }
    node.end();
}

#[test]
fn a_limit_that_nothing_comes_near_is_never_proven() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    let mut node = Node::start(&folder);
    node.put(&injection("wide", &pod, writes(1_000_000), LONG));
    eventually("it is limited", SOON, || (limited.limit() == Some(1_000_000)).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(folder.status("wide").map(|status| status.state), Some(InjectionState::Pending));
    node.gone("wide");
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    assert_eq!(limited.limit(), None);
    node.end();
}

/// The node sleeps, so that it is the guardian who lifts it, while the cgroup is there.
#[test]
fn a_container_that_does_nothing_proves_nothing_and_with_its_end_the_limits_of_all_are_lifted() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    let idle = limited.cgroup.with_extension("idle");
    fs::create_dir(&idle).expect("writable");
    let mut sleeper = Command::new("sleep").arg("1000").spawn().expect("there is a sleep");
    let pid = sleeper.id().cast_signed();
    fs::write(idle.join("cgroup.procs"), pid.to_string()).expect("it lives");
    let other = LocatedContainer { name: "idle".to_owned(), pid, cgroup: None, throttle: Some(idle.clone()) };
    pod.located.containers.push(other);
    folder.show(0, &pod.located);
    let mut node = Node::start(&folder);
    node.put(&injection("both", &pod, writes(10), LONG));
    eventually("it is limited", SOON, || (limited.limit() == Some(10)).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(folder.status("both").map(|status| status.state), Some(InjectionState::Pending));
    node.stop_between_looks(&folder);
    sleeper.kill().expect("ours");
    sleeper.wait().expect("ours");
    eventually("no limit", SOON, || limited.limit().is_none().then_some(()));
    eventually("no guardian", SOON, || guardians(&folder).is_empty().then_some(()));
    node.go_on();
    let why = folder.await_state("both", InjectionState::Lost).error.expect("why");
    assert!(why.contains("the processes that it held ended") && !why.contains("somebody else"), "{why}");
    node.end();
    fs::remove_dir(&idle).expect("nobody is in it");
}

#[test]
fn a_cgroup_that_is_made_later_ends_the_proof_where_limits_do_not_reach_it() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    let is_old = limited.cgroup.join("blkio.throttle.write_iops_device").exists();
    let earlier = limited.cgroup.join("earlier");
    fs::create_dir(&earlier).expect("writable");
    let mut node = Node::start(&folder);
    node.put(&injection("slow", &pod, writes(10), LONG));
    folder.await_state("slow", InjectionState::Injected);
    // One that ends is not missed.
    fs::remove_dir(&earlier).expect("nobody is in it");
    let later = limited.cgroup.join("later");
    fs::create_dir(&later).expect("writable");
    if is_old {
        let why = folder.await_state("slow", InjectionState::Lost).error.expect("why");
        assert!(why.contains("container main has a new cgroup without a limit"), "{why}");
    } else {
        std::thread::sleep(Duration::from_secs(3));
        let status = folder.status("slow").expect("told");
        assert_eq!(status.state, InjectionState::Injected, "{status:?}");
    }
    fs::remove_dir(&later).expect("nobody is in it");
    node.gone("slow");
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    assert_eq!(limited.limit(), None);
    node.end();
}

#[test]
fn a_cgroup_that_is_not_the_containers_own_is_refused() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    let mut node = Node::start(&folder);
    let node_pid = node.child.id();
    let mut refused = |name: &str, cgroup: Option<&Path>| {
        pod.located.containers[0].throttle = cgroup.map(Path::to_owned);
        folder.show(0, &pod.located);
        node.put(&injection(name, &pod, writes(10), LONG));
        folder.await_state(name, InjectionState::Failed).error.expect("why")
    };
    let error = refused("none", None);
    assert!(error.contains("container main has no cgroup of its own in which I/O can be limited"), "{error}");
    let empty = limited.cgroup.with_extension("empty");
    fs::create_dir(&empty).expect("writable");
    let error = refused("empty", Some(&empty));
    fs::remove_dir(&empty).expect("nobody is in it");
    assert!(error.contains("holds no process of container main"), "{error}");
    fs::write(limited.cgroup.join("cgroup.procs"), node_pid.to_string()).expect("it lives");
    let error = refused("own", Some(&limited.cgroup));
    let top = hierarchy().expect("there");
    fs::write(top.join("cgroup.procs"), node_pid.to_string()).expect("it lives");
    assert!(error.contains("this node's own process"), "{error}");
    assert_eq!(limited.limit(), None);
    node.end();
}

//! Loaded disks: a process of ours in the cgroup of a real writer reads and writes beside it, and is gone whoever dies.

use std::fs::{self, File};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::api::{HostFault, InjectionState, StressedDisk};
use seatrial::host::room::Room;
use seatrial::node::LocatedContainer;

use crate::node_fixture::{Folder, Node, eventually, guardians, injection};
use crate::node_pod::{Grouping, Pod};
use crate::node_power::{Disk, nobody_works_on, workers};
use crate::node_throttle::Limited;
use crate::vm::is_here;

const LONG: Duration = Duration::from_mins(1);
const SOON: Duration = Duration::from_secs(5);

/// How large the file of the load is. An emulated machine takes a minute to make up megabytes of noise.
fn size() -> u64 {
    if is_here() { 128 << 10 } else { 4 << 20 }
}

pub fn load() -> HostFault {
    stress(size())
}

fn stress(size: u64) -> HostFault {
    HostFault::IoStress(stressed(size))
}

fn stressed(size: u64) -> StressedDisk {
    StressedDisk {
        claims: Vec::new(),
        workers: 2,
        block_size: 64 << 10,
        size,
        write_percent: 50,
        rate: Some(200),
        seed: 7,
    }
}

fn available(disk: &Disk) -> u64 {
    Room::at(&File::open(&disk.mount).expect("there")).expect("readable").available
}

/// The number before some words.
fn told(observed: &str, words: &str) -> f64 {
    let before = observed.split(words).next().unwrap_or_default();
    let number = before.rsplit(' ').next().and_then(|number| number.parse().ok());
    number.expect(observed)
}

#[test]
fn a_load_reads_and_writes_in_the_containers_cgroup_and_its_room_comes_back() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    let disk = &limited.writer.disk;
    // Some runtimes keep the processes in a cgroup below, and then nobody may be in the container's own.
    let inner = limited.move_below();
    let before = available(disk);
    let mut node = Node::start(&folder);
    node.put(&injection("load", &pod, load(), LONG));
    folder.await_state("load", InjectionState::Injected);
    // Half of 200 each, as the seed has it; fewer where an emulated disk does no more. A second that its beginning or other
    // work on the machine had a part in says more or less.
    let observed = eventually("a second of nothing but the load", LONG, || {
        let observed = folder.status("load")?.proof?.observed;
        [" reads/s", " writes/s"]
            .iter()
            .all(|words| (1.0..=180.0).contains(&told(&observed, words)))
            .then_some(observed)
    });
    assert!(told(&observed, " bytes/s to and from disks (/proc/PID/io)") > 100_000.0, "{observed}");
    assert!(
        observed.contains("in the cgroup of container main") && observed.contains(" ms each in the mean")
    );
    let ours = workers(disk);
    let members = fs::read_to_string(inner.join("cgroup.procs")).expect("readable");
    assert!(ours.len() == 1 && members.lines().any(|line| line == ours[0].to_string()), "{ours:?} {members}");
    let taken = before - available(disk);
    assert!((size()..size() + (1 << 20)).contains(&taken), "{taken} bytes are taken");
    node.gone("load");
    nobody_works_on(disk);
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    eventually("the room is back", SOON, || (before < available(disk) + (1 << 20)).then_some(()));
    limited.writer.goes_on_within(SOON);
    // Its own file is written before, which is no load.
    let reads = HostFault::IoStress(StressedDisk { write_percent: 0, ..stressed(size()) });
    node.put(&injection("reads", &pod, reads, LONG));
    folder.await_state("reads", InjectionState::Injected);
    let first = folder.statuses().into_iter().find(|(of, status)| of == "reads" && status.proof.is_some());
    let observed = first.and_then(|(_, status)| status.proof).expect("proven").observed;
    assert!(observed.contains(" 0.0 writes/s") && told(&observed, " reads/s") > 0.0, "{observed}");
    node.end();
    nobody_works_on(disk);
    assert!(guardians(&folder).is_empty());
}

/// Its limits hold for both where version 2 counts memory and processes; elsewhere the load is in its cgroup for I/O alone.
#[test]
fn a_load_that_its_container_has_no_memory_or_no_threads_for_says_so() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    let limit = |file: &str, to: String| fs::write(limited.cgroup.join(file), to).expect("writable for root");
    let Ok(taken) = fs::read_to_string(limited.cgroup.join("memory.current")) else { return };
    let mut node = Node::start(&folder);
    limit("memory.max", (taken.trim().parse::<u64>().expect("a number") + (1 << 20)).to_string());
    node.put(&injection("memory", &pod, load(), LONG));
    let error = folder.await_state("memory", InjectionState::Failed).error.expect("why");
    assert!(error.contains("container main has ") && error.contains(" bytes of memory left"), "{error}");
    limit("memory.max", "max".to_owned());
    // Less than its writer has already.
    limit("pids.max", "1".to_owned());
    node.put(&injection("threads", &pod, load(), LONG));
    eventually("it says so", SOON, || {
        let error = folder.status("threads")?.error?;
        error.contains("the load cannot start its threads: EAGAIN").then_some(())
    });
    limit("pids.max", "max".to_owned());
    node.gone("threads");
    nobody_works_on(&limited.writer.disk);
    node.end();
}

#[test]
fn a_load_ends_with_its_container_even_when_nobody_of_ours_is_awake() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(mut limited) = Limited::start(&folder, &mut pod) else { return };
    let mut node = Node::start(&folder);
    node.put(&injection("ends", &pod, load(), LONG));
    folder.await_state("ends", InjectionState::Injected);
    node.stop_between_looks(&folder);
    let asleep: Vec<Pid> = guardians(&folder).into_iter().map(Pid::from_raw).collect();
    for &guardian in &asleep {
        kill(guardian, Signal::SIGSTOP).expect("there");
    }
    limited.writer.child.kill().expect("ours");
    limited.writer.child.wait().expect("ours");
    nobody_works_on(&limited.writer.disk);
    for &guardian in &asleep {
        kill(guardian, Signal::SIGCONT).expect("there");
    }
    node.go_on();
    let why = folder.await_state("ends", InjectionState::Lost).error.expect("why");
    assert!(why.contains("the processes that it held ended"), "{why}");
    eventually("no record", SOON, || folder.records().is_empty().then_some(()));
    node.end();
}

#[test]
fn a_load_ends_by_itself_when_everybody_dies_and_is_missed_when_it_does() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    let disk = &limited.writer.disk;
    let before = available(disk);
    let mut node = Node::start(&folder);
    node.put(&injection("missed", &pod, load(), LONG));
    folder.await_state("missed", InjectionState::Injected);
    kill(Pid::from_raw(workers(disk)[0]), Signal::SIGKILL).expect("there");
    let why = folder.await_state("missed", InjectionState::Lost).error.expect("why");
    assert!(why.contains("the process that loads the volumes has ended"), "{why}");
    node.gone("missed");
    folder.await_state("missed", InjectionState::Reverted);
    node.put(&injection("orphan", &pod, load(), LONG));
    folder.await_state("orphan", InjectionState::Injected);
    node.kill();
    assert_eq!(workers(disk).len(), 1, "its guardian holds the line");
    for guardian in guardians(&folder) {
        kill(Pid::from_raw(guardian), Signal::SIGKILL).expect("there");
    }
    nobody_works_on(disk);
    eventually("the room is back", SOON, || (before < available(disk) + (1 << 20)).then_some(()));
}

#[test]
fn what_would_fill_a_volume_or_has_no_cgroup_of_its_own_is_refused() {
    let (folder, mut pod) = (Folder::new(), Pod::new(Grouping::None));
    let Some(limited) = Limited::start(&folder, &mut pod) else { return };
    let mut node = Node::start(&folder);
    let mut refused = |name: &str, pod: &Pod, fault: HostFault| {
        folder.show(0, &pod.located);
        node.put(&injection(name, pod, fault, LONG));
        folder.await_state(name, InjectionState::Failed).error.expect("why")
    };
    let error = refused("large", &pod, stress(30 << 20));
    assert!(error.contains("a load takes half of that at most"), "{error}");
    let mut idle = Command::new("sleep").arg("1000").spawn().expect("installed");
    let pid = idle.id().cast_signed();
    let other = LocatedContainer { name: "idle".to_owned(), pid, cgroup: None, throttle: None };
    pod.located.containers.push(other);
    let error = refused("which", &pod, load());
    assert!(error.contains("the pod has containers main, idle: name the one"), "{error}");
    pod.located.containers.pop();
    pod.located.containers[0].throttle = None;
    let error = refused("none", &pod, load());
    assert!(error.contains("container main has no cgroup of its own in which I/O can be limited"), "{error}");
    idle.kill().expect("ours");
    idle.wait().expect("ours");
    nobody_works_on(&limited.writer.disk);
    assert!(folder.records().is_empty());
    node.end();
}

//! Which files a tracer means: by descriptor, by the path of an open, on which volume, and at which path on it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::libc;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seatrial::host::tracer::{Delay, Operation, Paths, Rules, Then, Tracer};
use seatrial::undo::guardian::Launch;

use crate::node_fixture::{Folder, eventually};
use crate::node_pod::cgroups;
use crate::node_power::Disk;
use crate::tracer_caller::Caller;

/// A volume, and folders elsewhere.
struct Scene {
    disk: Disk,
    folder: Folder,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new();
        let scene = Self { disk: Disk::new(folder.path()), folder };
        for name in ["wal/0", "wal/1", "snap/0"] {
            let path = scene.disk.mount.join(name);
            fs::create_dir_all(path.parent().expect("below")).expect("writable");
            fs::write(path, "content").expect("writable");
        }
        fs::write(scene.elsewhere("file"), "content").expect("writable");
        scene
    }

    fn on(&self, name: &str) -> String {
        self.disk.mount.join(name).display().to_string()
    }

    fn elsewhere(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn rules(&self, operation: Operation, then: Then) -> Rules {
        let device = fs::metadata(&self.disk.mount).expect("mounted").dev();
        Rules { operations: vec![operation], devices: vec![device], paths: None, then, percent: 100, seed: 7 }
    }
}

/// The same, for files below a folder of the filesystem whose paths fit.
fn at(patterns: &[&str], root: &str, rules: Rules) -> Rules {
    let patterns = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    let paths = Paths { patterns, roots: vec![(rules.devices[0], PathBuf::from(root))] };
    Rules { paths: Some(paths), ..rules }
}

fn start(rules: &Rules, cgroup: Option<PathBuf>) -> Tracer {
    let launch = Launch::Beside { program: PathBuf::from(env!("CARGO_BIN_EXE_seatrial")), cgroup };
    Tracer::start(rules, |words| launch.companion(words).map_err(io::Error::other)).expect("it starts")
}

fn trace(caller: &Caller, rules: &Rules) -> Tracer {
    let mut tracer = start(rules, None);
    assert!(tracer.attach(vec![caller.process()]).expect("it attaches").threads > 0);
    tracer
}

#[test]
fn an_open_of_a_file_of_the_volume_fails_however_it_is_named_and_makes_nothing() {
    let scene = Scene::new();
    symlink(scene.on("wal"), scene.elsewhere("link")).expect("writable");
    for mut caller in [Caller::start(), Caller::strict()] {
        caller.must(&format!("keep folder rd {}", scene.on("wal")));
        caller.must(&format!("keep around rd {}", scene.elsewhere("")));
        caller.must(&format!("cd {}", scene.on("snap")));
        let tracer = trace(&caller, &scene.rules(Operation::Open, Then::Fail(libc::EIO)));
        for order in [
            #[cfg(target_arch = "x86_64")]
            format!("open r {}", scene.on("wal/0")),
            #[cfg(target_arch = "x86_64")]
            format!("open wc {}", scene.on("wal/new")),
            #[cfg(target_arch = "x86_64")]
            format!("creat {}", scene.on("wal/new")),
            format!("openat rd {}", scene.on("")),
            format!("openat wcx {}", scene.on("wal/new")),
            format!("openat wu {}", scene.on("wal")),
            format!("openat2 wc {}", scene.on("wal/new")),
            format!("openat r {}", scene.elsewhere("link/0")),
            format!("openat wc {}", scene.elsewhere("link/new")),
            "openat r 0".to_owned(),
            "openat wc new".to_owned(),
            "openat wc ../wal/new".to_owned(),
            "openat folder r 1".to_owned(),
            "openat folder wc new".to_owned(),
            format!("openat folder wc {}", scene.on("wal/new")),
            "openat around r disk/wal/0".to_owned(),
        ] {
            assert_eq!(caller.errno(&order), libc::EIO, "{order}");
        }
        drop(tracer);
        for name in ["wal/new", "snap/new"] {
            assert!(!Path::new(&scene.on(name)).exists(), "{name}");
        }
        caller.must(&format!("openat wc {}", scene.on("wal/0")));
    }
}

#[test]
fn what_is_not_opened_on_the_volume_or_fails_by_itself_is_left_alone() {
    let scene = Scene::new();
    symlink(scene.elsewhere("file"), scene.on("out")).expect("writable");
    symlink(scene.on("nothing"), scene.on("dangling")).expect("writable");
    let mut caller = Caller::start();
    caller.must(&format!("keep folder rd {}", scene.on("wal")));
    let tracer = trace(&caller, &scene.rules(Operation::Open, Then::Fail(libc::EIO)));
    for (order, errno) in [
        (format!("openat r {}", scene.elsewhere("file")), 0),
        (format!("openat wc {}", scene.elsewhere("new")), 0),
        (format!("openat r {}", scene.on("out")), 0),
        (format!("openat folder r {}", scene.elsewhere("file")), 0),
        (format!("openat p {}", scene.on("wal/0")), 0),
        (format!("openat wc {}", scene.on("dangling")), 0),
        (format!("openat r {}", scene.on("missing")), libc::ENOENT),
        (format!("openat wc {}", scene.on("missing/new")), libc::ENOENT),
        (format!("openat wcx {}", scene.on("wal/0")), libc::EEXIST),
        (format!("openat rn {}", scene.on("out")), libc::ELOOP),
        (format!("openat w {}", scene.on("wal")), libc::EISDIR),
        (format!("openat rt {}", scene.on("wal")), libc::EISDIR),
        (format!("openat rc {}", scene.on("wal")), libc::EISDIR),
        (format!("openat rd {}", scene.on("wal/0")), libc::ENOTDIR),
        ("openat r ".to_owned(), libc::ENOENT),
    ] {
        assert_eq!(caller.errno(&order), errno, "{order}");
    }
    drop(tracer);
}

#[test]
fn a_full_disk_makes_no_file_and_a_read_only_one_opens_none_for_writing() {
    let scene = Scene::new();
    let mut caller = Caller::start();
    let orders = [
        format!("openat r {}", scene.on("wal/0")),
        format!("openat rc {}", scene.on("wal/0")),
        format!("openat w {}", scene.on("wal/0")),
        format!("openat rc {}", scene.on("wal/new")),
    ];
    for (errno, fail) in
        [(libc::ENOSPC, [false, false, false, true]), (libc::EROFS, [false, false, true, true])]
    {
        let tracer = trace(&caller, &scene.rules(Operation::Open, Then::Fail(errno)));
        for (order, fails) in orders.iter().zip(fail) {
            assert_eq!(caller.errno(order), if fails { errno } else { 0 }, "{order}");
        }
        drop(tracer);
    }
}

#[test]
fn paths_are_those_below_the_root_that_the_process_has() {
    let scene = Scene::new();
    let jail = scene.elsewhere("jail");
    fs::create_dir_all(format!("{jail}/data")).expect("writable");
    // An absolute link means what is below the root of the process, not of its tracer.
    symlink("/data/wal", format!("{jail}/link")).expect("writable");
    let mut caller = Caller::within(&format!("mount --bind {} {jail}/data", scene.on("")));
    caller.must(&format!("chroot {jail}"));
    caller.must("cd /data/snap");
    let rules = scene.rules(Operation::Open, Then::Fail(libc::EIO));
    let tracer = trace(&caller, &at(&["wal/*"], "/", rules));
    for (order, errno) in [
        ("openat r /data/wal/0", libc::EIO),
        ("openat r /link/0", libc::EIO),
        ("openat wc /link/new", libc::EIO),
        ("openat r ../wal/1", libc::EIO),
        ("openat r /../data/wal/1", libc::EIO),
        ("openat r /data/snap/0", 0),
        ("openat r 0", 0),
        ("openat rd /data/wal", 0),
    ] {
        assert_eq!(caller.errno(order), errno, "{order}");
    }
    drop(tracer);
}

#[test]
fn a_descriptor_is_judged_by_the_path_that_its_file_has_now() {
    let scene = Scene::new();
    let mut caller = Caller::start();
    caller.must(&format!("keep a w {}", scene.on("wal/0")));
    caller.must(&format!("keep b w {}", scene.on("snap/0")));
    let rules = scene.rules(Operation::Write, Then::Fail(libc::ENOSPC));
    let tracer = trace(&caller, &at(&["wal/*"], "/", rules));
    let mut told = |order: &str| caller.errno(order);
    assert_eq!([told("write a"), told("write b")], [libc::ENOSPC, 0]);
    // The same descriptor, another file: the lowest number that is free is given again.
    assert_eq!([told("close a"), told(&format!("keep a w {}", scene.on("snap/0")))], [0, 0]);
    assert_eq!(told("write a"), 0);
    // The same file, another path.
    assert_eq!(told(&format!("rename {} {}", scene.on("snap/0"), scene.on("wal/2"))), 0);
    assert_eq!([told("write a"), told("write b")], [libc::ENOSPC, libc::ENOSPC]);
    assert_eq!(told(&format!("rename {} {}", scene.on("wal"), scene.on("old"))), 0);
    assert_eq!([told("write a"), told("write b")], [0, 0]);
    assert_eq!(told(&format!("rename {} {}", scene.on("old"), scene.on("wal"))), 0);
    fs::remove_file(scene.on("wal/2")).expect("there");
    assert_eq!(told("write a"), libc::ENOSPC, "a file that is gone is where it was");
    drop(tracer);
}

#[test]
fn a_volume_may_be_one_folder_of_its_filesystem() {
    let scene = Scene::new();
    let place = scene.elsewhere("place");
    fs::create_dir(&place).expect("writable");
    let mut caller = Caller::within(&format!("mount --bind {} {place}", scene.on("wal")));
    caller.must(&format!("keep inside r {place}/0"));
    caller.must(&format!("keep outside r {}", scene.on("wal/1")));
    caller.must(&format!("keep beside r {}", scene.on("snap/0")));
    let rules = scene.rules(Operation::Read, Then::Fail(libc::EIO));
    let tracer = trace(&caller, &at(&["*"], "/wal", rules));
    assert_eq!(caller.errno("read inside"), libc::EIO);
    assert_eq!(caller.errno("read outside"), libc::EIO, "by another mount of the same folder");
    assert_eq!(caller.errno("read beside"), 0);
    drop(tracer);
}

#[test]
fn opens_wait_as_long_as_asked_and_others_do_not() {
    let scene = Scene::new();
    let mut caller = Caller::start();
    let delay = Duration::from_millis(40);
    let rules = scene.rules(Operation::Open, Then::Wait(Delay::Fixed(delay)));
    let mut tracer = trace(&caller, &at(&["wal/**"], "/", rules));
    for order in [format!("openat r {}", scene.on("wal/0")), format!("openat wc {}", scene.on("wal/new"))] {
        let answer = caller.call(&order);
        assert!(answer.errno == 0 && answer.took >= delay, "{order}: {answer:?}");
    }
    caller.must(&format!("openat r {}", scene.on("snap/0")));
    let tally = tracer.attach(vec![caller.process()]).expect("it answers").tally;
    assert_eq!((tally.held, tally.asked), (2, 2 * delay.as_nanos() as u64), "{tally:?}");
    drop(tracer);
}

#[test]
fn threads_that_call_all_the_time_keep_no_other_waiting() {
    let scene = Scene::new();
    let mut caller = Caller::start();
    let rules = scene.rules(Operation::Sync, Then::Wait(Delay::Fixed(Duration::from_millis(5))));
    // The thread that obeys is traced first, and so the last of which the kernel tells.
    let tracer = trace(&caller, &rules);
    // A thread that goes on has stopped again before its tracer has met the next one, as on a node that is busy.
    let all = sched_getaffinity(Pid::from_raw(0)).expect("there are some");
    let first = (0..CpuSet::count()).find(|&processor| all.is_set(processor) == Ok(true)).expect("one");
    let mut one = CpuSet::new();
    one.set(first).expect("a number of one");
    for process in [caller.process(), tracer.process()] {
        sched_setaffinity(Pid::from_raw(process.pid), &one).expect("ours");
    }
    // SAFETY: setpriority(2) takes integers only.
    unsafe { libc::setpriority(libc::PRIO_PROCESS as _, tracer.process().pid.cast_unsigned(), 5) };
    let (threads, calls) = (8, 20);
    let others = caller.call_beside(threads, calls);
    assert!(others < 20 * u64::from(threads * calls), "{others} calls of others beside {calls}");
    drop(tracer);
}

#[test]
fn a_tracer_lives_in_the_cgroup_of_guardians_and_says_how_late_it_was() {
    let scene = Scene::new();
    let mut caller = Caller::start();
    caller.must(&format!("keep file w {}", scene.on("wal/0")));
    let cgroup = cgroups().join(format!("seatrial-test-{}", caller.process().pid));
    fs::create_dir(&cgroup).expect("cgroups are writable for root");
    let rules = scene.rules(Operation::Write, Then::Wait(Delay::Fixed(Duration::from_millis(1))));
    let mut tracer = start(&rules, Some(cgroup.clone()));
    let members = fs::read_to_string(cgroup.join("cgroup.procs")).expect("readable");
    assert_eq!(members.trim(), tracer.process().pid.to_string());
    tracer.attach(vec![caller.process()]).expect("it attaches");
    caller.must("write file");
    let tally = tracer.attach(Vec::new()).expect("it answers").tally;
    assert!(tally.held == 1 && tally.late > 0 && tally.queued.is_some(), "{tally:?}");
    drop(tracer);
    fs::remove_dir(cgroup).expect("nobody is left");
}

#[test]
fn who_cannot_be_traced_is_told_with_the_kernels_own_answer() {
    let scene = Scene::new();
    let caller = Caller::start();
    let rules = scene.rules(Operation::Write, Then::Fail(libc::EIO));
    let first = trace(&caller, &rules);
    let mut second = start(&rules, None);
    let refused = second.attach(vec![caller.process()]).expect_err("it is traced already");
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{refused}");
    drop(first);
    assert!(second.attach(vec![caller.process()]).expect("it attaches").threads > 0);
    // No more descriptors than it has: it cannot look who is there.
    let few = libc::rlimit { rlim_cur: 3, rlim_max: 3 };
    // SAFETY: the kernel reads one structure, which is there, and writes none.
    let set = unsafe {
        libc::prlimit(second.process().pid, libc::RLIMIT_NOFILE, &raw const few, std::ptr::null_mut())
    };
    assert_eq!(set, 0);
    let failed = second.attach(vec![caller.process()]).expect_err("it cannot open anything");
    assert!(failed.to_string().contains("Too many open files"), "{failed}");
    assert_ne!(failed.kind(), io::ErrorKind::PermissionDenied);
}

/// Kills the tracer of a thread that writes all the time; what the thread found, over all rounds.
fn kill_tracers_of(caller: &mut Caller, scene: &Scene, errnos: &[i32]) -> [usize; 3] {
    caller.must(&format!("keep file w {}", scene.on("wal/0")));
    let rules = scene.rules(Operation::Write, Then::Fail(errnos[0]));
    let mut found = [0; 3];
    for round in 0..60 {
        let tracer = trace(caller, &rules);
        caller.hammer("file", Duration::from_millis(20), errnos);
        std::thread::sleep(Duration::from_micros(5_000 + 37 * round));
        kill(Pid::from_raw(tracer.process().pid), Signal::SIGKILL).expect("ours");
        let hammered = caller.hammered();
        found = [found[0] + hammered.wrong, found[1] + hammered.failed, found[2] + hammered.changed];
        eventually("it is gone", Duration::from_secs(2), || {
            (!tracer.process().is_alive().expect("readable")).then_some(())
        });
    }
    found
}

#[test]
fn a_tracer_that_is_killed_in_the_middle_of_a_call_leaves_the_error_and_no_register_changed() {
    let scene = Scene::new();
    let [wrong, failed, changed] = kill_tracers_of(&mut Caller::start(), &scene, &[libc::EIO]);
    assert!(failed > 60, "{failed}");
    assert_eq!((wrong, changed), (0, 0));
}

#[test]
fn a_thread_with_a_filter_hears_at_worst_of_a_bad_descriptor_when_its_tracer_is_killed() {
    let scene = Scene::new();
    let [wrong, failed, changed] = kill_tracers_of(&mut Caller::strict(), &scene, &[libc::EIO, libc::EBADF]);
    assert!(failed > 60, "{failed}");
    assert_eq!(wrong, 0);
    assert!(changed <= 60, "one call a time");
}

//! What is copied from one file to another and never passes by the process that asks for it: sendfile(2), splice(2),
//! copy_file_range(2). It is a read of the one and a write of the other, for whoever holds calls or has them fail.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use seatrial::host::gate::{self, Gate, Whose};
use seatrial::host::tracer::Operation::{self, Read, Write as Written};
use seatrial::host::tracer::{self, Delay, Then, Tracer};
use seatrial::undo::guardian::Launch;

use crate::node_fixture::Folder;
use crate::node_power::Disk;
use crate::tracer_caller::Caller;

/// Calls, and what each does to files of the volume.
const COPIES: [(&str, &[Operation]); 6] = [
    ("sendfile from outside", &[Read]),
    ("sendfile beside to", &[Written]),
    ("splice from pipe", &[Read]),
    ("splice drain to", &[Written]),
    ("copy from to", &[Read, Written]),
    ("sendfile from to", &[Read, Written]),
];

/// A volume, and files elsewhere.
struct Scene {
    disk: Disk,
    folder: Folder,
    /// Of a pipe, so that neither end of it waits for the other.
    _ends: File,
}

impl Scene {
    fn new() -> Self {
        let folder = Folder::new();
        let disk = Disk::new(folder.path());
        for path in [disk.mount.join("from"), disk.mount.join("to"), folder.path().join("beside")] {
            fs::write(path, "content").expect("writable");
        }
        let pipe = folder.path().join("pipe");
        mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).expect("writable");
        let mut ends = File::options().read(true).write(true).open(pipe).expect("there");
        ends.write_all(&[0; 64]).expect("there is room");
        Self { disk, folder, _ends: ends }
    }

    fn device(&self) -> u64 {
        fs::metadata(&self.disk.mount).expect("mounted").dev()
    }

    /// Has a caller open all that it copies.
    fn open(&self, caller: &mut Caller) {
        let (on, off) = (&self.disk.mount, self.folder.path());
        for (name, how, path) in [
            ("from", "r", on.join("from")),
            ("to", "w", on.join("to")),
            ("beside", "r", off.join("beside")),
            ("outside", "wc", off.join("outside")),
            ("pipe", "w", off.join("pipe")),
            ("drain", "r", off.join("pipe")),
        ] {
            caller.must(&format!("keep {name} {how} {}", path.display()));
        }
    }

    fn gate(&self, caller: &Caller, operation: Operation, then: Then) -> Gate {
        let rules = gate::Rules {
            filesystems: vec![(self.disk.mount.clone(), self.device())],
            whose: vec![Whose::Below(caller.process())],
            operations: vec![operation],
            then,
            percent: 100,
            seed: 7,
        };
        let mut gate = Gate::start(&rules, |words| launch().companion(words).map_err(io::Error::other))
            .expect("it starts");
        gate.tally().expect("it marks the filesystem");
        gate
    }

    fn tracer(&self, caller: &Caller, operation: Operation, then: Then) -> Tracer {
        let (operations, devices) = (vec![operation], vec![self.device()]);
        let rules = tracer::Rules { operations, devices, paths: None, then, percent: 100, seed: 7 };
        let mut tracer = Tracer::start(&rules, |words| launch().companion(words).map_err(io::Error::other))
            .expect("it starts");
        assert!(tracer.attach(vec![caller.process()]).expect("it attaches").threads > 0);
        tracer
    }
}

fn launch() -> Launch {
    Launch::Beside { program: PathBuf::from(env!("CARGO_BIN_EXE_seatrial")), cgroup: None }
}

fn fails_only_as(caller: &mut Caller, operation: Operation) {
    for (order, done) in COPIES {
        let errno = if done.contains(&operation) { libc::EIO } else { 0 };
        assert_eq!(caller.errno(order), errno, "{operation:?}: {order}");
    }
}

#[test]
fn the_kernel_asks_about_a_copy_and_it_is_told_which_file_is_read() {
    let scene = Scene::new();
    for operation in [Read, Written] {
        let mut caller = Caller::start();
        let gate = scene.gate(&caller, operation, Then::Fail(libc::EIO));
        // Nothing is asked about files that were open before.
        scene.open(&mut caller);
        fails_only_as(&mut caller, operation);
        drop(gate);
        caller.must("copy from to");
    }
}

#[test]
fn a_tracer_meets_a_copy_by_each_of_its_files() {
    let scene = Scene::new();
    for mut caller in [Caller::start(), Caller::strict()] {
        scene.open(&mut caller);
        for operation in [Read, Written] {
            let tracer = scene.tracer(&caller, operation, Then::Fail(libc::EIO));
            fails_only_as(&mut caller, operation);
            drop(tracer);
            caller.must("copy from to");
        }
    }
}

#[test]
fn a_copy_waits_once_as_a_read() {
    let scene = Scene::new();
    let delay = Duration::from_millis(40);
    let then = || Then::Wait(Delay::Fixed(delay));
    let mut caller = Caller::start();
    let mut gate = scene.gate(&caller, Read, then());
    scene.open(&mut caller);
    let copy = |caller: &mut Caller| {
        for order in ["copy from to", "sendfile from outside", "splice from pipe"] {
            let answer = caller.call(order);
            assert!(answer.errno == 0 && answer.took >= delay, "{order}: {answer:?}");
        }
        caller.must("sendfile beside to");
    };
    copy(&mut caller);
    let tally = gate.tally().expect("it answers");
    assert_eq!((tally.held, tally.asked), (3, 3 * delay.as_nanos() as u64), "{tally:?}");
    drop(gate);
    let mut tracer = scene.tracer(&caller, Read, then());
    copy(&mut caller);
    let tally = tracer.attach(Vec::new()).expect("it answers").tally;
    assert_eq!((tally.held, tally.asked), (3, 3 * delay.as_nanos() as u64), "{tally:?}");
    drop(tracer);
}

//! What a person meets when the machine or a person does not play along: a disk that is full, a run that is killed, a
//! program that is not installed.

use std::process::{Command, Stdio};

use crate::e2e_fixture::{Desk, Done, Seat, patient_quickstart_with, shipped, text_of, wait_for_text};

/// The program under a shell that does something first.
fn after(desk: &Desk, first: &str, arguments: &[&str]) -> Command {
    let program = desk.command(arguments);
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{first}; exec \"$0\" \"$@\"")])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(desk.path(""))
        .env("SEATRIAL_STATE", desk.state())
        .stdin(Stdio::null());
    command
}

/// The same in a mount namespace of its own. What other tests have mounted below the folder of temporary files goes from there
/// first: it would stay mounted for as long as the program, or a sandbox that it starts, lives.
fn apart(desk: &Desk, first: &str, arguments: &[&str]) -> Done {
    let folder = std::env::temp_dir().canonicalize().expect("there");
    let below =
        format!("awk 'index($5, \"{}/\") == 1 {{ print $5 }}' /proc/self/mountinfo", folder.display());
    let alone = format!("{below} | xargs -r umount --lazy --no-canonicalize --no-mtab 2>/dev/null");
    let inner = after(desk, &format!("{alone}; {first}"), arguments);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh"]).args(inner.get_args()).current_dir(desk.path(""));
    command.env("SEATRIAL_STATE", desk.state());
    Done::of(command.output().expect("unshare is installed"))
}

#[test]
fn whoever_is_apart_does_not_hold_what_others_have_mounted() {
    let desk = Desk::new();
    let other = desk.path("").canonicalize().expect("there").join("other");
    std::fs::create_dir(&other).expect("writable");
    let other = other.to_str().expect("text");
    let must = |program: &str, arguments: &[&str]| {
        assert!(Command::new(program).args(arguments).status().expect("installed").success());
    };
    must("mount", &["-t", "tmpfs", "other", other]);
    let there =
        apart(&desk, &format!("! grep \" {other} \" /proc/self/mountinfo || exit 99"), &["--version"]);
    let here = std::fs::read_to_string("/proc/self/mountinfo").expect("readable");
    must("umount", &[other]);
    there.exits(0);
    assert!(here.contains(&format!(" {other} ")), "it stays mounted here");
}

#[test]
fn a_run_whose_journal_cannot_grow_ends_and_takes_its_faults_back() {
    let _seat = Seat::take();
    let desk = Desk::new();
    desk.write("x.yaml", patient_quickstart_with(&[("for: 8s", "for: 60s")]));
    desk.run(&["sandbox", "up", "x.yaml", "--name", "dev"]).exits(0);
    // What is larger than a file may be is told as an error instead of by a signal, as on a full disk.
    let run = ["run", "x.yaml", "--sandbox", "dev", "--seed", "7", "--out", "out"];
    let mut run = after(&desk, "trap '' XFSZ", &run);
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("there is a shell");
    let journal = desk.path("out/journal.jsonl");
    wait_for_text(&journal, "\"effect\":{\"began\"");
    let full = format!("--fsize={}", std::fs::metadata(journal).expect("just read").len());
    let limited = Command::new("prlimit").args(["--pid", &run.id().to_string(), &full]).status();
    assert!(limited.expect("part of util-linux").success());
    Done::of(run.wait_with_output().expect("it ends"))
        .exits(1)
        .says("cut-leader: in force, proven")
        .says("the journal could not be written; every fault was taken back: cannot write to the journal");
    desk.run(&["revert", "dev"]).exits(0).says("nothing was injected");
    desk.run(&["judge", "out"]).exits(11);
}

#[test]
fn revert_takes_back_what_a_killed_run_left() {
    let _seat = Seat::take();
    let desk = Desk::new();
    desk.write("x.yaml", patient_quickstart_with(&[("for: 8s", "for: 60s")]));
    desk.run(&["sandbox", "up", "x.yaml", "--name", "dev"]).exits(0);
    let mut run = desk.start(&["run", "x.yaml", "--sandbox", "dev", "--seed", "7", "--out", "out"]);
    wait_for_text(&desk.path("out/journal.jsonl"), "\"effect\":{\"began\"");
    run.kill().expect("it runs");
    run.wait().expect("it was killed");
    // One at each end.
    desk.run(&["revert", "dev"]).exits(0).says("3 reverted, verified");
    desk.run(&["revert", "dev"]).exits(0).says("nothing was injected");
}

#[test]
fn without_a_program_that_makes_filesystems_volumes_are_folders() {
    let desk = Desk::new();
    let hidden = "mount --bind /dev/null \"$(command -v mkfs.ext4)\"";
    let without = |arguments: &[&str]| apart(&desk, hidden, arguments);
    let power_cut = shipped("experiments/etcd/power-cut.yaml");
    without(&["run", &power_cut.display().to_string()])
        .exits(22)
        .says("step power-cut cannot be done here: powerLoss takes a volume with a filesystem of its own, and mkfs.ext4")
        .says("hint: install it: apt install e2fsprogs");
    desk.write("x.yaml", patient_quickstart_with(&[]));
    without(&["sandbox", "up", "x.yaml", "--name", "dev"]).exits(0).says("note: volumes are folders");
}

#[test]
fn torn_writes_are_refused_where_no_volume_can_tear_them() {
    let desk = Desk::new();
    let torn = text_of(&shipped("experiments/etcd/torn-writes.yaml"));
    desk.write("torn.yaml", &torn);
    // A device without a driver in its place, as where the kernel lacks FUSE.
    let hidden = "mknod no-driver c 240 99; mount --bind no-driver /dev/fuse";
    apart(&desk, hidden, &["run", "torn.yaml"])
        .exits(22)
        .says("step power-cut cannot be done here: powerLoss: unsynced: torn takes a volume of FUSE, and /dev/fuse cannot be opened: No such device")
        .says("hint: load the kernel's module (modprobe fuse), or write unsynced: lost");

    for (name, more) in [
        ("diskStall", ""),
        ("diskReadOnly", ""),
        ("diskLatency", ", delay: {fixed: 10ms}, driver: dmDelay"),
        ("diskError", ", error: EIO, driver: dmError, operations: [sync, write]"),
    ] {
        let other = format!(
            "    - {{name: other, at: 1s, for: 1s, fault: {{{name}: {{members: {{count: 1}}{more}}}}}}}\n  hypothesis:"
        );
        desk.write("both.yaml", torn.replace("  hypothesis:", &other));
        desk.run(&["run", "both.yaml"])
            .exits(22)
            .says(&format!("step other cannot be done here: {name}: it takes a volume on a disk, and step power-cut takes one that tears writes"))
            .says("hint: make two experiments of it");
    }

    desk.write("typing.yaml", torn.replace("unsynced: torn", "unsynced: gone"));
    desk.run(&["validate", "typing.yaml"]).exits(20).says("unsynced");

    let _seat = Seat::take();
    desk.write("x.yaml", patient_quickstart_with(&[]));
    desk.run(&["sandbox", "up", "x.yaml", "--name", "dev"]).exits(0);
    let cut = "fault: {powerLoss: {members: {ordinals: [0]}, unsynced: torn}}";
    let quickstart = patient_quickstart_with(&[
        ("for: 8s", "# once"),
        ("fault: {networkPartition: {isolate: {role: leader}}}", cut),
    ]);
    desk.write("late.yaml", quickstart);
    desk.run(&["run", "late.yaml", "--sandbox", "dev"])
        .exits(22)
        .says("unsynced: torn takes volumes that are made for it, and this sandbox was made before")
        .says("hint: give the manifest instead of --sandbox");
}

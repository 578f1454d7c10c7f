//! As an ordinary user everything works as far as the kernel lets it; what does not is refused with what to do.

use std::os::unix::fs::chown;
use std::process::Command;

use nix::unistd::geteuid;

use crate::e2e_fixture::{Desk, Done, Seat, patient_quickstart_with, shipped, text_of};
use crate::e2e_recorded::all_reverted;

const NOBODY: u32 = 65534;

/// Runs the program as `nobody`, with a home of its own; as whoever we are where we are not root.
pub fn as_nobody(desk: &Desk, arguments: &[&str]) -> Done {
    let program = desk.command(arguments);
    let mut command = if geteuid().is_root() {
        for folder in [desk.path(""), desk.state().to_owned()] {
            chown(&folder, Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(program.get_program())
            .args(program.get_args());
        command
    } else {
        Command::new(program.get_program())
    };
    let output = command
        .current_dir(desk.path(""))
        .env("SEATRIAL_STATE", desk.state())
        .env("HOME", desk.state())
        .output()
        .expect("setpriv is installed");
    Done::of(output)
}

#[test]
fn quickstart_passes_for_an_ordinary_user() {
    let _seat = Seat::take();
    let desk = Desk::new();
    desk.write("x.yaml", patient_quickstart_with(&[]));
    let done = as_nobody(&desk, &["run", "x.yaml", "--seed", "7", "--out", "out"]).exits(0);
    assert!(done.out.starts_with("PASS") && done.out.contains("as an ordinary user"), "{}", done.out);
    all_reverted(&desk.path("out"));
}

#[test]
fn an_ordinary_user_is_told_that_a_power_loss_needs_root() {
    let desk = Desk::new();
    desk.write("x.yaml", text_of(&shipped("experiments/etcd/power-cut.yaml")));
    as_nobody(&desk, &["run", "x.yaml", "--seed", "7", "--out", "out"])
        .exits(22)
        .says("step power-cut cannot be done here: powerLoss takes a volume with a filesystem of its own")
        .says("hint: run it as root");
    assert!(!desk.path("out").exists(), "nothing was started");
}

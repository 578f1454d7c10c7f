//! A device that the cgroup of a process keeps from it is opened by a process outside of that.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use nix::libc;
use seatrial::host::cgroup::hierarchies::Hierarchies;
use seatrial::host::mount::Access;
use seatrial::host::process::outside::open_outside;

use crate::again::{again, passed};

/// Tells the test to be in the cgroup, which denies the device where the machine has such cgroups.
const CGROUP: &str = "SEATRIAL_TEST_DEVICES";
const DEVICE: &str = "/dev/zero";
const NUMBER: &str = "c 1:5 rwm";

#[test]
fn what_a_cgroup_keeps_from_a_process_is_opened_outside() {
    if let Some(cgroup) = std::env::var_os(CGROUP) {
        return be_kept_in(Path::new(&cgroup));
    }
    let top = Path::new("/sys/fs/cgroup/devices");
    // With version 2 alone, denying a device takes a program in the kernel; then nothing is denied.
    let cgroup = if top.join("devices.deny").exists() {
        let cgroup = top.join(format!("seatrial-test-{}", std::process::id()));
        fs::create_dir(&cgroup).expect("cgroups are writable for root");
        fs::write(cgroup.join("devices.deny"), NUMBER).expect("writable");
        cgroup
    } else {
        Path::new("").to_owned()
    };
    let output = again("node_outside::what_a_cgroup_keeps_from_a_process_is_opened_outside")
        .env(CGROUP, &cgroup)
        .output()
        .expect("this test binary can be started");
    if cgroup.exists() {
        fs::remove_dir(&cgroup).expect("nobody is in it");
    }
    passed(&output);
}

fn be_kept_in(cgroup: &Path) {
    if cgroup.exists() {
        fs::write(cgroup.join("cgroup.procs"), "0").expect("writable for root");
        let refused = File::options().read(true).write(true).open(DEVICE).expect_err("denied");
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    }
    let program = Path::new(env!("CARGO_BIN_EXE_seatrial"));
    let hierarchies = Hierarchies::of_this_process().expect("readable");
    let mut byte = [1];
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let opened = open_outside(program, Path::new(DEVICE), access, &hierarchies).expect("opened");
        let mut opened = File::from(opened);
        opened.read_exact(&mut byte).expect("readable");
        assert_eq!(byte, [0]);
        assert_eq!(opened.write(&byte).is_ok(), access == Access::ReadWrite);
    }
    let missing = open_outside(program, Path::new("/dev/none"), Access::ReadOnly, &hierarchies);
    let missing = missing.expect_err("not there");
    assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
}

//! What the virtual machine is there for: each is used, and does what it is for.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::node_pod::{Grouping, Pod};
use crate::vm::inside;

const SECOND: Duration = Duration::from_secs(1);

/// Runs a line of shell.
fn shell(line: &str) -> Output {
    Command::new("sh").args(["-c", line]).output().expect("there is a shell")
}

/// What a line of shell prints, which succeeds.
fn must(line: &str) -> String {
    let output = shell(line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A disk of 16 MiB without a filesystem.
struct Disk {
    _image: NamedTempFile,
    device: PathBuf,
}

impl Disk {
    fn new() -> Self {
        let image = NamedTempFile::new().expect("writable");
        image.as_file().set_len(16 << 20).expect("writable");
        let device = must(&format!("losetup --find --show {}", image.path().display()));
        Self { _image: image, device: PathBuf::from(device.trim()) }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = shell(&format!("losetup --detach {}", self.device.display()));
    }
}

#[test]
fn links_can_be_slow_and_narrow() {
    inside("vm_kernel::links_can_be_slow_and_narrow", || {
        let (pod, peer) = (Pod::new(Grouping::None), Pod::new(Grouping::None));
        pod.connect(&peer);
        let tc = |words: &str| pod.must_run(&words.split(' ').collect::<Vec<_>>());
        let ping = |size: &str| {
            let began = Instant::now();
            pod.must_run(&["busybox", "ping", "-c", "1", "-W", "30", "-s", size, "10.99.0.2"]);
            began.elapsed()
        };
        tc("tc qdisc add dev eth0 root handle 1: prio");
        tc("tc qdisc add dev eth0 parent 1:2 handle 2: netem delay 1500ms");
        assert!(ping("64") >= 3 * SECOND / 2, "it takes as long as asked");
        tc("tc qdisc replace dev eth0 parent 1:2 handle 3: tbf rate 32kbit burst 1600 latency 60s");
        // It goes in six packets of 8,212 bytes together, 1,600 of them at once.
        assert!(ping("8000") >= 3 * SECOND / 2, "4,000 bytes a second");
        tc("tc qdisc del dev eth0 root");
        assert_eq!(tc("tc qdisc show dev eth0").matches("noqueue").count(), 1);
    });
}

#[test]
fn cgroups_are_of_version_2_alone_and_limit_disks() {
    inside("vm_kernel::cgroups_are_of_version_2_alone_and_limit_disks", || {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("readable");
        assert!(mounts.contains(" - cgroup2 ") && !mounts.contains(" - cgroup "), "{mounts}");
        let disk = Disk::new();
        let group = "/sys/fs/cgroup/slow";
        fs::create_dir(group).expect("writable");
        let number = must(&format!(
            "cat /sys/class/block/{}/dev",
            disk.device.file_name().expect("a device").display()
        ));
        fs::write(format!("{group}/io.max"), format!("{} wbps=1048576", number.trim()))
            .expect("io is a controller");
        let began = Instant::now();
        must(&format!(
            "echo 0 > {group}/cgroup.procs; exec dd if=/dev/zero of={} bs=1M count=3 oflag=direct",
            disk.device.display()
        ));
        assert!(began.elapsed() >= 3 * SECOND / 2, "3 MiB at 1 MiB a second");
        fs::remove_dir(group).expect("nobody is in it");
    });
}

#[test]
fn disks_can_be_slow_and_can_fail() {
    inside("vm_kernel::disks_can_be_slow_and_can_fail", || {
        let disk = Disk::new();
        let device = disk.device.display();
        let write = "dd if=/dev/zero of=/dev/mapper/it bs=4k count=1 oflag=direct";
        must(&format!("dmsetup create it --table '0 32768 delay {device} 0 0 {device} 0 1500'"));
        let began = Instant::now();
        must(write);
        assert!(began.elapsed() >= 3 * SECOND / 2, "as long as asked");
        for failing in ["error".to_owned(), format!("flakey {device} 0 0 60")] {
            must(&format!("dmsetup load it --table '0 32768 {failing}' && dmsetup resume it"));
            assert!(!shell(write).status.success(), "{failing}");
        }
        must("dmsetup remove it");
    });
}

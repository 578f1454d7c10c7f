//! Claims outlive pods, and a pod sandbox never reuses an old mount.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use seatrial::platform::Cluster;

use crate::sandbox_fixture::{Fixture, shell_set, with_claim};

const COUNT: &str = "echo x >> /data/starts; sync; wc -l < /data/starts; mount | grep /data; exec sleep 1000";

#[test]
fn claim_is_a_filesystem_of_its_own_and_outlives_its_pod() {
    let fixture = Fixture::up("claim", with_claim(shell_set(2, COUNT)));
    fixture.wait_ready();
    fixture.wait_log("web-1", "main", "type ext4");
    let volume = fixture.locate(1).volumes[0].clone();
    assert_eq!(volume.claim, "data");
    assert!(volume.device.is_some());
    let uid = fixture.pod(1).uid;
    fixture
        .runtime
        .block_on(fixture.client.delete_pod(1, None))
        .expect("there is such a pod");
    fixture.wait_for("another pod", |now| {
        now.pod(1).is_some_and(|pod| pod.uid != uid && pod.ready)
    });
    fixture.wait_log("web-1", "main", "\n2\n");
}

#[test]
fn volume_is_unmounted_and_mounted_again_for_a_new_pod_sandbox() {
    let fixture = Fixture::up("remount", with_claim(shell_set(2, COUNT)));
    fixture.wait_ready();
    fixture.wait_log("web-0", "main", "\n1\n");
    let located = fixture.locate(0);
    let image = located.volumes[0].path.with_extension("img");
    assert_eq!(mounts_so_far(&image), 1);
    kill(fixture.pid_outside(located.holder), Signal::SIGKILL).expect("the holder lives");
    fixture.wait_for("the restart", |now| {
        now.pod(0)
            .is_some_and(|pod| pod.ready && pod.containers[0].restarts == 1)
    });
    fixture.wait_log("web-0", "main", "\n2\n");
    assert_eq!(mounts_so_far(&image), 2);
}

#[test]
fn sub_path_is_made_and_shown_alone() {
    let mut spec = with_claim(shell_set(
        1,
        "ls -A /data; touch /data/inside; ls -A /data; exec sleep 1000",
    ));
    spec.pod.containers[0].mounts[0].sub_path = Some(PathBuf::from("a/b"));
    let fixture = Fixture::up("subpath", spec);
    fixture.wait_ready();
    fixture.wait_log("web-0", "main", "inside");
    let init = fixture.sandbox().dir().init().expect("init's pid is known");
    let volume = fixture.locate(0).volumes[0].path.clone();
    let seen = PathBuf::from(format!("/proc/{init}/root")).join(volume.strip_prefix("/").expect("absolute"));
    assert!(seen.join("a/b/inside").exists());
}

/// How often the filesystem in `image` was mounted, by its own count.
fn mounts_so_far(image: &Path) -> u32 {
    let output = Command::new("dumpe2fs")
        .arg("-h")
        .arg(image)
        .output()
        .expect("e2fsprogs is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = text.lines().find_map(|line| line.strip_prefix("Mount count:"));
    count
        .and_then(|count| count.trim().parse().ok())
        .expect("a superblock has a mount count")
}

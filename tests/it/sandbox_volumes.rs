//! Claims outlive pods, and a pod sandbox never reuses an old mount.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use seatrial::api::{Deadline, Desired, HostFault, InjectionSpec, InjectionState, PodRef};
use seatrial::platform::sandbox::pod_spec::EmptyDir;
use seatrial::platform::{Cluster, Nodes};
use tempfile::TempDir;

use crate::sandbox_fixture::{Fixture, LIMIT, mount, options, shell_set, with_claim};

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
    fixture.runtime.block_on(fixture.client.delete_pod(1, None)).expect("there is such a pod");
    fixture.wait_for("another pod", |now| now.pod(1).is_some_and(|pod| pod.uid != uid && pod.ready));
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
        now.pod(0).is_some_and(|pod| pod.ready && pod.containers[0].restarts == 1)
    });
    fixture.wait_log("web-0", "main", "\n2\n");
    assert_eq!(mounts_so_far(&image), 2);
}

#[test]
fn sub_path_is_made_and_shown_alone() {
    let mut spec = with_claim(shell_set(1, "ls -A /data; touch /data/inside; ls -A /data; exec sleep 1000"));
    spec.pod.containers[0].mounts[0].sub_path = Some(PathBuf::from("a/b"));
    let fixture = Fixture::up("subpath", spec);
    fixture.wait_ready();
    fixture.wait_log("web-0", "main", "inside");
    let init = fixture.sandbox().dir().init().expect("init's pid is known");
    let volume = fixture.locate(0).volumes[0].path.clone();
    let seen = PathBuf::from(format!("/proc/{init}/root")).join(volume.strip_prefix("/").expect("absolute"));
    assert!(seen.join("a/b/inside").exists());
}

#[test]
fn links_that_a_container_makes_in_its_volume_lead_nowhere_outside_of_it() {
    let outside = TempDir::new().expect("a temporary folder can be made");
    let at = outside.path().display();
    let script = format!(
        "if [ -L /data/sub ]; then touch /data/sub/place/new; echo again; exec sleep 1000; fi; \
         mv /data/sub /data/old && ln -s {at} /data/sub; exit 1"
    );
    let mut spec = with_claim(shell_set(1, &script));
    let scratch = EmptyDir { name: "scratch".to_owned(), in_memory: false, size: None };
    spec.pod.empty_dirs = vec![scratch];
    spec.pod.containers[0].mounts.push(mount("scratch", "/data/sub/place"));
    let fixture = Fixture::up("volume-links", spec);
    fixture.wait_log("web-0", "main", "again\n");
    assert_eq!(std::fs::read_dir(outside.path()).expect("readable").count(), 0);
}

/// How often the filesystem in `image` was mounted, by its own count.
fn mounts_so_far(image: &Path) -> u32 {
    let output = Command::new("dumpe2fs").arg("-h").arg(image).output().expect("e2fsprogs is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = text.lines().find_map(|line| line.strip_prefix("Mount count:"));
    count.and_then(|count| count.trim().parse().ok()).expect("a superblock has a mount count")
}

#[test]
fn power_loss_forgets_what_was_not_synced_and_the_pod_comes_back_on_a_new_mount() {
    let state = TempDir::new().expect("a temporary folder can be made");
    let mut options = options("power", state.path());
    let folder = state.path().join("sandboxes/power");
    options.node = Some(vec!["__node".to_owned(), folder.display().to_string()]);
    // It writes until it is stopped, because the kernel may write out by itself what is a moment old.
    let script = "cat /data/synced /data/unsynced; echo kept > /data/synced; sync /data/synced; sync /data; \
                  n=0; while :; do n=$((n+1)); echo $n >> /data/unsynced; echo wrote $n; sleep 0.01; done";
    let fixture = Fixture::with(state, with_claim(shell_set(1, script)), options);
    fixture.wait_ready();
    fixture.wait_log("web-0", "main", "wrote 1\n");
    let uid = fixture.pod(0).uid;
    let spec = InjectionSpec {
        name: "run.step.0.0".to_owned(),
        run: "run".to_owned(),
        step: "step".to_owned(),
        occurrence: 0,
        pod: PodRef { name: "web-0".to_owned(), ordinal: 0, uid: uid.clone(), node: "power".to_owned() },
        container: None,
        fault: HostFault::PowerLoss { claims: Vec::new(), torn: None },
        desired: Desired::Injected,
        deadline: Deadline {
            at: jiff::Timestamp::now() + Duration::from_mins(1),
            within: Duration::from_mins(1),
        },
        follow: false,
    };
    let state = fixture.runtime.block_on(async {
        let mut statuses = fixture.client.statuses().await.expect("the watch opens");
        fixture.client.apply(spec).await.expect("init takes it");
        let settled = async {
            loop {
                let injection = statuses.recv().await.expect("the watch is open");
                match injection.status.map(|status| (status.state, status.error)) {
                    Some((InjectionState::Pending, _)) | None => {}
                    Some(settled) => return settled,
                }
            }
        };
        tokio::time::timeout(LIMIT, settled).await.expect("the node acts")
    });
    assert_eq!(state, (InjectionState::Injected, None), "{}", fixture.all_logs());
    fixture.wait_for("the restart", |now| {
        now.pod(0).is_some_and(|pod| pod.ready && pod.containers[0].restarts == 1)
    });
    fixture.wait_log("web-0", "main", "start 2");
    fixture.wait_log("web-0", "main", "\nkept\n");
    let log = fixture.log("web-0", "main");
    let (before, after) = log.split_once("start 2").expect("there");
    let last = before.lines().rev().find_map(|line| line.strip_prefix("wrote ")).expect("it wrote");
    assert!(!after.lines().any(|line| line == last), "{last} was not lost: {}", fixture.all_logs());
    assert_eq!(fixture.pod(0).uid, uid);
}

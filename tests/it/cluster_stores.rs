//! PostgreSQL and etcd in a cluster, on real volumes of a CSI driver: their disks, volumes and nodes fail.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::cluster_fixture::{Cluster, Held};
use crate::cluster_nodes::Agreement;
use crate::cluster_run_fixture::{Scene, shipped_name};
use crate::e2e_fixture::text_of;
use crate::e2e_recorded::{claim, report_in};
use crate::gallery;

/// The name that the experiments ask for.
const IMAGE: &str = "docker.io/library/postgres:15";

/// What a server needs of its package besides what it is configured by.
const PROGRAMS: [&str; 7] = [
    "bin/initdb",
    "bin/pg_basebackup",
    "bin/pg_isready",
    "bin/postgres",
    "lib/dict_snowball.so",
    "lib/libpqwalreceiver.so",
    "lib/plpgsql.so",
];

/// PostgreSQL of this machine, where Debian has it, with a shell and a user that has a name.
fn load_image(cluster: &Cluster, folder: &Path) {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("the tests' packages are installed");
    let newest = versions.map(|entry| entry.expect("readable").file_name()).max_by_key(|name| number(name));
    let version = newest.expect("one is installed").into_string().expect("a number");
    let passwd = folder.join("passwd");
    std::fs::write(&passwd, "nobody:x:65534:65534:nobody:/:/bin/false\n").expect("writable");
    let mut files = vec![
        "/bin/busybox".to_owned(),
        "/usr/share/zoneinfo/UTC".to_owned(),
        format!("{}:/etc/passwd", passwd.display()),
    ];
    files.extend(PROGRAMS.map(|program| format!("/usr/lib/postgresql/{version}/{program}")));
    add_files(&mut files, Path::new(&format!("/usr/share/postgresql/{version}")));
    cluster.load_image(IMAGE, "/bin/sh", &files.iter().map(String::as_str).collect::<Vec<_>>());
}

fn number(version: &OsStr) -> u32 {
    version.to_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn add_files(files: &mut Vec<String>, folder: &Path) {
    let entries = std::fs::read_dir(folder).expect("readable");
    for path in entries.map(|entry| entry.expect("readable").path()).collect::<Vec<PathBuf>>() {
        if path.is_dir() {
            add_files(files, &path);
        } else {
            files.push(path.into_os_string().into_string().expect("a name of a package's file"));
        }
    }
}

/// Each shipped experiment, and what its proof says.
const EXPERIMENTS: [(&str, &str, &str); 4] = [
    ("slow-fsync", "experiments/postgres/slow-fsync.yaml", "asked for 50.00 ms in the mean"),
    ("disk-stall", "experiments/postgres/disk-stall.yaml", "another freeze is answered EBUSY"),
    ("disk-full", "experiments/postgres/disk-full.yaml", "bytes left (statvfs)"),
    ("attach-block", "experiments/postgres/attach-block.yaml", "FailedAttachVolume names seatrial-"),
];

/// Minutes: `make test-cluster`.
mod long {
    use super::*;

    #[test]
    fn a_primary_and_its_standbys_keep_their_promises_under_faults_of_their_disks_and_volumes() {
        let cluster = Cluster::installed();
        let folder = tempfile::tempdir().expect("a temporary folder");
        load_image(&cluster, folder.path());
        let scene = Scene::of(&cluster, "postgres", EXPERIMENTS[0].1);
        let _agreed = Agreement::give(&scene, "seatrial-runner-admission");
        for (name, file, proof) in EXPERIMENTS {
            // Kubernetes waits longer each time before it starts a container again that ended on a full disk.
            let patience: &[(&str, &str)] = match name {
                "disk-full" => {
                    &[("recoverWithin: 60s", "recoverWithin: 3m"), ("recovery: 60s", "recovery: 3m")]
                }
                _ => &[],
            };
            scene.run(name, file, patience).exits(0);
            let journal = text_of(&scene.path(name).join("journal.jsonl"));
            assert!(journal.contains(proof), "{name}: `{proof}` was not observed");
            scene.nothing_is_left();
        }
    }

    #[test]
    fn a_standby_whose_node_is_lost_with_its_volume_comes_back_on_another_one() {
        let cluster = Cluster::installed_alone();
        let folder = tempfile::tempdir().expect("a temporary folder");
        load_image(&cluster, folder.path());
        loses_a_node(&cluster, "experiments/postgres/node-lost.yaml", "pg-1");
    }

    #[test]
    fn a_member_of_etcd_whose_node_is_lost_with_its_volume_comes_back_on_another_one() {
        loses_a_node(&Cluster::installed_alone(), "experiments/etcd/node-lost.yaml", "etcd-1");
    }

    fn loses_a_node(cluster: &Held, file: &str, pod: &str) {
        let scene = Scene::of(cluster, "node-lost", file);
        let _agreed = Agreement::give(&scene, "seatrial-runner-nodes");
        let node = || scene.namespace.kubectl(["get", "pod", pod, "--output=jsonpath={.spec.nodeName}"]);
        let before = node();
        let name = shipped_name(file);
        scene.run(&name, file, &[]).exits(0);
        gallery::show(file, &scene.path(&name));
        assert_ne!(node(), before, "it runs on another node");
        let report = report_in(&scene.path(&name));
        let waited = claim(&report, "attachLatency")["phases"].to_string();
        assert!(waited.contains("highest"), "how long it waited for its volume is told: {waited}");
        let journal = text_of(&scene.path(&name).join("journal.jsonl"));
        assert!(journal.contains("umount is answered EBUSY"), "the proof is on record");
        scene.nothing_is_left();
    }
}

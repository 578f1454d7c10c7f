use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::{Device, Rate, Throttle, reaching};
use crate::host::freezer::CgroupId;

const DISK: Device = Device { major: 8, minor: 0 };
const OTHER: Device = Device { major: 8, minor: 16 };

/// The files of a cgroup of version 2.
fn version_2(max: &str, stat: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("io.max"), max).expect("writable");
    fs::write(folder.path().join("io.stat"), stat).expect("writable");
    folder
}

fn version_1(folder: &Path) {
    for rate in [Rate::ReadIops, Rate::WriteIops, Rate::ReadBandwidth, Rate::WriteBandwidth] {
        fs::write(folder.join(rate.file()), "").expect("writable");
    }
}

fn open(folder: &Path) -> Throttle {
    CgroupId::at(folder).and_then(|cgroup| Throttle::open(&cgroup)).expect("readable").expect("there")
}

#[test]
fn version_2_tells_limits_and_counts_by_name_in_one_line_of_each_disk() {
    let folder = version_2(
        "8:16 rbps=max wbps=max riops=7 wiops=max\n8:0 rbps=2097152 wbps=max riops=max wiops=120\n",
        "8:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=0 dios=0\n8:32 \n",
    );
    let throttle = open(folder.path());
    let limit = |disk, rate| throttle.limit(disk, rate).expect("readable");
    assert_eq!(limit(DISK, Rate::ReadBandwidth), Some(2_097_152));
    assert_eq!(limit(DISK, Rate::WriteBandwidth), None);
    assert_eq!((limit(DISK, Rate::ReadIops), limit(DISK, Rate::WriteIops)), (None, Some(120)));
    assert_eq!(limit(OTHER, Rate::ReadIops), Some(7));
    let counted = |disk, rate| throttle.counted(disk, rate).expect("readable");
    assert_eq!((counted(DISK, Rate::ReadIops), counted(DISK, Rate::WriteIops)), (8950, 1252));
    assert_eq!(counted(DISK, Rate::ReadBandwidth), 90_430_464);
    assert_eq!(counted(DISK, Rate::WriteBandwidth), 299_008_000);
    assert_eq!(counted(Device { major: 8, minor: 32 }, Rate::ReadIops), 0, "a line without any value");
    assert_eq!(counted(OTHER, Rate::ReadIops), 0, "no line at all");
}

#[test]
fn version_2_is_told_one_limit_and_keeps_the_others_of_the_disk() {
    let folder = version_2("", "");
    let throttle = open(folder.path());
    let orders = || {
        let text = fs::read_to_string(folder.path().join("io.max")).expect("readable");
        fs::write(folder.path().join("io.max"), "").expect("writable");
        text
    };
    throttle.set(DISK, Rate::WriteIops, Some(20)).expect("writable");
    assert_eq!(orders(), "8:0 wiops=20");
    throttle.set(DISK, Rate::ReadBandwidth, None).expect("writable");
    assert_eq!(orders(), "8:0 rbps=max");
}

#[test]
fn version_1_has_a_file_for_each_limit_and_zero_for_none() {
    let folder = tempfile::tempdir().expect("a folder");
    version_1(folder.path());
    let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).expect("writable");
    write("blkio.throttle.write_iops_device", "8:16 5\n8:0 20\n");
    write("blkio.throttle.io_serviced", "8:0 Read 5\n8:0 Write 60\n8:0 Sync 65\n8:0 Total 65\nTotal 65\n");
    write("blkio.throttle.io_service_bytes", "8:0 Read 5120\n8:0 Write 245760\nTotal 250880\n");
    let throttle = open(folder.path());
    assert_eq!(throttle.limit(DISK, Rate::WriteIops).expect("readable"), Some(20));
    assert_eq!(throttle.limit(DISK, Rate::ReadIops).expect("readable"), None);
    assert_eq!(throttle.counted(DISK, Rate::WriteIops).expect("readable"), 60);
    assert_eq!(throttle.counted(DISK, Rate::ReadBandwidth).expect("readable"), 5120);
    assert_eq!(throttle.counted(OTHER, Rate::WriteIops).expect("readable"), 0);
    for (limit, line) in [(Some(1 << 20), "8:0 1048576"), (None, "8:0 0")] {
        write("blkio.throttle.read_bps_device", "");
        throttle.set(DISK, Rate::ReadBandwidth, limit).expect("writable");
        let text = fs::read_to_string(folder.path().join("blkio.throttle.read_bps_device")).expect("there");
        assert_eq!(text, line);
    }
}

#[test]
fn only_a_limit_of_our_own_is_taken_back() {
    let folder = version_2("8:0 rbps=max wbps=max riops=max wiops=30\n", "");
    let throttle = open(folder.path());
    for before in [Some(30), None] {
        throttle.restore(DISK, Rate::WriteIops, 20, before).expect("nothing is written");
        assert_eq!(throttle.limit(DISK, Rate::WriteIops).expect("readable"), Some(30));
    }
    throttle.restore(DISK, Rate::WriteIops, 30, Some(40)).expect("it is ours");
    assert_eq!(throttle.limit(DISK, Rate::WriteIops).expect("readable"), Some(40));
    // What is written is read back: here no kernel makes nothing of a zero.
    let folder = tempfile::tempdir().expect("a folder");
    version_1(folder.path());
    fs::write(folder.path().join("blkio.throttle.write_iops_device"), "8:0 2").expect("writable");
    let restored = open(folder.path()).restore(DISK, Rate::WriteIops, 2, None);
    assert_eq!(restored.expect_err("not done").to_string(), "expected no limit, actual 0");
}

#[test]
fn a_cgroup_that_is_gone_or_another_one_is_not_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let cgroup = CgroupId { inode: 1, ..CgroupId::at(folder.path()).expect("there") };
    assert!(Throttle::open(&cgroup).expect("readable").is_none());
    let cgroup = CgroupId::at(folder.path()).expect("there");
    assert!(Throttle::open(&cgroup).expect("readable").is_none(), "a folder that is being removed is empty");
    fs::write(folder.path().join("cgroup.procs"), "").expect("writable");
    let why = Throttle::open(&cgroup).expect_err("no controller");
    assert_eq!(why.kind(), ErrorKind::Unsupported);
    assert!(why.to_string().contains("cgroup.subtree_control"), "{why}");
}

#[test]
fn version_1_does_not_pass_limits_on_to_the_cgroups_below() {
    let old = tempfile::tempdir().expect("a folder");
    let inner = old.path().join("container/inner");
    fs::create_dir_all(&inner).expect("writable");
    version_1(old.path());
    let paths = |folder: &Path| -> Vec<_> {
        reaching(folder).expect("readable").into_iter().map(|cgroup| cgroup.path).collect()
    };
    assert_eq!(paths(old.path()), [old.path().to_owned(), old.path().join("container"), inner]);
    let new = version_2("", "");
    fs::create_dir(new.path().join("container")).expect("writable");
    assert_eq!(paths(new.path()), [new.path().to_owned()]);
}

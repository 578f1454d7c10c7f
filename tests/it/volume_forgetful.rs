//! What is peculiar to forgetful volumes: what they lack, what they leave torn, and the death of their server.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;

use crate::node_fixture::eventually;
use crate::volume_bed::{Bed, How, Map, create, durable, names, read};

/// What ext4 does, and the kernel does not tell a forgetful volume of.
#[test]
fn syncfs_makes_nothing_durable_on_a_forgetful_volume() {
    for (how, is_kept) in [(How::Shutdown, true), (How::Lose, false)] {
        let mut bed = Bed::new(how);
        fs::write(bed.path("file"), "text").expect("writable");
        let root = File::open(bed.root()).expect("there");
        // SAFETY: the descriptor is open.
        assert_eq!(unsafe { libc::syncfs(root.as_raw_fd()) }, 0);
        drop(root);
        bed.cut();
        assert_eq!(read(&bed, "file").is_some(), is_kept);
    }
}

#[test]
fn what_a_forgetful_volume_lacks_is_refused() {
    let bed = Bed::new(How::Lose);
    let unnamed = OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(bed.root());
    assert_eq!(unnamed.expect_err("it has no such files").raw_os_error(), Some(libc::EOPNOTSUPP));
    let file = create(&bed.path("file"));
    for mode in [
        FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE,
        FallocateFlags::FALLOC_FL_ZERO_RANGE,
    ] {
        assert_eq!(fallocate(&file, mode, 0, 4096), Err(Errno::EOPNOTSUPP));
    }
    let pipe = nix::unistd::mkfifo(&bed.path("pipe"), nix::sys::stat::Mode::S_IRWXU);
    assert_eq!(pipe, Err(Errno::EPERM));
    let name = std::os::unix::ffi::OsStrExt::from_bytes(b"\xff");
    let error = File::create(bed.root().join::<&std::ffi::OsStr>(name)).expect_err("no text");
    assert_eq!(error.raw_os_error(), Some(libc::EILSEQ));
}

#[test]
fn a_torn_cut_leaves_pieces_that_an_ext4_image_never_leaves() {
    const FILES: [&str; 2] = ["pages", "mapped"];
    let mut counts = [[0_u32; 3]; FILES.len()];
    for seed in 0..24 {
        let mut bed = Bed::new(How::Tear(seed));
        let [file, mapped] = FILES.map(|name| {
            durable(&bed, name, &[1; 8192]);
            OpenOptions::new().read(true).write(true).open(bed.path(name)).expect("there")
        });
        file.write_all_at(&[2; 8192], 0).expect("writable");
        let mut map = Map::of(&mapped, 8192);
        // The last close of a file and the end of a map have the kernel write what is dirty.
        drop((file, mapped));
        map.bytes().fill(2);
        let left = bed.shut_down();
        drop(map);
        bed.unmount();
        bed.mount();
        let (mut kept, mut dropped) = (0, 0);
        for (name, [none, partial, whole]) in FILES.into_iter().zip(&mut counts) {
            let found = read(&bed, name).expect("there");
            let of = |wanted: u8| {
                found.chunks(512).filter(|sector| sector.iter().all(|&byte| byte == wanted)).count() as u64
            };
            let (new, old) = (of(2), of(1));
            assert_eq!(new + old, 16, "no sector is torn");
            (kept, dropped) = (kept + new, dropped + old);
            match new {
                0 => *none += 1,
                16 => *whole += 1,
                _ => *partial += 1,
            }
        }
        assert_eq!(
            (left.writes, left.kept, left.dropped),
            (2, kept, dropped),
            "what is told is what is there"
        );
    }
    for ([none, partial, whole], name) in counts.into_iter().zip(FILES) {
        assert!(partial > 0 && whole > 0 && none > 0, "{name}: {partial} torn, {whole} whole, {none} lost");
    }
}

#[test]
fn a_volume_whose_disk_fails_loses_its_power_and_says_so() {
    let mut bed = Bed::new(How::Lose);
    durable(&bed, "synced", b"kept");
    let file = create(&bed.path("new"));
    file.write_all_at(b"bytes", 0).expect("writable");
    // Its bytes cannot be kept.
    let taken = bed.disk().join(file.metadata().expect("there").ino().to_string());
    fs::create_dir(&taken).expect("writable");
    let error = file.sync_all().expect_err("its disk fails");
    assert!(matches!(error.raw_os_error(), Some(libc::ENOTCONN | libc::ECONNABORTED)), "{error}");
    drop(file);
    let server = bed.server();
    assert_eq!(bed.unmount(), Some(WaitStatus::Exited(server, 1)));
    fs::remove_dir(taken).expect("empty");
    bed.mount();
    assert_eq!(read(&bed, "synced").expect("kept"), b"kept");
}

#[test]
fn a_dead_server_is_a_power_cut_that_hangs_nobody() {
    let mut bed = Bed::new(How::Lose);
    durable(&bed, "synced", b"kept");
    fs::write(bed.path("unsynced"), "lost").expect("writable");
    let server = bed.server();
    // Somebody waits for it when it dies.
    kill(server, Signal::SIGSTOP).expect("it lives");
    let path = bed.path("waiting");
    let (tell, told) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        tell.send(nix::unistd::gettid()).expect("somebody listens");
        File::create(path).map(drop)
    });
    let call = format!("/proc/self/task/{}/syscall", told.recv().expect("it runs"));
    let is_in_it =
        || fs::read_to_string(&call).is_ok_and(|now| now.starts_with(&format!("{} ", libc::SYS_openat)));
    eventually("it waits", Duration::from_secs(10), || is_in_it().then_some(()));
    kill(server, Signal::SIGKILL).expect("it lives");
    let answer = waiting.join().expect("no panic").expect_err("nobody answers");
    assert!(matches!(answer.raw_os_error(), Some(libc::ENOTCONN | libc::ECONNABORTED)), "{answer}");
    let error = fs::read_dir(bed.root()).expect_err("nobody answers");
    assert_eq!(error.raw_os_error(), Some(libc::ENOTCONN));
    bed.unmount();
    bed.mount();
    assert_eq!(names(&bed), BTreeSet::from(["synced".to_owned()]));
    assert_eq!(read(&bed, "synced").expect("kept"), b"kept");
    bed.kill_server();
    assert_eq!(read(&bed, "synced").expect("kept"), b"kept");
}

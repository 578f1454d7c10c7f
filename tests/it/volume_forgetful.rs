//! What is peculiar to forgetful volumes: what they lack, what they leave torn, and the death of their server.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc;
use nix::sys::signal::{Signal, kill};

use crate::node_fixture::eventually;
use crate::volume_bed::{Bed, How, create, durable, names, read};

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
    let (mut partial, mut whole, mut none) = (0, 0, 0);
    for seed in 0..24 {
        let mut bed = Bed::new(How::Tear(seed));
        durable(&bed, "pages", &[1; 8192]);
        let file = OpenOptions::new().write(true).open(bed.path("pages")).expect("there");
        file.write_all_at(&[2; 8192], 0).expect("writable");
        drop(file);
        let left = bed.cut();
        let found = read(&bed, "pages").expect("there");
        let new = found.chunks(512).filter(|sector| sector.iter().all(|&byte| byte == 2)).count() as u64;
        let old = found.chunks(512).filter(|sector| sector.iter().all(|&byte| byte == 1)).count() as u64;
        assert_eq!((new + old, left.writes), (16, 1), "no sector is torn");
        assert_eq!((left.kept, left.dropped), (new, old), "what is told is what is there");
        match new {
            0 => none += 1,
            16 => whole += 1,
            _ => partial += 1,
        }
    }
    assert!(partial > 0 && whole > 0 && none > 0, "{partial} torn, {whole} whole, {none} lost");
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

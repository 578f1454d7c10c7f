//! What every volume of a sandbox keeps through a power cut, and what it may lose: the same rules for an ext4 image that
//! is shut down, and for a forgetful volume that loses or tears. Verdicts about stores rely on them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, Flock, FlockArg, fallocate, fcntl};
use nix::libc;
use nix::sys::statvfs::statvfs;

use crate::node_fixture::eventually;
use crate::volume_bed::{Bed, How, Map, SIZE, create, durable, names, read, sync_folder};

/// Each rule for each kind.
macro_rules! rules {
    ($($rule:ident),* $(,)?) => {
        mod ext4 {
            $(#[test] fn $rule() { super::$rule(super::Bed::new(crate::volume_bed::How::Shutdown)); })*
        }
        mod loses {
            $(#[test] fn $rule() { super::$rule(super::Bed::new(crate::volume_bed::How::Lose)); })*
        }
        mod tears {
            $(#[test] fn $rule() {
                for seed in 0..4 {
                    super::$rule(super::Bed::new(crate::volume_bed::How::Tear(seed)));
                }
            })*
        }
    };
}

rules! {
    a_write_stays_with_fsync_and_is_at_risk_without,
    fdatasync_keeps_bytes_and_length,
    o_sync_and_o_dsync_keep_what_is_written_by_them_alone,
    a_rename_is_done_or_undone_and_stays_with_the_folder,
    a_replaced_file_is_the_old_or_the_new_one,
    a_shared_map_shows_writes_and_stays_with_msync,
    a_file_that_was_cut_off_stays_so_with_fsync,
    a_part_of_a_page_changes_nothing_beside_it,
    appends_are_kept_up_to_the_last_sync,
    hard_links_are_one_file,
    a_file_without_a_name_works_while_it_is_open,
    folders_and_links_stay_with_their_folder,
    fallocate_makes_room_that_reads_as_zeroes,
    locks_exclude_others,
    a_folder_lists_everything_once,
    a_large_file_and_a_far_offset_are_kept,
    acknowledged_records_of_several_writers_survive_a_cut_in_the_middle,
    attributes_stay_with_fsync,
    a_full_volume_says_so_and_has_room_again,
    a_volume_without_power_answers_nothing,
    an_unmount_keeps_everything,
}

fn a_write_stays_with_fsync_and_is_at_risk_without(mut bed: Bed) {
    durable(&bed, "synced", b"kept");
    fs::write(bed.path("new"), "nobody synced it").expect("writable");
    let file = OpenOptions::new().write(true).open(bed.path("synced")).expect("there");
    file.write_all_at(b"KEPT?", 0).expect("writable");
    assert_eq!(read(&bed, "synced").expect("there"), b"KEPT?", "everybody sees it at once");
    drop(file);
    bed.cut();
    let synced = read(&bed, "synced").expect("it was synced");
    if bed.loses() {
        assert_eq!(synced, b"kept");
        assert_ne!(read(&bed, "new").as_deref(), Some(&b"nobody synced it"[..]));
    } else {
        assert!(synced == b"kept" || synced == b"KEPT?", "a sector is never torn: {synced:?}");
    }
}

fn fdatasync_keeps_bytes_and_length(mut bed: Bed) {
    let mut file = create(&bed.path("log"));
    for piece in 0..5_u8 {
        file.write_all(&[piece + 1; 3000]).expect("writable");
        file.sync_data().expect("syncs");
    }
    drop(file);
    bed.cut();
    let expected: Vec<u8> = (1..=5).flat_map(|piece| [piece; 3000]).collect();
    assert!(read(&bed, "log").expect("a new file that was synced has its name") == expected);
}

fn o_sync_and_o_dsync_keep_what_is_written_by_them_alone(mut bed: Bed) {
    for (name, flag) in [("sync", libc::O_SYNC), ("dsync", libc::O_DSYNC)] {
        let mut other = create(&bed.path(&format!("other-{name}")));
        other.write_all(&[7; 8192]).expect("writable");
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).custom_flags(flag).open(bed.path(name)).expect("writable");
        file.write_all(b"at once").expect("writable");
    }
    bed.cut();
    for name in ["sync", "dsync"] {
        assert_eq!(read(&bed, name).expect("written through"), b"at once");
        let other = read(&bed, &format!("other-{name}"));
        assert!(
            !bed.loses() || other.is_none_or(|bytes| bytes.is_empty()),
            "nobody synced the other's bytes"
        );
    }
}

fn a_rename_is_done_or_undone_and_stays_with_the_folder(mut bed: Bed) {
    durable(&bed, "one", b"first");
    fs::rename(bed.path("one"), bed.path("two")).expect("there");
    bed.cut();
    let found = names(&bed);
    assert_eq!(found.len(), 1, "one name, whichever: {found:?}");
    let now = found.first().expect("there");
    assert_eq!(read(&bed, now).expect("there"), b"first");
    fs::rename(bed.path(now), bed.path("three")).expect("there");
    sync_folder(&bed);
    bed.cut();
    assert_eq!(names(&bed), BTreeSet::from(["three".to_owned()]));
}

/// As programs replace a file that must always be there: write another one, sync it, rename it, sync the folder.
fn a_replaced_file_is_the_old_or_the_new_one(mut bed: Bed) {
    durable(&bed, "config", b"old");
    for round in 0..3_u8 {
        let text = [b'0' + round; 5000];
        let mut new = create(&bed.path("config.tmp"));
        new.write_all(&text).expect("writable");
        new.sync_all().expect("syncs");
        drop(new);
        let before = read(&bed, "config").expect("there");
        fs::rename(bed.path("config.tmp"), bed.path("config")).expect("there");
        bed.cut();
        let found = read(&bed, "config").expect("it has one of the two");
        assert!(found == before || found == text);
        let _ = fs::remove_file(bed.path("config.tmp"));
    }
}

fn a_shared_map_shows_writes_and_stays_with_msync(mut bed: Bed) {
    durable(&bed, "database", &[1; 16384]);
    let file = OpenOptions::new().read(true).write(true).open(bed.path("database")).expect("there");
    let mut map = Map::of(&file, 16384);
    file.write_all_at(&[2; 4096], 4096).expect("writable");
    assert!(map.bytes()[4096..8192] == [2; 4096], "a map shows what is written beside it");
    file.sync_data().expect("syncs");
    map.bytes()[8192..8200].fill(3);
    let mut seen = [0; 8];
    file.read_exact_at(&mut seen, 8192).expect("readable");
    assert_eq!(seen, [3; 8], "reads show what is written through a map");
    map.sync();
    map.bytes()[12288..12296].fill(4);
    drop((map, file));
    bed.shut_down();
    bed.unmount();
    bed.mount();
    let found = read(&bed, "database").expect("there");
    let mut expected = vec![1; 16384];
    expected[4096..8192].fill(2);
    expected[8192..8200].fill(3);
    if !bed.loses() {
        // Whether the kernel had told the volume of it is the kernel's to decide.
        expected[12288..12296].copy_from_slice(&found[12288..12296]);
    }
    assert!(found == expected);
}

fn a_file_that_was_cut_off_stays_so_with_fsync(mut bed: Bed) {
    durable(&bed, "log", &[1; 10_000]);
    let file = OpenOptions::new().write(true).open(bed.path("log")).expect("there");
    file.set_len(5000).expect("writable");
    file.sync_all().expect("syncs");
    file.set_len(7000).expect("writable");
    file.sync_all().expect("syncs");
    file.set_len(10).expect("writable");
    drop(file);
    bed.cut();
    let found = read(&bed, "log").expect("there");
    let mut expected = vec![1; 5000];
    expected.resize(7000, 0);
    expected.truncate(found.len());
    assert!(found.len() == 7000 || found.len() == 10, "{}", found.len());
    assert!(found == expected, "what was cut off never comes back");
}

fn a_part_of_a_page_changes_nothing_beside_it(mut bed: Bed) {
    durable(&bed, "page", &[1; 3 * 4096]);
    let file = OpenOptions::new().write(true).open(bed.path("page")).expect("there");
    for (at, length) in [(10, 1), (4000, 200), (8000, 1000)] {
        file.write_all_at(&vec![2; length], at).expect("writable");
    }
    file.sync_data().expect("syncs");
    drop(file);
    bed.cut();
    let mut expected = vec![1; 3 * 4096];
    expected[10] = 2;
    expected[4000..4200].fill(2);
    expected[8000..9000].fill(2);
    assert!(read(&bed, "page").expect("there") == expected);
}

fn appends_are_kept_up_to_the_last_sync(mut bed: Bed) {
    durable(&bed, "log", b"");
    let mut file = OpenOptions::new().append(true).open(bed.path("log")).expect("there");
    for line in 0..20 {
        writeln!(file, "line {line:04}").expect("writable");
        if line == 9 {
            file.sync_data().expect("syncs");
        }
    }
    drop(file);
    bed.cut();
    let synced = (0..10).map(|line| format!("line {line:04}\n")).collect::<Vec<_>>().concat();
    let found = String::from_utf8(read(&bed, "log").expect("there")).expect("text");
    assert!(found.starts_with(&synced), "{found}");
    assert!(!bed.loses() || found == synced, "{found}");
}

fn hard_links_are_one_file(mut bed: Bed) {
    durable(&bed, "one", b"first");
    fs::hard_link(bed.path("one"), bed.path("two")).expect("there");
    let two = OpenOptions::new().append(true).open(bed.path("two")).expect("there");
    (&two).write_all(b" second").expect("writable");
    assert_eq!(two.metadata().expect("there").nlink(), 2);
    assert_eq!(read(&bed, "one").expect("there"), b"first second");
    two.sync_all().expect("syncs");
    sync_folder(&bed);
    fs::remove_file(bed.path("one")).expect("there");
    sync_folder(&bed);
    drop(two);
    bed.cut();
    assert_eq!(names(&bed), BTreeSet::from(["two".to_owned()]));
    assert_eq!(read(&bed, "two").expect("there"), b"first second");
}

fn a_file_without_a_name_works_while_it_is_open(mut bed: Bed) {
    durable(&bed, "open", &[1; 5000]);
    let mut file = OpenOptions::new().read(true).write(true).open(bed.path("open")).expect("there");
    fs::remove_file(bed.path("open")).expect("there");
    assert_eq!(read(&bed, "open"), None);
    file.write_all_at(&[2; 5000], 5000).expect("open");
    file.sync_all().expect("open");
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).expect("open");
    assert_eq!((bytes.len(), bytes[4999], bytes[5000]), (10_000, 1, 2));
    assert_eq!(file.metadata().expect("open").nlink(), 0);
    sync_folder(&bed);
    drop(file);
    bed.cut();
    assert_eq!(names(&bed), BTreeSet::new());
}

fn folders_and_links_stay_with_their_folder(mut bed: Bed) {
    let folder = bed.path("a/b/c");
    fs::create_dir_all(&folder).expect("writable");
    symlink("../there", folder.join("link")).expect("writable");
    fs::write(folder.join("file"), "").expect("writable");
    File::open(&folder).and_then(|folder| folder.sync_all()).expect("syncs");
    assert_eq!(fs::remove_dir(bed.path("a")).expect_err("not empty").raw_os_error(), Some(libc::ENOTEMPTY));
    bed.cut();
    let folder = bed.path("a/b/c");
    assert_eq!(fs::read_link(folder.join("link")).expect("there"), Path::new("../there"));
    fs::rename(bed.path("a/b/c"), bed.path("c")).expect("there");
    fs::remove_dir(bed.path("a/b")).expect("empty");
    sync_folder(&bed);
    File::open(bed.path("a")).and_then(|folder| folder.sync_all()).expect("syncs");
    bed.cut();
    assert_eq!(names(&bed), BTreeSet::from(["a".to_owned(), "c".to_owned()]));
    assert!(bed.path("c/file").exists() && !bed.path("a/b").exists());
}

fn fallocate_makes_room_that_reads_as_zeroes(mut bed: Bed) {
    durable(&bed, "log", b"begun");
    let file = OpenOptions::new().write(true).open(bed.path("log")).expect("there");
    fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, 1 << 20).expect("room");
    assert_eq!(file.metadata().expect("there").len(), 5);
    fallocate(&file, FallocateFlags::empty(), 0, 1 << 20).expect("room");
    assert_eq!(file.metadata().expect("there").len(), 1 << 20);
    file.write_all_at(b"written", 512 << 10).expect("room");
    file.sync_data().expect("syncs");
    drop(file);
    bed.cut();
    let mut expected = vec![0; 1 << 20];
    expected[..5].copy_from_slice(b"begun");
    expected[512 << 10..][..7].copy_from_slice(b"written");
    assert!(read(&bed, "log").expect("there") == expected);
    let huge = create(&bed.path("huge"));
    for mode in [FallocateFlags::FALLOC_FL_KEEP_SIZE, FallocateFlags::empty()] {
        assert_eq!(fallocate(&huge, mode, 0, 2 * SIZE.cast_signed()), Err(Errno::ENOSPC));
    }
}

/// As etcd locks its files: flock(2) and open file description locks of fcntl(2).
fn locks_exclude_others(mut bed: Bed) {
    durable(&bed, "lock", b"");
    let path = bed.path("lock");
    let open = || OpenOptions::new().read(true).write(true).open(&path).expect("there");
    let held =
        Flock::lock(open(), FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno).expect("free");
    let refused = Flock::lock(open(), FlockArg::LockExclusiveNonblock).map(drop).map_err(|(_, errno)| errno);
    assert_eq!(refused, Err(Errno::EWOULDBLOCK));
    drop(held);
    Flock::lock(open(), FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno).expect("free again");

    let whole = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    let (one, other) = (open(), open());
    fcntl(&one, FcntlArg::F_OFD_SETLK(&whole)).expect("free");
    assert_eq!(fcntl(&other, FcntlArg::F_OFD_SETLK(&whole)).map(drop), Err(Errno::EAGAIN));
    drop(one);
    fcntl(&other, FcntlArg::F_OFD_SETLK(&whole)).expect("free again");
    bed.shut_down();
    drop(other);
    bed.unmount();
    bed.mount();
    fcntl(open(), FcntlArg::F_OFD_SETLK(&whole)).expect("a lock does not outlive its volume's power");
}

fn a_folder_lists_everything_once(mut bed: Bed) {
    let folder = bed.path("many");
    fs::create_dir(&folder).expect("writable");
    for number in 0..1500 {
        fs::write(folder.join(format!("a-rather-long-name-of-a-file-{number}")), "").expect("writable");
    }
    File::open(&folder).and_then(|folder| folder.sync_all()).expect("syncs");
    bed.cut();
    let folder = bed.path("many");
    let list = || fs::read_dir(&folder).expect("readable").map(|entry| entry.expect("readable"));
    let found: Vec<_> = list().map(|entry| entry.file_name()).collect();
    assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (1500, 1500));
    for entry in list() {
        fs::remove_file(entry.path()).expect("there while it is removed");
    }
    assert_eq!(list().count(), 0);
    fs::remove_dir(&folder).expect("empty");
}

fn a_large_file_and_a_far_offset_are_kept(mut bed: Bed) {
    let block =
        |number: u64| -> Vec<u8> { (0..1 << 20).map(|at: u64| (at * 31 + number * 7) as u8).collect() };
    let file = create(&bed.path("large"));
    for number in 0..24 {
        file.write_all_at(&block(number), number << 20).expect("room");
    }
    file.sync_data().expect("syncs");
    let far = create(&bed.path("far"));
    far.write_all_at(b"far", 5 << 30).expect("room");
    far.sync_all().expect("syncs");
    drop((file, far));
    bed.cut();
    let file = File::open(bed.path("large")).expect("there");
    let mut found = vec![0; 1 << 20];
    for number in 0..24 {
        file.read_exact_at(&mut found, number << 20).expect("kept");
        assert!(found == block(number), "block {number}");
    }
    let far = File::open(bed.path("far")).expect("there");
    let mut found = [1; 5];
    far.read_exact_at(&mut found, (5 << 30) - 2).expect("kept");
    assert_eq!(&found, b"\0\0far");
}

fn acknowledged_records_of_several_writers_survive_a_cut_in_the_middle(mut bed: Bed) {
    const WRITERS: usize = 4;
    let record = |writer: usize, number: u64| format!("{writer} {number:09}\n");
    let acknowledged: [AtomicU64; WRITERS] = Default::default();
    let over = AtomicBool::new(false);
    let counts = || acknowledged.each_ref().map(|count| count.load(Ordering::Acquire));
    let before = std::thread::scope(|scope| {
        for (writer, acknowledged) in acknowledged.iter().enumerate() {
            let (path, over) = (bed.path(&format!("log-{writer}")), &over);
            scope.spawn(move || {
                let mut file = create(&path);
                let mut append = |number| {
                    file.write_all(record(writer, number).as_bytes())?;
                    // The others only make it harder.
                    if writer % 2 == 0 { file.sync_data() } else { file.sync_all() }
                };
                while !over.load(Ordering::Acquire) && append(acknowledged.load(Ordering::Relaxed)).is_ok() {
                    acknowledged.fetch_add(1, Ordering::Release);
                }
            });
        }
        eventually("everybody writes", Duration::from_mins(2), || {
            acknowledged.iter().all(|count| count.load(Ordering::Acquire) >= 50).then_some(())
        });
        let before = counts();
        bed.shut_down();
        over.store(true, Ordering::Release);
        before
    });
    // An fsync that meets the shutdown of an ext4 in the kernel may succeed and not be one. No store hears of it, because a
    // power loss stops its processes first. A forgetful volume never says so.
    let acknowledged = if bed.how == How::Shutdown { before } else { counts() };
    bed.unmount();
    bed.mount();
    for (writer, count) in acknowledged.into_iter().enumerate() {
        let found = read(&bed, &format!("log-{writer}")).expect("synced");
        let expected = (0..count).map(|number| record(writer, number)).collect::<Vec<_>>().concat();
        assert!(found.starts_with(expected.as_bytes()), "writer {writer} lost some of {count} records");
    }
}

fn attributes_stay_with_fsync(mut bed: Bed) {
    durable(&bed, "file", b"text");
    let file = File::open(bed.path("file")).expect("there");
    file.set_permissions(fs::Permissions::from_mode(0o640)).expect("ours");
    std::os::unix::fs::chown(bed.path("file"), Some(1234), Some(5678)).expect("root may");
    file.sync_all().expect("syncs");
    drop(file);
    fs::create_dir(bed.path("group")).expect("writable");
    std::os::unix::fs::chown(bed.path("group"), None, Some(77)).expect("root may");
    fs::set_permissions(bed.path("group"), fs::Permissions::from_mode(0o2770)).expect("ours");
    fs::create_dir(bed.path("group/inside")).expect("writable");
    File::open(bed.path("group/inside")).and_then(|folder| folder.sync_all()).expect("syncs");
    bed.cut();
    let found = fs::metadata(bed.path("file")).expect("there");
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o640, 1234, 5678));
    let inside = fs::metadata(bed.path("group/inside")).expect("there");
    assert_eq!((inside.mode() & 0o2000, inside.gid()), (0o2000, 77), "of its folder's group");
}

fn a_full_volume_says_so_and_has_room_again(mut bed: Bed) {
    let mut file = create(&bed.path("full"));
    let block = vec![1; 1 << 20];
    let error =
        (0..=SIZE >> 20).find_map(|_| file.write_all(&block).err()).expect("it cannot take more than it has");
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    assert!(statvfs(bed.root()).expect("an answer").blocks_available() < 256, "less than a block is left");
    drop(file);
    fs::remove_file(bed.path("full")).expect("there");
    sync_folder(&bed);
    // Whoever serves a volume is told a moment later that nobody has the file any more.
    eventually("its room is back", Duration::from_secs(10), || {
        (statvfs(bed.root()).expect("an answer").blocks_available() > 512).then_some(())
    });
    durable(&bed, "again", &block);
    bed.cut();
    assert!(read(&bed, "again").expect("kept") == block, "there is room again");
}

fn a_volume_without_power_answers_nothing(mut bed: Bed) {
    durable(&bed, "file", b"text");
    let file = OpenOptions::new().write(true).open(bed.path("file")).expect("there");
    bed.shut_down();
    let errors = [
        file.write_all_at(b"x", 0).err(),
        file.sync_all().err(),
        File::create(bed.path("new")).err(),
        fs::rename(bed.path("file"), bed.path("other")).err(),
    ];
    for error in errors {
        assert_eq!(error.expect("it has no power").raw_os_error(), Some(libc::EIO));
    }
    drop(file);
    bed.unmount();
    bed.mount();
    assert_eq!(read(&bed, "file").expect("it was synced"), b"text");
    assert_eq!(names(&bed).len(), 1, "what was refused was not done");
}

fn an_unmount_keeps_everything(mut bed: Bed) {
    fs::write(bed.path("file"), "nobody synced it").expect("writable");
    let mapped = create(&bed.path("mapped"));
    mapped.set_len(4096).expect("room");
    Map::of(&mapped, 4096).bytes()[..3].copy_from_slice(b"map");
    drop(mapped);
    bed.unmount();
    bed.mount();
    assert_eq!(read(&bed, "file").expect("kept"), b"nobody synced it");
    assert_eq!(&read(&bed, "mapped").expect("kept")[..3], b"map");
}

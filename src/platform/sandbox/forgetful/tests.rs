//! The rules, on the model alone.

use std::collections::{BTreeMap, BTreeSet};

use nix::errno::Errno;
use proptest::prelude::*;

use super::content::PAGE;
use super::tree::{Body, Ino, Kind, Place, ROOT, Time, Tree};
use super::volume::{Depth, Maker, Volume, Wanted};
use crate::host::forgetful::{Cut, Left};

const SIZE: u64 = 1 << 20;
const SECOND: Time = 1_000_000_000;
const MAKER: Maker = Maker { mode: 0o644, user: 0, group: 0 };

fn volume() -> Volume {
    Volume::new(Tree::new(), SIZE)
}

fn at(folder: Ino, name: &str) -> Place {
    Place { folder, name: name.to_owned() }
}

fn root(name: &str) -> Place {
    at(ROOT, name)
}

fn file(volume: &mut Volume, name: &str) -> Ino {
    volume.create(root(name), Kind::File, MAKER, 1).expect("the name is free")
}

fn read(volume: &Volume, name: &str) -> Option<Vec<u8>> {
    let ino = volume.tree().find(&root(name)).ok()?;
    Some(volume.tree().content(ino).expect("a file").read(0, usize::MAX >> 1))
}

/// What several seeds make of the same volume.
fn torn(make: impl Fn() -> Volume) -> Vec<(Volume, Left)> {
    let tear = |seed| {
        let mut volume = make();
        let (left, _) = volume.cut(Cut::Tear { seed });
        (volume, left)
    };
    (0..200).map(tear).collect()
}

#[test]
fn a_write_is_lost_without_a_sync_and_stays_with_one() {
    for depth in [Depth::Data, Depth::Everything] {
        let mut volume = volume();
        let ino = file(&mut volume, "log");
        volume.write(ino, 0, b"first", 2).expect("room");
        volume.sync(ino, depth);
        volume.write(ino, 5, b"second", 3).expect("room");
        assert_eq!(read(&volume, "log").expect("there"), b"firstsecond");
        let (left, changes) = volume.cut(Cut::Lose);
        assert_eq!((left.writes, left.kept, left.dropped), (1, 0, 1));
        assert!(changes.is_empty());
        assert_eq!(read(&volume, "log").expect("its name came with the sync"), b"first");
    }
}

#[test]
fn a_file_that_nobody_synced_has_no_name_after_a_cut() {
    let mut volume = volume();
    file(&mut volume, "new");
    volume.cut(Cut::Lose);
    assert_eq!(read(&volume, "new"), None);
}

#[test]
fn a_rename_is_undone_or_done_and_durable_with_the_folder() {
    let make = || {
        let mut volume = volume();
        for (name, text) in [("old", &b"old"[..]), ("new", b"new")] {
            let ino = file(&mut volume, name);
            volume.write(ino, 0, text, 2).expect("room");
            volume.sync(ino, Depth::Everything);
        }
        volume.rename(root("new"), root("old"), 3).expect("both are there");
        volume
    };
    let mut found = BTreeSet::new();
    for (volume, _) in torn(make) {
        found.insert((read(&volume, "old"), read(&volume, "new")));
    }
    let before = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    let after = (Some(b"new".to_vec()), None);
    assert_eq!(found, BTreeSet::from([before.clone(), after.clone()]));

    let mut unsynced = make();
    let ino = unsynced.tree().find(&root("old")).expect("there");
    unsynced.sync(ino, Depth::Data);
    unsynced.cut(Cut::Lose);
    assert_eq!((read(&unsynced, "old"), read(&unsynced, "new")), before, "fdatasync is not about names");
    for synced in [ROOT, ino] {
        let mut volume = make();
        volume.sync(synced, Depth::Everything);
        volume.cut(Cut::Lose);
        assert_eq!((read(&volume, "old"), read(&volume, "new")), after);
    }
}

#[test]
fn the_log_reaches_the_disk_in_order_up_to_what_was_synced() {
    let mut volume = volume();
    let folder = volume.create(root("folder"), Kind::Folder, MAKER, 1).expect("free");
    let inside = volume.create(at(folder, "inside"), Kind::File, MAKER, 2).expect("free");
    file(&mut volume, "later");
    volume.sync(inside, Depth::Data);
    volume.cut(Cut::Lose);
    assert_eq!(volume.tree().entries(ROOT).expect("a folder").keys().collect::<Vec<_>>(), ["folder"]);
    assert!(volume.tree().find(&at(folder, "inside")).is_ok());
}

#[test]
fn a_tear_keeps_whole_sectors_of_a_write_in_any_choice_and_nothing_else() {
    let make = || {
        let mut volume = volume();
        let ino = file(&mut volume, "pages");
        volume.write(ino, 0, &[1; 2 * PAGE], 2).expect("room");
        volume.sync(ino, Depth::Data);
        volume.write(ino, 100, &[2; PAGE], 3).expect("room");
        volume
    };
    let (mut kept, mut scattered) = (BTreeSet::new(), 0);
    for (volume, left) in torn(make) {
        let bytes = read(&volume, "pages").expect("it was synced");
        assert_eq!(bytes.len(), 2 * PAGE);
        let new: Vec<bool> = (0..9)
            .map(|sector| {
                let written = (sector * 512).max(100)..(sector * 512 + 512).min(100 + PAGE);
                let first = bytes[written.start];
                assert!(bytes[written].iter().all(|&byte| byte == first), "a sector is never torn");
                first == 2
            })
            .collect();
        assert!(bytes[..100].iter().chain(&bytes[100 + PAGE..]).all(|&byte| byte == 1), "nobody wrote there");
        let count = new.iter().filter(|&&is_new| is_new).count() as u64;
        assert_eq!(
            (left.kept, left.dropped, left.torn),
            (count, 9 - count, u64::from((1..9).contains(&count)))
        );
        scattered += u32::from(new.windows(2).any(|pair| pair == [false, true]));
        kept.insert(count);
    }
    assert!(kept.contains(&0) && kept.contains(&9), "all or nothing happens as well: {kept:?}");
    assert!(scattered > 20, "later sectors without earlier ones: {scattered}");
}

#[test]
fn a_sector_is_as_memory_held_it_at_some_moment() {
    let make = || {
        let mut volume = volume();
        let ino = file(&mut volume, "log");
        volume.sync(ino, Depth::Data);
        for (place, text) in [&b"aa"[..], b"bb", b"cc"].into_iter().enumerate() {
            volume.write(ino, place as u64 * 2, text, 2).expect("room");
        }
        volume
    };
    let found: BTreeSet<Vec<u8>> = torn(make).iter().filter_map(|(volume, _)| read(volume, "log")).collect();
    let expected = ["", "aa", "aabb", "aabbcc"].map(|text| text.as_bytes().to_vec());
    assert_eq!(found, BTreeSet::from(expected), "never b without a, which the cache had together");
}

#[test]
fn what_was_cut_off_never_comes_back_and_what_was_not_cut_off_yet_stays() {
    let make = || {
        let mut volume = volume();
        let ino = file(&mut volume, "data");
        volume.write(ino, 0, &[1; 600], 2).expect("room");
        volume.sync(ino, Depth::Data);
        volume.write(ino, 600, &[2; 600], 3).expect("room");
        volume.resize(ino, 10, 4).expect("a file");
        volume.write(ino, 10, &[3; 10], 5).expect("room");
        volume
    };
    for (volume, _) in torn(make) {
        let bytes = read(&volume, "data").expect("synced");
        if bytes.len() <= 20 {
            assert!(bytes[..10] == [1; 10] && bytes[10..].iter().all(|&byte| byte == 3), "{bytes:?}");
        } else {
            assert!(
                bytes[..600] == [1; 600] && !bytes.contains(&3),
                "a lost cut keeps what came after it away"
            );
        }
    }
    // Somebody else's sync brings the cut to the disk, the bytes from before it must not follow.
    let others = || {
        let mut volume = make();
        let other = file(&mut volume, "other");
        volume.sync(other, Depth::Data);
        volume
    };
    for (volume, _) in torn(others) {
        let bytes = read(&volume, "data").expect("synced");
        assert!(bytes.len() <= 20 && !bytes.contains(&2), "{bytes:?}");
    }
}

#[test]
fn a_file_without_a_name_is_there_while_it_is_used_and_gone_afterwards() {
    let mut volume = volume();
    let ino = file(&mut volume, "open");
    volume.meet(ino);
    volume.write(ino, 0, &[1; PAGE], 2).expect("room");
    volume.sync(ino, Depth::Everything);
    volume.remove_file(root("open"), 3).expect("there");
    volume.write(ino, 0, b"still", 4).expect("used");
    assert_eq!(volume.tree().content(ino).expect("used").read(0, 5), b"still");
    let (all, free) = volume.space();
    assert_eq!(all - free, 1);
    volume.sync(ino, Depth::Everything);
    assert!(volume.durable.node(ino).is_err(), "its sync brought the removal to the disk");
    volume.resize(ino, 3, 5).expect("used");
    volume.change(ino, Wanted::default(), 5).expect("used");
    assert!(volume.sync(ino, Depth::Everything).is_empty(), "nobody finds it there");
    volume.forget(ino, 1);
    assert_eq!(volume.space(), (all, all));
    assert_eq!(volume.tree().node(ino).err(), Some(Errno::ESTALE));
}

#[test]
fn both_names_of_a_file_have_what_was_synced_by_one() {
    let mut volume = volume();
    let ino = file(&mut volume, "one");
    volume.link(ino, root("two"), 2).expect("free");
    volume.write(ino, 0, b"same", 3).expect("room");
    volume.sync(ino, Depth::Everything);
    volume.remove_file(root("one"), 4).expect("there");
    volume.sync(ROOT, Depth::Everything);
    volume.cut(Cut::Lose);
    assert_eq!((read(&volume, "one"), read(&volume, "two")), (None, Some(b"same".to_vec())));
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let mut volume = volume();
    let ino = file(&mut volume, "file");
    let folder = volume.create(root("folder"), Kind::Folder, MAKER, 1).expect("free");
    volume.create(at(folder, "inside"), Kind::File, MAKER, 1).expect("free");
    let refused = [
        (volume.create(root("file"), Kind::File, MAKER, 2).err(), Errno::EEXIST),
        (volume.create(root(&"x".repeat(256)), Kind::File, MAKER, 2).err(), Errno::ENAMETOOLONG),
        (volume.create(at(ino, "x"), Kind::File, MAKER, 2).err(), Errno::ENOTDIR),
        (volume.remove_file(root("none"), 2).err(), Errno::ENOENT),
        (volume.remove_file(root("folder"), 2).err(), Errno::EISDIR),
        (volume.remove_folder(root("file"), 2).err(), Errno::ENOTDIR),
        (volume.remove_folder(root("folder"), 2).err(), Errno::ENOTEMPTY),
        (volume.link(folder, root("second"), 2).err(), Errno::EPERM),
        (volume.write(ino, 0, &vec![1; SIZE as usize + 1], 2).err(), Errno::ENOSPC),
        (volume.write(ino, u64::MAX, b"x", 2).err(), Errno::EFBIG),
        (volume.allocate(ino, 1, SIZE, 2).err(), Errno::ENOSPC),
        (volume.allocate(ino, u64::MAX, 2, 2).err(), Errno::EFBIG),
        (volume.resize(ino, u64::MAX, 2).err(), Errno::EFBIG),
    ];
    for (found, expected) in refused {
        assert_eq!(found, Some(expected));
    }
    assert_eq!(volume.space(), (SIZE / PAGE as u64, SIZE / PAGE as u64));
    assert_eq!(volume.log.len(), 3);
}

#[test]
fn too_much_that_waits_is_written_out() {
    let mut volume = Volume::new(Tree::new(), 1 << 30);
    let ino = file(&mut volume, "big");
    for place in 0..64 {
        assert!(volume.relieve(2).is_empty());
        volume.write(ino, place << 20, &vec![1; 1 << 20], 2).expect("room");
    }
    assert!(!volume.relieve(2).is_empty());
    volume.cut(Cut::Lose);
    assert_eq!(read(&volume, "big").expect("written out").len(), 64 << 20);
}

#[test]
fn what_is_small_takes_room_as_well_while_it_waits() {
    let mut volume = volume();
    let ino = file(&mut volume, "small");
    volume.write(ino, 0, b"x", 2).expect("room");
    for _ in 0..200_000 {
        volume.change(ino, Wanted::default(), 2).expect("there");
    }
    assert!(!volume.relieve(2).is_empty());
    assert!(volume.log.is_empty());
    for _ in 0..700_000 {
        volume.write(ino, 0, b"x", 2).expect("room");
    }
    assert!(!volume.relieve(2).is_empty());
    assert!(volume.writes.is_empty());
}

#[test]
fn what_is_old_is_written_out_and_what_is_young_waits() {
    let mut volume = volume();
    let old = file(&mut volume, "old");
    volume.write(old, 0, b"bytes", SECOND).expect("room");
    volume.write(old, 5, b", and what came later", 20 * SECOND).expect("room");
    volume.create(root("name"), Kind::File, MAKER, 5 * SECOND).expect("free");
    let young = volume.create(root("young"), Kind::File, MAKER, 15 * SECOND).expect("free");
    volume.write(young, 0, b"bytes", 39 * SECOND).expect("room");
    assert!(volume.relieve(30 * SECOND).is_empty());
    assert!(!volume.relieve(40 * SECOND).is_empty());
    volume.cut(Cut::Lose);
    assert_eq!(read(&volume, "old").expect("old"), b"bytes, and what came later");
    assert_eq!(read(&volume, "name").expect("old"), b"");
    assert_eq!(read(&volume, "young"), None);
}

#[derive(Debug, Clone)]
enum Step {
    Write { file: usize, at: u64, length: usize },
    Resize { file: usize, length: u64 },
    Rename { from: usize, to: usize },
    Remove { file: usize },
    Sync { file: usize, depth: Depth },
    SyncFolder,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (name, place) = (0..NAMES.len(), 0..3 * PAGE as u64);
    let step = prop_oneof![
        4 => (name.clone(), place.clone(), 1..2 * PAGE).prop_map(|(file, at, length)| Step::Write { file, at, length }),
        1 => (name.clone(), place).prop_map(|(file, length)| Step::Resize { file, length }),
        1 => (name.clone(), name.clone()).prop_map(|(from, to)| Step::Rename { from, to }),
        1 => name.clone().prop_map(|file| Step::Remove { file }),
        1 => name.clone().prop_map(|file| Step::Sync { file, depth: Depth::Data }),
        1 => name.prop_map(|file| Step::Sync { file, depth: Depth::Everything }),
        1 => Just(Step::SyncFolder),
    ];
    proptest::collection::vec(step, 0..30)
}

/// The names that a volume shows, and what each means.
fn names(tree: &Tree) -> BTreeMap<String, Ino> {
    tree.entries(ROOT).expect("a folder").clone()
}

/// What may be in a file, byte by byte: what was synced, and whatever was written or cut off since.
type Allowed = BTreeMap<Ino, Vec<BTreeSet<u8>>>;

/// What a cut may leave.
struct Expected {
    /// The names that there were since the last that must be durable.
    names: Vec<BTreeMap<String, Ino>>,
    /// The bytes of files that were synced.
    bytes: Allowed,
    /// How long these are at least.
    shortest: BTreeMap<Ino, u64>,
}

/// Does the steps; says what a cut may leave.
fn walk(volume: &mut Volume, steps: &[Step]) -> Expected {
    let mut history = vec![names(volume.tree())];
    let mut allowed = Allowed::new();
    let mut shortest = BTreeMap::new();
    // The first of these moments that a cut may go back to, and from which on each file's newest entry is done.
    let mut first = 0;
    let mut newest = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        let byte = number as u8 + 1;
        let mut known = |volume: &mut Volume, file: usize| {
            volume.tree().find(&root(NAMES[file])).unwrap_or_else(|_| {
                let ino = volume.create(root(NAMES[file]), Kind::File, MAKER, 1).expect("free");
                newest.insert(ino, history.len());
                history.push(names(volume.tree()));
                ino
            })
        };
        match *step {
            Step::Write { file, at, length } => {
                let ino = known(volume, file);
                volume.write(ino, at, &vec![byte; length], 1).expect("room");
                if let Some(bytes) = allowed.get_mut(&ino) {
                    // A longer file may have zeroes where nothing has reached it.
                    bytes.resize(bytes.len().max(at as usize + length), BTreeSet::from([0]));
                    for may in &mut bytes[at as usize..at as usize + length] {
                        may.insert(byte);
                    }
                }
            }
            Step::Resize { file, length } => {
                let ino = known(volume, file);
                volume.resize(ino, length, 1).expect("a file");
                newest.insert(ino, history.len());
                shortest.entry(ino).and_modify(|shortest: &mut u64| *shortest = length.min(*shortest));
                if let Some(bytes) = allowed.get_mut(&ino) {
                    bytes.resize(bytes.len().max(length as usize), BTreeSet::new());
                    for may in bytes {
                        may.insert(0);
                    }
                }
            }
            Step::Rename { from, to } => {
                let ino = known(volume, from);
                volume.rename(root(NAMES[from]), root(NAMES[to]), 1).expect("there");
                if from != to {
                    newest.insert(ino, history.len());
                }
            }
            Step::Remove { file } => {
                let _ = volume.remove_file(root(NAMES[file]), 1);
            }
            Step::Sync { file, depth } => {
                let ino = known(volume, file);
                volume.sync(ino, depth);
                let content = volume.tree().content(ino).expect("a file");
                let bytes = content.read(0, content.length() as usize);
                shortest.insert(ino, content.length());
                if depth == Depth::Everything {
                    first = first.max(newest[&ino]);
                }
                allowed.insert(ino, bytes.into_iter().map(|byte| BTreeSet::from([byte])).collect());
            }
            Step::SyncFolder => {
                volume.sync(ROOT, Depth::Everything);
                first = history.len();
            }
        }
        history.push(names(volume.tree()));
    }
    Expected { names: history.split_off(first), bytes: allowed, shortest }
}

/// Whether what the live tree has is what the disk has.
fn same(one: &Tree, other: &Tree) -> bool {
    names(one) == names(other)
        && names(one).values().all(|&ino| {
            let (one, other) = (one.content(ino).expect("a file"), other.content(ino).expect("a file"));
            one.length() == other.length()
                && one.read(0, one.length() as usize) == other.read(0, one.length() as usize)
        })
}

proptest! {
    // Each takes milliseconds where nothing is optimised.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_cut_leaves_names_of_one_moment_and_only_bytes_that_were_there(steps in steps(), seed: Option<u32>) {
        let mut volume = volume();
        let expected = walk(&mut volume, &steps);
        volume.cut(seed.map_or(Cut::Lose, |seed| Cut::Tear { seed }));
        let found = names(volume.tree());
        let history = expected.names;
        prop_assert!(history.contains(&found), "{found:?} was never so since the last sync: {history:?}");
        for (name, ino) in found {
            let content = volume.tree().content(ino).expect("a file");
            let bytes = content.read(0, content.length() as usize);
            let Some(allowed) = expected.bytes.get(&ino) else { continue };
            prop_assert!(bytes.len() <= allowed.len(), "{name} is longer than it ever was");
            prop_assert!(bytes.len() as u64 >= expected.shortest[&ino], "{name} has lost its end");
            for (place, byte) in bytes.iter().enumerate() {
                prop_assert!(allowed[place].contains(byte), "byte {place} of {name} is {byte}");
            }
        }
    }

    #[test]
    fn everything_that_was_synced_survives_as_it_was(steps in steps(), seed: Option<u32>) {
        let mut volume = volume();
        walk(&mut volume, &steps);
        volume.sync_all();
        let before = volume.tree().clone();
        let (left, changes) = volume.cut(seed.map_or(Cut::Lose, |seed| Cut::Tear { seed }));
        prop_assert_eq!(left, Left::default());
        prop_assert!(changes.is_empty());
        prop_assert!(same(&before, volume.tree()));
    }

    #[test]
    fn room_is_counted_right(steps in steps()) {
        let mut volume = volume();
        walk(&mut volume, &steps);
        let used: u64 = volume.tree().nodes().map(|(_, node)| match &node.body {
            Body::File(content) => content.room(),
            Body::Folder { .. } | Body::Link(_) => 0,
        }).sum();
        let (all, free) = volume.space();
        prop_assert_eq!(all - free, used);
    }

    #[test]
    fn the_same_seed_tears_the_same(steps in steps(), seed: u32) {
        let tear = || {
            let mut volume = volume();
            walk(&mut volume, &steps);
            let (left, _) = volume.cut(Cut::Tear { seed });
            (volume, left)
        };
        let ((one, first), (other, second)) = (tear(), tear());
        prop_assert_eq!(first, second);
        prop_assert!(same(one.tree(), other.tree()));
    }
}

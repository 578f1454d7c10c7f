use std::fs::{self, OpenOptions};
use std::io::Write;

use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::testing::{StoreBuilder, Suite, blank_ent, log_id};
use openraft::{RaftLogReader, StorageError};
use tempfile::TempDir;

use super::fresh::Fresh;
use super::log::Log;
use super::record;
use super::segments::Segments;
use crate::bugs::Bugs;
use crate::machine::Machine;
use crate::replica::{Entry, Id, Types, Vote};

struct InFolder;

impl StoreBuilder<Types, Log, Machine, TempDir> for InFolder {
    async fn build(&self) -> Result<(TempDir, Log, Machine), StorageError<Id>> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = Log::open(folder.path(), 0, &Bugs::default()).expect("an empty folder");
        let machine = Machine::open(folder.path()).expect("an empty folder");
        Ok((folder, log, machine))
    }
}

#[test]
fn keeps_every_promise_that_openraft_asks_of_a_store() {
    Suite::test_all(InFolder).expect("openraft's own suite");
}

fn entries(indexes: std::ops::Range<u64>) -> Vec<Entry> {
    indexes.map(|index| blank_ent::<Types>(1, 0, index)).collect()
}

async fn reopen(folder: &TempDir, bugs: &str) -> (Log, Vec<u64>) {
    let mut log =
        Log::open(folder.path(), 0, &bugs.parse().expect("a bug's name")).expect("what was written");
    let held = log.try_get_log_entries(..).await.expect("entries in memory");
    (log, held.iter().map(|entry| entry.log_id.index).collect())
}

#[tokio::test]
async fn has_after_a_restart_what_it_had_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut log, _) = reopen(&folder, "").await;
    log.blocking_append(entries(0..10)).await.expect("room");
    log.truncate(log_id(1, 0, 7)).await.expect("room");
    log.blocking_append(entries(7..9)).await.expect("room");
    log.purge(log_id(1, 0, 2)).await.expect("room");
    log.save_vote(&Vote::new(3, 1)).await.expect("room");
    drop(log);
    let (mut log, held) = reopen(&folder, "").await;
    assert_eq!(held, [3, 4, 5, 6, 7, 8]);
    assert_eq!(log.read_vote().await.expect("a vote"), Some(Vote::new(3, 1)));
    let state = log.get_log_state().await.expect("a state");
    assert_eq!(state.last_purged_log_id, Some(log_id(1, 0, 2)));
}

#[tokio::test]
async fn drops_a_torn_record_and_goes_on_after_it() {
    for torn in 1..40 {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (mut log, _) = reopen(&folder, "").await;
        log.blocking_append(entries(0..3)).await.expect("room");
        let file = folder.path().join("log-00000000000000000001");
        let whole = fs::metadata(&file).expect("the log").len();
        log.blocking_append(entries(3..4)).await.expect("room");
        drop(log);
        let end = fs::metadata(&file).expect("the log").len();
        let cut = OpenOptions::new().write(true).open(&file).expect("the log");
        cut.set_len((whole + torn).min(end - 1)).expect("a shorter log");
        let (mut log, held) = reopen(&folder, "").await;
        assert_eq!(held, [0, 1, 2], "torn after {torn} bytes");
        log.blocking_append(entries(3..5)).await.expect("room");
        drop(log);
        assert_eq!(reopen(&folder, "").await.1, [0, 1, 2, 3, 4]);
    }
}

#[tokio::test]
async fn takes_zeros_after_the_log_for_its_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut log, _) = reopen(&folder, "").await;
    log.blocking_append(entries(0..3)).await.expect("room");
    drop(log);
    let file = folder.path().join("log-00000000000000000001");
    let mut file = OpenOptions::new().append(true).open(file).expect("the log");
    file.write_all(&[0; 5000]).expect("room");
    assert_eq!(reopen(&folder, "").await.1, [0, 1, 2]);
}

#[tokio::test]
async fn refuses_a_log_that_is_damaged_before_its_last_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut log, _) = reopen(&folder, "").await;
    log.blocking_append(entries(0..3)).await.expect("room");
    drop(log);
    let first = folder.path().join("log-00000000000000000001");
    let mut bytes = fs::read(&first).expect("the log");
    bytes[20] ^= 1;
    fs::write(&first, bytes).expect("room");
    fs::write(folder.path().join("log-00000000000000000002"), b"").expect("room");
    let error = Log::open(folder.path(), 0, &Bugs::default()).err().expect("damage").to_string();
    assert!(error.contains("log-00000000000000000001 is damaged at byte 0"), "{error}");
}

#[tokio::test]
async fn refuses_a_damaged_vote() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut log, _) = reopen(&folder, "").await;
    log.save_vote(&Vote::new(3, 1)).await.expect("room");
    drop(log);
    fs::write(folder.path().join("vote"), b"garbage").expect("room");
    assert!(Log::open(folder.path(), 0, &Bugs::default()).is_err());
}

#[test]
fn removes_files_that_hold_nothing_needed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut segments = Segments::open(folder.path(), |_| Ok(None)).expect("an empty folder");
    let mut record = Vec::new();
    record::write(&mut record, &vec![7; 1024 * 1024]);
    for index in 0..20 {
        segments.append(&record, Some(index)).expect("room");
    }
    segments.sync().expect("a disk");
    let names = || {
        let files = fs::read_dir(folder.path()).expect("the folder");
        let mut names: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    assert!(before.len() == 3, "{before:?}");
    segments.remove_upto(6).expect("files");
    assert_eq!(names(), before, "the first file holds entry 7");
    segments.remove_upto(7).expect("files");
    assert_eq!(names(), before[1..]);
    drop(segments);
    let mut records = 0;
    let count = |_: &[u8]| {
        records += 1;
        Ok(None)
    };
    Segments::open(folder.path(), count).expect("what is left");
    assert_eq!(records, 12);
}

#[tokio::test]
async fn forgets_its_vote_only_with_the_bug() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut log, _) = reopen(&folder, "").await;
    log.save_vote(&Vote::new(3, 1)).await.expect("room");
    drop(log);
    let (mut log, _) = reopen(&folder, "forgotten-vote").await;
    assert_eq!(log.read_vote().await.expect("no vote"), None);
    drop(log);
    let (mut log, _) = reopen(&folder, "").await;
    assert_eq!(log.read_vote().await.expect("a vote"), Some(Vote::new(3, 1)));
}

#[tokio::test]
async fn does_not_lead_on_in_its_old_term_after_a_restart() {
    for (leader, is_committed) in [(0, false), (1, true)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (mut log, _) = reopen(&folder, "").await;
        log.save_vote(&Vote::new_committed(3, leader)).await.expect("room");
        drop(log);
        let vote = reopen(&folder, "").await.0.read_vote().await.expect("a vote");
        let expected = Vote { committed: is_committed, ..Vote::new(3, leader) };
        assert_eq!(vote, Some(expected), "member 0, when {leader} led");
    }
}

#[test]
fn knows_an_empty_disk_until_it_has_caught_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    assert!(Fresh::open(folder.path()).expect("a folder").is_fresh());
    fs::write(folder.path().join("vote"), b"x").expect("room");
    let restarted = Fresh::open(folder.path()).expect("a folder");
    assert!(restarted.is_fresh(), "a restart is no catching up");
    restarted.clear().expect("the marker");
    assert!(!Fresh::open(folder.path()).expect("a folder").is_fresh());
}

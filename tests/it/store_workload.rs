//! The workload on real groups that lose members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use seatrial::api::{Nanos, Ordinal};
use seatrial::experiment;
use seatrial::journal::entry::Held;
use seatrial::journal::op::OpLine;
use seatrial::judge::history::from_journal;
use seatrial::judge::linearizability;
use seatrial::platform::Endpoint;
use seatrial::workload::{
    Action, Invocation, Outcome, Rates, Record, Running, ScopeError, Totals, Workload, clean_up, read_ledger,
};

use tokio::sync::watch;

use super::store_group::{Group, IN_TIME, Kind, MEMBERS, in_};

/// An operation with its times; no end where none was recorded.
#[derive(Debug, Clone)]
struct Entry {
    operation: Invocation,
    start: Nanos,
    end: Option<(Nanos, Outcome)>,
}

/// Keeps everything in memory, as entries and as a journal's lines.
struct Notes {
    began: Instant,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: Vec<Entry>,
    journal: Vec<u8>,
    lines: u64,
}

impl Kept {
    fn line<'a>(&mut self, line: impl FnOnce(u64) -> OpLine<'a>) {
        line(self.lines).write(&mut self.journal);
        self.journal.push(b'\n');
        self.lines += 1;
    }
}

impl Notes {
    fn entries(&self) -> Vec<Entry> {
        self.kept().entries.clone()
    }

    fn journal(&self) -> String {
        String::from_utf8(self.kept().journal.clone()).expect("JSON is UTF-8")
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("nobody panics with it")
    }
}

impl Record for Notes {
    fn now(&self) -> Nanos {
        u64::try_from(self.began.elapsed().as_nanos()).expect("a short test")
    }

    fn invoke(&self, start: Nanos, operation: &Invocation) {
        let mut kept = self.kept();
        kept.line(|index| operation.invoked(index, start));
        kept.entries.push(Entry { operation: operation.clone(), start, end: None });
    }

    fn complete(&self, end: Nanos, operation: &Invocation, outcome: &Outcome) {
        let mut kept = self.kept();
        kept.line(|index| operation.ended(index, end, outcome));
        let open = kept
            .entries
            .iter_mut()
            .rev()
            .find(|entry| entry.operation.process == operation.process)
            .expect("what ends has begun");
        assert_eq!((&open.operation, &open.end), (operation, &None));
        open.end = Some((end, outcome.clone()));
    }
}

fn spec() -> experiment::Workload {
    serde_json::from_str(r#"{"clients":6,"rate":120,"registers":3,"timeout":"400ms"}"#).expect("a workload")
}

async fn start(group: &Group) -> (Arc<Notes>, Result<Running, ScopeError>) {
    let notes = Arc::new(Notes { began: Instant::now(), kept: Mutex::default() });
    let workload = Workload {
        adapter: Arc::clone(&group.adapter),
        members: MEMBERS.to_vec(),
        spec: spec(),
        seed: 7,
        record: notes.clone(),
    };
    let running = workload.start().await;
    (notes, running)
}

fn is_ok(entry: &Entry) -> bool {
    matches!(&entry.end, Some((_, Outcome::Ok(_))))
}

fn acknowledged_ledger(entries: &[Entry]) -> BTreeMap<String, u64> {
    entries
        .iter()
        .filter(|entry| is_ok(entry))
        .filter_map(|entry| match entry.operation.action {
            Action::Write(value) if entry.operation.key.starts_with("ledger/") => {
                Some((entry.operation.key.clone(), value))
            }
            Action::Read | Action::Write(_) | Action::Cas { .. } => None,
        })
        .collect()
}

fn assert_holds(held: &[(Ordinal, Held)], acknowledged: &BTreeMap<String, u64>) {
    for (member, held) in held {
        assert!(matches!(held, Held::Values(_)), "member {member}: {held:?}");
        let nothing = BTreeMap::new();
        let values = match held {
            Held::Values(values) => values,
            Held::Unreadable(_) => &nothing,
        };
        let lost: Vec<_> =
            acknowledged.iter().filter(|&(key, value)| values.get(key) != Some(value)).collect();
        assert!(lost.is_empty(), "member {member} lost {lost:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_keeps_what_it_acknowledged_while_its_leader_is_killed() {
    keeps_what_it_acknowledged(Kind::Etcd).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refkv_keeps_what_it_acknowledged_while_its_leader_is_killed() {
    keeps_what_it_acknowledged(Kind::Refkv).await;
}

/// Nobody takes the primary's place, so it has to come back first.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_it_acknowledged_while_its_primary_is_killed() {
    keeps_what_it_acknowledged(Kind::Postgres).await;
}

async fn keeps_what_it_acknowledged(kind: Kind) {
    let group = Group::start(kind).await;
    let (notes, running) = start(&group).await;
    let running = running.expect("an empty scope");
    let mut rates = running.rates();
    wait_until_most_are_answered(&mut rates).await;
    let leader = group.leader().await;
    group.end(leader);
    if kind == Kind::Postgres {
        wait_until_none_is_answered(&mut rates).await;
        group.run(leader);
        wait_until_most_are_answered(&mut rates).await;
    } else {
        // One second, at least, begins after the leader's end and is counted whole.
        tokio::time::sleep(Duration::from_secs(2)).await;
        wait_until_most_are_answered(&mut rates).await;
        group.run(leader);
    }
    wait_until_enough_is_answered(&notes).await;
    let totals = running.stop().await;

    let entries = notes.entries();
    assert!(entries.iter().all(|entry| entry.end.is_some()), "what began has an end");
    assert!(totals.fail + totals.unknown > 0, "{totals:?}");
    one_value_is_written_once(&entries);
    no_process_goes_on_after_an_unknown_outcome(&entries);
    let history =
        from_journal(&notes.journal(), 1, |key| key.starts_with("r/")).expect("lines that fit together");
    let judged = linearizability::check(&history);
    assert!(matches!(judged, linearizability::Outcome::Linearizable { keys: 3, .. }), "{judged:?}");

    let acknowledged = acknowledged_ledger(&entries);
    let held = read_ledger(Arc::clone(&group.adapter), &MEMBERS, "seatrial/", IN_TIME).await;
    assert_eq!(held.len(), 3);
    assert_holds(&held, &acknowledged);

    clean_up(&*group.adapter, &MEMBERS, &spec().scope).await.expect("a healthy group");
    let mut client = group.adapter.client(Endpoint::Member(group.leader().await));
    let left = client.list("seatrial/", in_(IN_TIME)).await.expect("a listing");
    assert_eq!(left.values.len(), 0);
}

/// A client that is pinned to a member that is down has no answers, so half of the rate is most of it.
async fn wait_until_most_are_answered(rates: &mut watch::Receiver<Rates>) {
    let answered = rates.wait_for(|second| second.ok > 60);
    let answered = tokio::time::timeout(IN_TIME, answered).await;
    answered.expect("in time").expect("a running workload");
}

/// Waits until more than a few operations were answered, since the member came back as well, and more than a few heartbeats
/// taken: how many that are in a second is the machine's matter.
async fn wait_until_enough_is_answered(notes: &Notes) {
    let before = notes.entries().len();
    let until = in_(IN_TIME);
    loop {
        let entries = notes.entries();
        let (beats, others): (Vec<_>, Vec<_>) =
            entries.iter().partition(|entry| entry.operation.key == "heartbeat");
        let taken = beats.iter().filter(|entry| is_ok(entry)).count();
        let answered = others.iter().filter(|entry| is_ok(entry)).count();
        let ledger = acknowledged_ledger(&entries).len();
        let since = entries[before..].iter().filter(|entry| is_ok(entry)).count();
        if taken > 20 && answered > 150 && ledger > 30 && since > 60 {
            return;
        }
        let told =
            format!("{taken} beats taken, {answered} answered, {ledger} of the ledger, {since} lately");
        assert!(tokio::time::Instant::now() < until, "{told}: {beats:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A second in which operations came to an end, and nobody answered any of them.
async fn wait_until_none_is_answered(rates: &mut watch::Receiver<Rates>) {
    let none = rates.wait_for(|second| second.ok == 0 && second.fail + second.unknown > 0);
    let none = tokio::time::timeout(IN_TIME, none).await;
    none.expect("in time").expect("a running workload");
}

fn one_value_is_written_once(entries: &[Entry]) {
    let mut values = BTreeSet::new();
    for entry in entries {
        match entry.operation.action {
            Action::Read => {}
            Action::Write(value) | Action::Cas { value, .. } => assert!(values.insert(value), "{entry:?}"),
        }
    }
}

fn no_process_goes_on_after_an_unknown_outcome(entries: &[Entry]) {
    let mut over = BTreeSet::new();
    for entry in entries {
        let process = entry.operation.process;
        assert!(!over.contains(&process), "{entry:?}");
        if matches!(&entry.end, Some((_, Outcome::Unknown(_)))) {
            over.insert(process);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_does_not_catch_up_is_unreadable_and_not_empty() {
    let group = Group::start(Kind::Etcd).await;
    let leader = group.leader().await;
    let mut client = group.adapter.client(Endpoint::Member(leader));
    client.write("seatrial/ledger/1", 1, in_(IN_TIME)).await.expect("a write");
    let (ended, lagging) = ((leader + 1) % 3, (leader + 2) % 3);
    group.end(ended);
    // Long enough for the others on a busy machine, because the one that is gone takes all of it.
    let limit = Duration::from_secs(5);
    let held = read_ledger(Arc::clone(&group.adapter), &MEMBERS, "seatrial/", limit).await;
    for (member, held) in held {
        match held {
            Held::Values(values) => assert_eq!((member != ended, values["ledger/1"]), (true, 1)),
            Held::Unreadable(why) => {
                assert_eq!((member, why.contains("does not answer")), (ended, true), "{why}");
            }
        }
    }

    // Without a majority nobody can tell what should be there.
    group.end(lagging);
    let limit = Duration::from_secs(1);
    let held = read_ledger(Arc::clone(&group.adapter), &MEMBERS, "seatrial/", limit).await;
    assert!(held.iter().all(|(_, held)| matches!(held, Held::Unreadable(_))), "{held:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_counted_from_the_intended_start() {
    let group = Group::start(Kind::Refkv).await;
    let (notes, running) = start(&group).await;
    let running = running.expect("an empty scope");
    tokio::time::sleep(Duration::from_millis(500)).await;
    for member in MEMBERS {
        group.stop(member);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    for member in MEMBERS {
        group.go_on(member);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let Totals { unknown, missed, .. } = running.stop().await;
    assert!(unknown > 0 && missed > 0, "{unknown} unknown, {missed} missed");

    // At least one operation began late because its client was held up, and keeps its intended start; none is further
    // behind than the timeout allows, and by what a thread may have to wait for a processor. A client that tried each of its
    // slots would be behind by more than two seconds in the end.
    let behind = |entry: &Entry| entry.start.saturating_sub(entry.operation.intended);
    let most = notes.entries().iter().map(behind).max().expect("operations");
    assert!((100_000_000..=1_400_000_000).contains(&most), "{most} ns");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_with_somebody_elses_keys_is_not_touched() {
    let group = Group::start(Kind::Refkv).await;
    let mut client = group.adapter.client(Endpoint::Member(0));
    client.write("seatrial/r/0", 5, in_(IN_TIME)).await.expect("a write");
    let (_, running) = start(&group).await;
    running.expect("numbers are what a workload leaves behind").stop().await;

    let address = group.address(0);
    put_text(address, "seatrial/theirs", "precious").await;
    let (_, refused) = start(&group).await;
    let refused = refused.err();
    assert!(matches!(refused, Some(ScopeError::Foreign { count: 1, .. })), "{refused:?}");
}

/// Sets a key to a text, which no client of ours can.
async fn put_text(address: std::net::SocketAddr, key: &str, text: &str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let body = format!(r#"{{"value":"{text}"}}"#);
    let request = format!(
        "PUT /v1/kv/{key} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a member");
    stream.write_all(request.as_bytes()).await.expect("a member");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

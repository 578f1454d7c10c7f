use super::*;

fn write(index: u64, fate: Fate) -> LedgerWrite {
    LedgerWrite { index, process: 0, key: format!("ledger/{index}"), value: 100 + index, call: index, fate }
}

fn acknowledged(index: u64) -> LedgerWrite {
    write(index, Fate::Acknowledged(index + 1))
}

fn holds(member: Ordinal, ledger: &[(u64, Option<u64>)]) -> FinalReads {
    let ledger = ledger.iter().map(|&(index, value)| (format!("ledger/{index}"), value)).collect();
    FinalReads { member, answer: MemberAnswer::Held(ledger) }
}

fn unreadable(member: Ordinal) -> FinalReads {
    FinalReads { member, answer: MemberAnswer::NotReadable("connection refused".into()) }
}

fn reason(found: &Durability) -> &str {
    match &found.answer {
        Answer::Undecidable { reason } => reason,
        Answer::Kept | Answer::Broken => "",
    }
}

#[test]
fn keeps_what_every_member_holds() {
    let writes = [acknowledged(1), write(2, Fate::Unknown), write(3, Fate::Unknown), write(4, Fate::Failed)];
    let ledger = [(1, Some(101)), (2, Some(102)), (3, None), (4, None)];
    let found = check(&writes, &[holds(0, &ledger), holds(1, &ledger)]);
    assert_eq!(found.answer, Answer::Kept);
    let counts =
        Counts { acknowledged: 1, unknown: 2, unknown_kept: 1, members: 2, members_read: 2, reads: 8 };
    assert_eq!(found.counts, counts);
}

#[test]
fn an_acknowledged_write_that_nobody_holds_is_lost() {
    let found = check(&[acknowledged(1)], &[holds(1, &[(1, None)]), holds(0, &[(1, None)])]);
    assert_eq!(found.answer, Answer::Broken);
    assert_eq!(found.lost[0].members, [(0, Holding::Absent), (1, Holding::Absent)]);
    assert!(found.diverged.is_empty() && found.phantoms.is_empty());
}

#[test]
fn an_acknowledged_write_that_some_hold_has_diverged() {
    let found = check(&[acknowledged(1)], &[holds(0, &[(1, Some(101))]), holds(1, &[(1, None)])]);
    assert_eq!(found.answer, Answer::Broken);
    assert_eq!(found.diverged[0].members, [(0, Holding::Written), (1, Holding::Absent)]);
    assert!(found.lost.is_empty());
}

#[test]
fn another_value_is_a_loss_and_a_phantom() {
    let found = check(&[acknowledged(1)], &[holds(0, &[(1, Some(7))])]);
    assert_eq!(found.lost[0].members, [(0, Holding::Other(7))]);
    assert_eq!((found.phantoms[0].value, found.phantoms[0].write.clone()), (7, Some(acknowledged(1))));
}

#[test]
fn a_write_that_failed_must_not_be_there_and_an_unknown_one_may() {
    let writes = [acknowledged(1), write(2, Fate::Failed), write(3, Fate::Unknown)];
    let found = check(&writes, &[holds(0, &[(1, Some(101)), (2, Some(102)), (3, Some(103)), (9, Some(1))])]);
    let keys: Vec<&str> = found.phantoms.iter().map(|phantom| phantom.key.as_str()).collect();
    assert_eq!((keys, found.answer), (vec!["ledger/2", "ledger/9"], Answer::Broken));
}

#[test]
fn what_was_not_read_leaves_the_question_open() {
    let whole = holds(0, &[(1, Some(101))]);
    let found = check(&[acknowledged(1)], &[whole.clone(), unreadable(2)]);
    assert_eq!(reason(&found), "member 2 could not be read after the run: connection refused");
    let found = check(&[acknowledged(1)], &[whole.clone(), holds(1, &[])]);
    assert_eq!(reason(&found), "key ledger/1 was not read from member 1 after the run");
    let found = check(&[acknowledged(1)], &[]);
    assert_eq!(reason(&found), "no member was read after the run");
    let found = check(&[write(1, Fate::Unknown)], &[whole]);
    assert_eq!(reason(&found), "no write to the ledger was acknowledged");
}

#[test]
fn what_was_seen_counts_even_if_a_member_was_not_read() {
    let found = check(&[acknowledged(1)], &[holds(0, &[(1, None)]), unreadable(1)]);
    assert_eq!(found.answer, Answer::Broken);
    assert_eq!(found.lost[0].members, [(0, Holding::Absent), (1, Holding::NotRead)]);
}

#[test]
fn a_key_written_twice_is_judged_by_each_write() {
    let mut second = acknowledged(2);
    second.key = "ledger/1".into();
    let found = check(&[acknowledged(1), second], &[holds(0, &[(1, Some(102))])]);
    assert_eq!((found.lost.len(), found.lost[0].write.index, found.phantoms.len()), (1, 1, 0));
}

//! Values that cannot be there, and how much was looked at.

use std::collections::HashMap;

use super::{Counts, Fate, FinalReads, Holding, LedgerWrite, MemberAnswer, Phantom};

/// Every value on a member that no write can have put there, by key and member.
pub(super) fn phantoms(writes: &[LedgerWrite], finals: &[&FinalReads]) -> Vec<Phantom> {
    let mut by_key: HashMap<&str, Vec<&LedgerWrite>> = HashMap::with_capacity(writes.len());
    for write in writes {
        by_key.entry(&write.key).or_default().push(write);
    }
    let mut found = Vec::new();
    for member in finals {
        let MemberAnswer::Held(ledger) = &member.answer else {
            continue;
        };
        for (key, value) in ledger {
            let Some(value) = *value else { continue };
            let written = by_key.get(key.as_str()).map_or(&[][..], Vec::as_slice);
            if !written.iter().any(|write| write.value == value && write.fate != Fate::Failed) {
                found.push(Phantom {
                    member: member.member,
                    key: key.clone(),
                    value,
                    write: written.first().map(|&write| write.clone()),
                });
            }
        }
    }
    found.sort_by(|a, b| (&a.key, a.member).cmp(&(&b.key, b.member)));
    found
}

/// How much there was to look at, and how much was looked at.
pub(super) fn counts(writes: &[LedgerWrite], finals: &[&FinalReads]) -> Counts {
    let mut counts = Counts { members: finals.len(), ..Counts::default() };
    for write in writes {
        match write.fate {
            Fate::Acknowledged(_) => counts.acknowledged += 1,
            Fate::Unknown => {
                counts.unknown += 1;
                let kept = finals.iter().any(|member| member.holding(write) == Holding::Written);
                counts.unknown_kept += usize::from(kept);
            }
            Fate::Failed => {}
        }
    }
    for member in finals {
        if let MemberAnswer::Held(ledger) = &member.answer {
            counts.members_read += 1;
            counts.reads += ledger.len();
        }
    }
    counts
}

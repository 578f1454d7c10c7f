//! What is left of a fault in a sandbox.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::{Member, MemberSample, Role};
use crate::host::process::ProcessId;

/// A sandbox at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Look {
    /// The members' processes, by pod.
    pub members: BTreeMap<String, ProcessId>,
    /// What each member says of itself and the group.
    pub answers: Vec<Member>,
    /// Cgroups that are frozen or asked to be.
    pub frozen: Vec<String>,
    /// Processes that a stop signal holds.
    pub stopped: Vec<String>,
    /// Packet filter tables in the pods' networks.
    pub tables: Vec<String>,
    /// Undo records.
    pub records: Vec<String>,
    /// Guardians.
    pub guardians: Vec<ProcessId>,
    /// The node process.
    pub node: Option<ProcessId>,
}

impl Look {
    /// What the fault has left, one thing each; nothing where all is as it was before.
    pub(super) fn left(&self, before: &BTreeMap<String, ProcessId>) -> Vec<String> {
        let mut left: Vec<String> = before
            .iter()
            .filter_map(|(pod, was)| match self.members.get(pod) {
                Some(is) if is == was => None,
                Some(is) => Some(format!("{pod} was restarted: expected {was}, found {is}")),
                None => Some(format!("{pod} has no process: expected {was}")),
            })
            .collect();
        for (what, found) in [
            ("frozen", &self.frozen),
            ("stopped", &self.stopped),
            ("packet filter", &self.tables),
            ("undo record", &self.records),
        ] {
            left.extend(found.iter().map(|found| format!("{what}: {found}")));
        }
        left.extend(self.guardians.iter().map(|guardian| format!("guardian: {guardian}")));
        left
    }

    /// The same, and why the members do not agree on one leader: nothing where all is well. How soon they agree is the store's
    /// matter and the machine's.
    pub(super) fn unwell(&self, before: &BTreeMap<String, ProcessId>) -> Vec<String> {
        let mut unwell = self.left(before);
        unwell.extend(self.disagreement());
        unwell
    }

    /// Why these members do not agree on one leader.
    fn disagreement(&self) -> Option<String> {
        let mut views = Vec::new();
        let mut leading = 0;
        for member in &self.answers {
            match &member.sample {
                MemberSample::Answer { role, leader, term, .. } => {
                    leading += u32::from(*role == Role::Leader);
                    views.push((*leader, *term));
                }
                MemberSample::Unreachable(why) | MemberSample::NotSampled(why) => {
                    return Some(format!("member {} does not answer: {why}", member.ordinal));
                }
            }
        }
        let agree = views.windows(2).all(|pair| pair[0] == pair[1])
            && views.first().is_some_and(|(leader, _)| leader.is_some());
        if agree && leading == 1 {
            return None;
        }
        let told = self.answers.iter().zip(&views).map(|(member, (leader, term))| {
            let leader = leader.map_or_else(|| "nobody".to_owned(), |leader| leader.to_string());
            format!("{} follows {leader} in term {term}", member.ordinal)
        });
        Some(format!("no one leader: {}", told.collect::<Vec<_>>().join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(ordinal: u32, leader: Option<u32>, term: u64) -> Member {
        Member {
            ordinal,
            sample: MemberSample::Answer {
                role: if leader == Some(ordinal) { Role::Leader } else { Role::Follower },
                term,
                leader,
                position: 1,
                heartbeat: None,
                voter: true,
                writes_need: None,
            },
        }
    }

    fn healthy() -> Look {
        let process = |pid| ProcessId { pid, start: 1 };
        Look {
            members: (0..3).map(|n| (format!("refkv-{n}"), process(n + 10))).collect(),
            answers: (0..3).map(|n| answer(n, Some(1), 4)).collect(),
            ..Look::default()
        }
    }

    #[test]
    fn nothing_is_left_where_all_is_as_before() {
        let look = healthy();
        assert_eq!(look.unwell(&look.members), Vec::<String>::new());
    }

    #[test]
    fn a_new_process_under_the_same_pid_is_a_restart() {
        let before = healthy().members;
        let mut look = healthy();
        look.members.insert("refkv-1".into(), ProcessId { pid: 11, start: 2 });
        look.members.remove("refkv-2");
        let left = look.left(&before);
        assert!(left[0].starts_with("refkv-1 was restarted"), "{left:?}");
        assert!(left[1].starts_with("refkv-2 has no process"), "{left:?}");
    }

    #[test]
    fn every_kind_of_remains_is_told() {
        let mut look = healthy();
        look.frozen.push("/a".into());
        look.stopped.push("b".into());
        look.tables.push("c".into());
        look.records.push("d".into());
        look.guardians.push(ProcessId { pid: 5, start: 5 });
        assert_eq!(look.left(&healthy().members).len(), 5);
    }

    #[test]
    fn members_disagree_with_two_leaders_two_terms_no_leader_or_a_silent_one() {
        let before = healthy().members;
        let silent = Member { ordinal: 2, sample: MemberSample::Unreachable("refused".into()) };
        for odd in [answer(2, Some(2), 4), answer(2, Some(1), 5), answer(2, None, 4), silent] {
            let mut look = healthy();
            look.answers[2] = odd;
            assert_eq!((look.left(&before).len(), look.unwell(&before).len()), (0, 1), "{look:?}");
        }
        let mut look = healthy();
        look.answers = (0..3).map(|n| answer(n, None, 4)).collect();
        assert_eq!(look.unwell(&before).len(), 1);
        look.answers.clear();
        assert_eq!(look.unwell(&before).len(), 1);
    }
}

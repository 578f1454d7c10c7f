//! Which ordinal a member id belongs to.
//!
//! Best known from the ordinal itself: the member that answered on its connection said its id. For a leader that has
//! not been reached yet, its name tells (`etcd-0` by convention of every StatefulSet manifest), or the host of its peer
//! URL, whose first label is the pod's name. An id that a member said of itself is never overruled by a name.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::wire::MemberList;
use crate::api::Ordinal;

/// What is known so far, by all clients of a cluster.
#[derive(Default)]
pub(super) struct Ordinals {
    known: Mutex<HashMap<u64, Ordinal>>,
}

impl Ordinals {
    /// The ordinal of a member, if known.
    pub(super) fn of(&self, id: u64) -> Option<Ordinal> {
        self.lock().get(&id).copied()
    }

    /// `ordinal` said that its id is `id`.
    pub(super) fn learn(&self, id: u64, ordinal: Ordinal) {
        self.lock().insert(id, ordinal);
    }

    /// Adds what names tell of members that have not spoken for themselves.
    pub(super) fn learn_names(&self, list: &MemberList) {
        let mut known = self.lock();
        for member in &list.members {
            let pod = if member.name.is_empty() {
                // Added, but not started yet: it has only its URL.
                member.peer_urls.first().and_then(|url| first_label(url))
            } else {
                Some(member.name.as_str())
            };
            if let Some(ordinal) = pod.and_then(ordinal_of_pod) {
                known.entry(member.id).or_insert(ordinal);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Ordinal>> {
        // An insert that panicked halfway leaves a map that is still a map.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first_label(url: &str) -> Option<&str> {
    let host = url.split_once("://")?.1;
    // The first label of an address is a number without a dash, so it cannot be taken for a pod.
    host.split(['.', ':', '/']).next()
}

fn ordinal_of_pod(name: &str) -> Option<Ordinal> {
    name.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::wire::Listed;
    use super::*;

    fn list(id: u64, name: &str, peer_url: &str) -> MemberList {
        MemberList { members: vec![Listed { id, name: name.into(), peer_urls: vec![peer_url.into()] }] }
    }

    #[test]
    fn a_name_or_a_peer_url_tells_the_ordinal() {
        let ordinals = Ordinals::default();
        ordinals.learn_names(&list(7, "etcd-2", "http://10.0.0.7:2380"));
        ordinals.learn_names(&list(8, "", "http://etcd-1.etcd.default.svc:2380"));
        ordinals.learn_names(&list(9, "", "http://10.0.0.9:2380"));
        assert_eq!(ordinals.of(7), Some(2));
        assert_eq!(ordinals.of(8), Some(1));
        assert_eq!(ordinals.of(9), None);
    }

    #[test]
    fn what_a_member_says_of_itself_is_not_overruled_by_its_name() {
        let ordinals = Ordinals::default();
        ordinals.learn(7, 0);
        ordinals.learn_names(&list(7, "etcd-2", "http://10.0.0.7:2380"));
        assert_eq!(ordinals.of(7), Some(0));
    }
}

//! `claimsReclaimed`: claims that were there and are not any more, were made again, or have lost their volume.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{Nanos, Ordinal, Snapshot, Volumes};
use crate::judge::judgement::Outage;
use crate::judge::series::{Measure, Window};

/// What was lost when.
#[derive(Debug, Clone, Default)]
pub(super) struct Reclaims {
    /// Claims that are there, by name.
    known: Option<BTreeMap<String, Claim>>,
    /// Members that the run found.
    first: Option<BTreeSet<Ordinal>>,
    /// Members that are asked for.
    asked: BTreeSet<Ordinal>,
    events: Vec<(Nanos, String)>,
}

#[derive(Debug, Clone)]
struct Claim {
    uid: String,
    is_deleted: bool,
    is_lost: bool,
    /// One of the members that it belongs to.
    member: Option<Ordinal>,
}

impl Reclaims {
    pub(super) fn pods(&mut self, snapshot: &Snapshot) {
        self.asked = snapshot.ordinals().collect();
        self.first.get_or_insert_with(|| self.asked.clone());
    }

    /// Whether it is of a member that the run added and took away again: its claim may go with it.
    fn is_spare(&self, claim: &Claim) -> bool {
        let is_of = |members: &BTreeSet<Ordinal>| claim.member.is_none_or(|member| members.contains(&member));
        !self.first.as_ref().is_none_or(is_of) && !is_of(&self.asked)
    }

    pub(super) fn take(&mut self, time: Nanos, volumes: &Volumes) {
        let now: BTreeMap<String, Claim> = volumes
            .claims
            .iter()
            .map(|volume| {
                let claim = Claim {
                    uid: volume.uid.clone(),
                    is_deleted: volume.deleted,
                    is_lost: volume.lost,
                    member: volume.ordinal,
                };
                (volume.claim.clone(), claim)
            })
            .collect();
        let lost = self.known.iter().flatten().filter(|(_, claim)| !self.is_spare(claim));
        let events: Vec<_> = lost
            .filter_map(|(name, claim)| {
                let what = match now.get(name) {
                    None if claim.is_deleted => return None,
                    Some(other) if other.uid != claim.uid && claim.is_deleted => return None,
                    None => "was deleted",
                    Some(other) if other.uid != claim.uid => "was deleted and made again",
                    // A pod holds it still, but it will go, and what is on it as well.
                    Some(same) if same.is_deleted && !claim.is_deleted => "was deleted",
                    Some(same) if same.is_lost && !claim.is_lost => "lost its volume",
                    Some(_) => return None,
                };
                Some((time, format!("claim {name} {what}")))
            })
            .collect();
        self.events.extend(events);
        self.known = Some(now);
    }

    pub(super) fn forget(&mut self, before: Nanos) {
        self.events.retain(|&(time, _)| time >= before);
    }

    pub(super) fn measure(&self, windows: &[Window]) -> Measure {
        let count = self.events(windows).len() as u64;
        Measure {
            samples: u64::from(self.known.is_some()) + count,
            value: self.known.is_some().then_some(count),
            ..Measure::default()
        }
    }

    /// Each loss, at its moment.
    pub(super) fn events(&self, windows: &[Window]) -> Vec<Outage> {
        let within = |time| windows.iter().any(|window| window.contains(time));
        let events = self.events.iter().filter(|(time, _)| within(*time));
        events.map(|(time, why)| Outage { from: *time, to: *time, why: why.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ClaimedVolume;

    fn volumes(claims: &[(&str, &str, bool)]) -> Volumes {
        let claim = |&(name, uid, lost): &(&str, &str, bool)| ClaimedVolume {
            claim: name.into(),
            ordinal: Some(0),
            uid: uid.into(),
            deleted: false,
            lost,
            attachable: true,
            nodes: Vec::new(),
            errors: BTreeMap::new(),
        };
        Volumes { claims: claims.iter().map(claim).collect(), unheard: false }
    }

    #[test]
    fn every_way_to_lose_a_claim_counts_once_and_new_ones_do_not() {
        let mut reclaims = Reclaims::default();
        let all = [Window::new(0, 100)];
        assert_eq!(reclaims.measure(&all).value, None, "nobody has looked");
        reclaims.take(1, &volumes(&[("a", "1", false), ("b", "2", false), ("c", "3", false)]));
        reclaims
            .take(2, &volumes(&[("a", "1", false), ("b", "2", false), ("c", "3", false), ("d", "4", false)]));
        assert_eq!(reclaims.measure(&all).value, Some(0));
        reclaims.take(10, &volumes(&[("a", "9", false), ("b", "2", true), ("d", "4", false)]));
        reclaims.take(11, &volumes(&[("a", "9", false), ("b", "2", true), ("d", "4", false)]));
        let told: Vec<String> = reclaims.events(&all).into_iter().map(|event| event.why).collect();
        assert_eq!(
            told,
            ["claim a was deleted and made again", "claim b lost its volume", "claim c was deleted"]
        );
        assert_eq!(reclaims.measure(&[Window::new(0, 10)]).value, Some(0));
    }

    #[test]
    fn a_claim_is_lost_when_its_deletion_is_asked_for_and_not_again_when_it_goes() {
        let mut reclaims = Reclaims::default();
        let mut held = volumes(&[("a", "1", false), ("b", "2", false)]);
        reclaims.take(1, &held);
        held.claims.iter_mut().for_each(|claim| claim.deleted = true);
        reclaims.take(10, &held);
        reclaims.take(20, &volumes(&[("b", "3", false)]));
        assert_eq!(reclaims.events(&[Window::new(0, 20)]).len(), 2);
        assert_eq!(reclaims.events(&[Window::new(11, 100)]), []);
    }

    #[test]
    fn the_claim_of_a_member_that_the_run_added_may_go_with_it() {
        let mut reclaims = Reclaims::default();
        let pods = |replicas| Snapshot { replicas, ..Snapshot::default() };
        let claims = |members: &[Ordinal]| {
            let mut volumes = volumes(&vec![("a", "1", false); members.len()]);
            for (volume, member) in volumes.claims.iter_mut().zip(members) {
                (volume.claim, volume.ordinal) = (format!("data-db-{member}"), Some(*member));
            }
            volumes
        };
        reclaims.pods(&pods(2));
        reclaims.take(1, &claims(&[0, 1]));
        reclaims.pods(&pods(4));
        reclaims.take(2, &claims(&[0, 1, 2, 3]));
        reclaims.take(3, &claims(&[0, 1, 2]));
        reclaims.pods(&pods(1));
        reclaims.take(4, &claims(&[0]));
        let told: Vec<String> =
            reclaims.events(&[Window::new(0, 100)]).into_iter().map(|event| event.why).collect();
        assert_eq!(told, ["claim data-db-3 was deleted", "claim data-db-1 was deleted"]);
    }
}

//! `claimsReclaimed`: claims that were there and are not any more, were made again, or have lost their volume.

use std::collections::BTreeMap;

use crate::api::{Nanos, Volumes};
use crate::judge::judgement::Outage;
use crate::judge::series::{Measure, Window};

/// What was lost when.
#[derive(Debug, Clone, Default)]
pub(super) struct Reclaims {
    /// Claims that are there, by name: their UID, and whether their volume is lost.
    known: Option<BTreeMap<String, (String, bool)>>,
    events: Vec<(Nanos, String)>,
}

impl Reclaims {
    pub(super) fn take(&mut self, time: Nanos, volumes: &Volumes) {
        let now: BTreeMap<_, _> = volumes
            .claims
            .iter()
            .map(|volume| (volume.claim.clone(), (volume.uid.clone(), volume.lost)))
            .collect();
        for (claim, (uid, was_lost)) in self.known.iter().flatten() {
            let what = match now.get(claim) {
                None => "was deleted",
                Some((other, _)) if other != uid => "was deleted and made again",
                Some((_, true)) if !was_lost => "lost its volume",
                Some(_) => continue,
            };
            self.events.push((time, format!("claim {claim} {what}")));
        }
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
            ordinal: 0,
            uid: uid.into(),
            lost,
            attachable: true,
            nodes: Vec::new(),
            error: None,
        };
        Volumes { claims: claims.iter().map(claim).collect() }
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
}

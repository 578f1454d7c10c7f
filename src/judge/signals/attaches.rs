//! `attachLatency` and `attachSuccess`: how long pods wait on their nodes for volumes, and how many get them in time.
//!
//! An attach is needed from the moment at which a pod is on a node to which a volume of its claims is not attached; it
//! ends when the volume is attached there, or when the pod is gone. So every way in which it takes long counts alike: one
//! that is not tried because it is denied, one that waits for the volume to leave another node, one that errors or hangs.

use crate::api::{ClaimedVolume, Nanos, Ordinal, PodPhase, Snapshot, Volumes};
use crate::judge::defaults::ATTACH;
use crate::judge::judgement::Outage;
use crate::judge::limits::nanos;
use crate::judge::series::{Measure, Window};
use crate::judge::signals::ALL;
use crate::judge::signals::waits::{Wait, Waits};

/// What pods waited for.
#[derive(Debug, Clone, Default)]
pub(super) struct Attaches {
    pods: Vec<Placed>,
    volumes: Option<Vec<ClaimedVolume>>,
    needs: Vec<Need>,
    /// Whether there was ever anything that could be waited for.
    is_known: bool,
}

/// A pod on its node.
#[derive(Debug, Clone)]
struct Placed {
    ordinal: Ordinal,
    uid: String,
    node: String,
}

#[derive(Debug, Clone)]
struct Need {
    wait: Wait,
    uid: String,
    claim: String,
    node: String,
    is_attached: bool,
}

impl Need {
    /// Whether it was done in time; unknown where its time was not over.
    fn is_in_time(&self, now: Nanos) -> Option<bool> {
        let took = self.wait.to.unwrap_or(now).saturating_sub(self.wait.from);
        match took > nanos(ATTACH) {
            true => Some(false),
            false if self.is_attached => Some(true),
            false => None,
        }
    }

    /// What the attacher says of its node goes on to be the reason when it says nothing any more.
    fn hear(&mut self, error: Option<&String>) {
        if let Some(error) = error {
            self.wait.why = why(&self.claim, &self.node, Some(error));
        }
    }
}

fn why(claim: &str, node: &str, error: Option<&String>) -> String {
    let said = error.map(|error| format!(": {error}")).unwrap_or_default();
    format!("the volume of claim {claim} was not attached to node {node}{said}")
}

impl Attaches {
    pub(super) fn pods(&mut self, time: Nanos, snapshot: &Snapshot) {
        let placed = snapshot
            .pods
            .iter()
            .filter(|pod| !pod.node.is_empty() && matches!(pod.phase, PodPhase::Pending | PodPhase::Running));
        let placed =
            placed.map(|pod| Placed { ordinal: pod.ordinal, uid: pod.uid.clone(), node: pod.node.clone() });
        self.pods = placed.collect();
        self.look(time);
    }

    pub(super) fn volumes(&mut self, time: Nanos, volumes: &Volumes) {
        self.is_known |= volumes.claims.iter().any(|volume| volume.attachable);
        self.volumes = Some(volumes.claims.clone());
        self.look(time);
    }

    fn look(&mut self, time: Nanos) {
        let Some(volumes) = &self.volumes else { return };
        for need in self.needs.iter_mut().filter(|need| need.wait.to.is_none()) {
            let volume = volumes.iter().find(|volume| volume.claim == need.claim);
            let is_there = self.pods.iter().any(|pod| pod.uid == need.uid);
            need.is_attached = volume.is_some_and(|volume| volume.nodes.contains(&need.node));
            if need.is_attached || !is_there {
                need.wait.to = Some(time);
            }
            need.hear(volume.and_then(|volume| volume.errors.get(&need.node)));
        }
        for pod in &self.pods {
            let theirs =
                volumes.iter().filter(|volume| volume.ordinal == Some(pod.ordinal) && volume.attachable);
            for volume in theirs.filter(|volume| !volume.nodes.contains(&pod.node)) {
                let is_known =
                    |need: &Need| need.wait.to.is_none() && need.uid == pod.uid && need.claim == volume.claim;
                if !self.needs.iter().any(is_known) {
                    let why = why(&volume.claim, &pod.node, volume.errors.get(&pod.node));
                    self.needs.push(Need {
                        wait: Wait { from: time, to: None, why },
                        uid: pod.uid.clone(),
                        claim: volume.claim.clone(),
                        node: pod.node.clone(),
                        is_attached: false,
                    });
                }
            }
        }
    }

    pub(super) fn forget(&mut self, before: Nanos) {
        self.needs.retain(|need| need.wait.to.is_none_or(|to| to >= before));
    }

    /// How long each was waited for. Where nothing had to be attached, nobody knows how long it would have taken.
    pub(super) fn waits(&self) -> Waits<'_> {
        Waits { all: self.needs.iter().map(|need| &need.wait).collect(), is_known: self.is_known, none: None }
    }

    /// Needs that began in a window and whose fate is known.
    fn decided(&self, windows: &[Window], now: Nanos) -> impl Iterator<Item = (&Need, bool)> {
        self.needs
            .iter()
            .filter(|need| windows.iter().any(|window| window.contains(need.wait.from)))
            .filter_map(move |need| Some((need, need.is_in_time(now)?)))
    }

    /// How many of those that began in the windows were done in time, of all whose time was over; nothing where there was
    /// none.
    pub(super) fn success(&self, windows: &[Window], now: Nanos) -> Measure {
        let (mut samples, mut good) = (0, 0);
        for (_, is_in_time) in self.decided(windows, now) {
            samples += 1;
            good += u64::from(is_in_time);
        }
        Measure { samples, value: (good * ALL).checked_div(samples), ..Measure::default() }
    }

    /// Those that were not done in time.
    pub(super) fn failures(&self, windows: &[Window], now: Nanos) -> Vec<Outage> {
        let failed = self.decided(windows, now).filter(|(_, is_in_time)| !is_in_time);
        failed
            .map(|(need, _)| {
                let Wait { from, to, why } = need.wait.clone();
                Outage { from, to: to.unwrap_or(now), why }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const S: Nanos = 1_000_000_000;

    /// The pod `uid` of member 0 on a node.
    fn pods(uid: &str, node: &str) -> Snapshot {
        let pod = json!({
            "name": "db-0", "ordinal": 0, "uid": uid, "ip": null, "node": node, "phase": "pending", "ready": false,
            "containers": [],
        });
        let snapshot = json!({
            "name": "db", "namespace": "default", "replicas": 1, "first_ordinal": 0, "pods": [pod],
        });
        serde_json::from_value(snapshot).expect("a snapshot")
    }

    /// Its claim, whose volume is attached to a node.
    fn volumes(node: Option<&str>, attachable: bool) -> Volumes {
        let claim = ClaimedVolume {
            claim: "data-db-0".into(),
            ordinal: Some(0),
            uid: "claim".into(),
            deleted: false,
            lost: false,
            attachable,
            nodes: node.map(ToOwned::to_owned).into_iter().collect(),
            errors: [("n1", "it is in use"), ("n2", "the disk is busy")]
                .into_iter()
                .filter(|_| node.is_none())
                .map(|(node, error)| (node.to_owned(), error.to_owned()))
                .collect(),
        };
        Volumes { claims: vec![claim], unheard: false }
    }

    /// A pod that moves from n1 to n2 at 10 s, and whose volume follows after `wait`.
    fn moved(wait: Nanos) -> Attaches {
        let mut attaches = Attaches::default();
        attaches.pods(0, &pods("a", "n1"));
        attaches.volumes(S, &volumes(Some("n1"), true));
        attaches.pods(9 * S, &pods("b", ""));
        attaches.pods(10 * S, &pods("b", "n2"));
        attaches.volumes(11 * S, &volumes(None, true));
        attaches.volumes(10 * S + wait, &volumes(Some("n2"), true));
        attaches
    }

    fn longest(attaches: &Attaches, windows: &[Window]) -> Option<u64> {
        attaches.waits().measure(windows, 200 * S).value
    }

    const ALL_OF_IT: [Window; 1] = [Window { from: 0, to: 200 * S }];

    #[test]
    fn a_wait_lasts_from_the_pod_on_its_node_to_the_volume_on_it() {
        let attaches = moved(20 * S);
        assert_eq!(longest(&attaches, &ALL_OF_IT), Some(20 * S));
        assert_eq!(attaches.success(&ALL_OF_IT, 200 * S).value, Some(ALL));
        assert_eq!(attaches.failures(&ALL_OF_IT, 200 * S), []);
        let slow = moved(31 * S);
        assert_eq!(slow.success(&ALL_OF_IT, 200 * S).value, Some(0));
        let why = "the volume of claim data-db-0 was not attached to node n2: the disk is busy";
        assert_eq!(slow.failures(&ALL_OF_IT, 200 * S)[0].why, why);
        assert_eq!(slow.waits().outages(&ALL_OF_IT, 200 * S, &|waited| waited > 30 * S).len(), 1);
        // What began before a window began counts from there on.
        assert_eq!(longest(&slow, &[Window::new(30 * S, 60 * S)]), Some(11 * S));
        assert_eq!(slow.success(&[Window::new(30 * S, 60 * S)], 200 * S).value, None);
    }

    #[test]
    fn nothing_is_said_of_volumes_that_nobody_attaches_or_of_attaches_that_nobody_needed() {
        let mut attaches = Attaches::default();
        attaches.pods(0, &pods("a", "n1"));
        assert_eq!(longest(&attaches, &ALL_OF_IT), None);
        attaches.volumes(S, &volumes(None, false));
        assert!(!attaches.waits().is_known);
        attaches.volumes(2 * S, &volumes(Some("n1"), true));
        assert!(attaches.waits().is_known);
        assert_eq!(longest(&attaches, &ALL_OF_IT), None);
        assert_eq!(attaches.success(&ALL_OF_IT, 200 * S).value, None);
    }

    #[test]
    fn claims_that_are_gone_in_the_end_leave_what_was_measured() {
        let mut attaches = moved(20 * S);
        attaches.volumes(60 * S, &Volumes::default());
        assert!(attaches.waits().is_known);
        assert_eq!(longest(&attaches, &ALL_OF_IT), Some(20 * S));
    }

    #[test]
    fn a_wait_that_is_not_over_is_a_failure_once_its_time_is() {
        let mut attaches = Attaches::default();
        attaches.volumes(0, &volumes(None, true));
        attaches.pods(10 * S, &pods("a", "n1"));
        assert_eq!(attaches.success(&ALL_OF_IT, 35 * S).value, None, "nobody knows yet");
        assert_eq!(attaches.success(&ALL_OF_IT, 45 * S).value, Some(0));
        // A pod that goes away in the meantime says nothing about the attach.
        attaches.pods(20 * S, &pods("b", ""));
        assert_eq!(attaches.success(&ALL_OF_IT, 45 * S).value, None);
    }
}

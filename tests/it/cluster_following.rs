//! An ordinal that is re-created on another node, under another UID and another address, while it is cut off.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use seatrial::api::HostFault;
use seatrial::resource::Injection;
use serde_json::json;

use crate::cluster_fixture::{Cluster, PATIENCE};
use crate::cluster_whole_fixture::Whole;
use crate::node_fixture::eventually;

/// Every member asks every other one, as often as it can, and says when it got an answer. Names are looked up anew each
/// time, by the one program of a static busybox that can.
const ASKING: &str = "echo started; domain=db.$(head -1 /etc/resolv.conf | cut -d' ' -f2); for other in 0 1 2; do \
    while sleep 0.05; do ip=$(nslookup db-$other.$domain 2>/dev/null | sed -n '/^Name/,$s/^Address: //p'); \
    [ $ip ] && nc -w 1 $ip 7000 </dev/null >/dev/null && echo reached db-$other; done & done; sleep 1;";

/// When lines of a pod's log say this, the oldest first.
fn moments(whole: &Whole<'_>, pod: &str, words: &str) -> Vec<Timestamp> {
    let log = whole.kubectl(["logs", pod, "--timestamps"]);
    let lines = log.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(_, said)| *said == words).filter_map(|(at, _)| at.parse().ok()).collect()
}

fn field(whole: &Whole<'_>, pod: &str, path: &str) -> String {
    whole.kubectl(["get", "pod", pod, &format!("--output=jsonpath={{{path}}}")])
}

/// The Injections of a run, by ordinal.
fn injections(whole: &Whole<'_>, run: &str) -> Vec<Injection> {
    let ours = format!("--selector=seatrial.dev/run={run}");
    let text = whole.kubectl(["get", "injections", &ours, "--output=json"]);
    let list: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut found: Vec<Injection> = serde_json::from_value(list["items"].clone()).expect("Injections");
    found.sort_by_key(|injection| injection.spec.injection.pod.ordinal);
    found
}

/// Whether each end of the cut knows the pod that is there now, and proves that.
fn is_followed(found: &[Injection], uid: &str, address: &str) -> bool {
    let address: IpAddr = address.parse().expect("an address");
    found.len() == 3
        && found.iter().all(|injection| {
            let spec = &injection.spec.injection;
            let knows = match &spec.fault {
                _ if spec.pod.ordinal == 1 => spec.pod.uid == uid,
                HostFault::Partition { peers, .. } => {
                    peers.iter().any(|peer| peer.ordinal == 1 && peer.addresses == [address])
                }
                _ => false,
            };
            let proof = injection.status.as_ref().and_then(|status| status.proof.as_ref());
            knows && proof.is_some_and(|proof| proof.holds)
        })
}

#[test]
fn a_cut_member_that_comes_back_elsewhere_is_cut_off_again() {
    // Alone, because a node is cordoned.
    let cluster = Cluster::exclusive();
    let whole = Whole::with_members(&cluster, "following", ASKING);
    let steps = json!([{ "name": "cut", "for": "5m", "follow": true,
        "fault": {"networkPartition": {"isolate": {"ordinals": [1]}}} }]);
    whole.create("follow", &json!({"statefulSet": "db"}), &steps, &json!({"allowQuorumLoss": true}));
    let run = whole.wait_in_force("follow", 3);
    let is_silent = |pod: &str, other: &str, since: Timestamp| {
        moments(&whole, pod, &format!("reached {other}")).iter().all(|at| *at <= since)
    };
    // What was on its way when the cut came has had its time by now.
    std::thread::sleep(Duration::from_secs(2));
    let cut = Timestamp::now();
    std::thread::sleep(Duration::from_secs(3));
    assert!(is_silent("db-1", "db-0", cut) && is_silent("db-0", "db-1", cut), "the first pod is cut off");
    assert!(!is_silent("db-0", "db-2", cut), "the others are not");

    let before = ["db-0", "db-1", "db-2"].map(|pod| field(&whole, pod, ".metadata.uid"));
    let (node, address) = (field(&whole, "db-1", ".spec.nodeName"), field(&whole, "db-1", ".status.podIP"));
    cluster.kubectl(["cordon", &node]);
    whole.kubectl(["delete", "pod", "db-1"]);
    let follows = eventually("every end follows", PATIENCE, || {
        let uid = whole.try_kubectl(&["get", "pod", "db-1", "--output=jsonpath={.metadata.uid}"]).ok()?;
        let now = whole.try_kubectl(&["get", "pod", "db-1", "--output=jsonpath={.status.podIP}"]).ok()?;
        (uid != before[1] && !now.is_empty() && is_followed(&injections(&whole, &run), &uid, &now))
            .then_some(now)
    });
    let elsewhere = field(&whole, "db-1", ".spec.nodeName");
    cluster.kubectl(["uncordon", &node]);
    assert!(elsewhere != node && follows != address, "{elsewhere} {follows}: another node and address");
    assert_eq!(field(&whole, "db-0", ".metadata.uid"), before[0], "the others were left alone");

    let followed = Timestamp::now();
    let started = moments(&whole, "db-1", "started")[0];
    for (pod, other) in [("db-1", "db-0"), ("db-1", "db-2"), ("db-0", "db-1"), ("db-2", "db-1")] {
        let reached = moments(&whole, pod, &format!("reached {other}"));
        let last = reached.iter().rev().find(|at| **at > started);
        let open = last.map_or(0.0, |last| last.duration_since(started).as_secs_f64());
        println!("{pod} reached {other} for {open:.3} s after the new pod's first word");
        assert!(open < 5.0, "{pod} reached {other} for {open} s");
    }
    std::thread::sleep(Duration::from_secs(3));
    for (pod, other) in [("db-1", "db-0"), ("db-1", "db-2"), ("db-0", "db-1"), ("db-2", "db-1")] {
        assert!(is_silent(pod, other, followed), "{pod} reaches {other} though it is cut off");
    }
    whole.kubectl(["annotate", "experiment", "follow", "seatrial.dev/abort=the test has seen enough"]);
    let status = whole.wait_complete("follow");
    assert_eq!(status["verdict"], "Aborted", "{status:#}");
    whole.wait_clean(Duration::from_secs(30));
    eventually("members reach each other again", PATIENCE, || {
        (!is_silent("db-1", "db-0", followed)).then_some(())
    });
}

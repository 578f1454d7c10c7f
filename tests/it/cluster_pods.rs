//! Members that no StatefulSet makes: bare pods with numbers in their names, as operators make them, whose clients come by a
//! Service that the target names. The test is the operator.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster_fixture::{Cluster, Held, PATIENCE};
use crate::cluster_whole_fixture::Whole;
use crate::node_fixture::eventually;

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: peers}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {app: db}
  ports: [{name: client, port: 2379}, {name: peer, port: 2380}]
---
apiVersion: v1
kind: Service
metadata: {name: clients}
spec:
  selector: {app: db}
  ports: [{port: 80, targetPort: 2379}]
";

/// A member of etcd with a claim of its own.
fn member(number: u32) -> String {
    let name = format!("db-{number}");
    let peers: Vec<String> = (1..=3).map(|peer| format!("db-{peer}=http://db-{peer}.peers:2380")).collect();
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "256Mi"}}},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "db", "made-by": "operator"}},
        "spec": {
            "hostname": name, "subdomain": "peers", "terminationGracePeriodSeconds": 2,
            "containers": [{
                "name": "etcd", "image": "registry.k8s.io/etcd:3.4.23-0",
                "command": ["etcd", format!("--name={name}"), "--data-dir=/data/etcd", "--logger=zap",
                    "--listen-peer-urls=http://0.0.0.0:2380", "--listen-client-urls=http://0.0.0.0:2379",
                    format!("--initial-advertise-peer-urls=http://{name}.peers:2380"),
                    format!("--advertise-client-urls=http://{name}.peers:2379"),
                    format!("--initial-cluster={}", peers.join(",")), "--initial-cluster-token=pods"],
                "readinessProbe": {"httpGet": {"path": "/health", "port": 2379}, "periodSeconds": 1},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
        },
    });
    format!("{claim}\n---\n{pod}")
}

fn with_pods<'a>(cluster: &'a Held, purpose: &str) -> Whole<'a> {
    let whole = Whole::new(cluster, purpose);
    whole.scene.namespace.apply(SERVICES);
    (1..=3).for_each(|number| whole.scene.namespace.apply(&member(number)));
    for number in 1..=3 {
        whole.scene.namespace.wait_pod_ready(&format!("db-{number}"));
    }
    whole
}

fn target() -> Value {
    json!({
        "pods": {"selector": {"matchLabels": {"app": "db"}}}, "container": "etcd", "store": {"etcd": {}},
        "service": "clients",
    })
}

/// Clients that come by the Service and nothing else, and what they must see.
fn clients() -> Value {
    json!({
        "workload": {"clients": 4, "rate": 40, "through": "service"},
        "hypothesis": [
            // Of a machine on which everything else is tested as well, no more is to be expected.
            {"name": "a majority leads again", "sli": {"quorum": {}}, "after": {"longestOutage": "5s"}, "recoverWithin": "30s"},
            {"name": "no acknowledged write is lost", "sli": {"durability": {}}},
        ],
    })
}

fn uid(whole: &Whole<'_>, pod: &str) -> Option<String> {
    whole.try_kubectl(&["get", "pod", pod, "--output=jsonpath={.metadata.uid}"]).ok()
}

/// The operator: makes a pod again once it is gone.
fn replace(whole: &Whole<'_>, number: u32, old: &str) -> String {
    let name = format!("db-{number}");
    eventually("the old pod is gone", PATIENCE, || (uid(whole, &name).as_deref() != Some(old)).then_some(()));
    whole.scene.namespace.apply(&member(number));
    uid(whole, &name).expect("it is made")
}

#[test]
fn bare_pods_are_planned_killed_paused_and_reached_by_their_service() {
    let cluster = Cluster::shared();
    let whole = with_pods(&cluster, "pods-run");
    let steps = json!([
        {"name": "kill", "fault": {"podKill": {"members": {"ordinals": [3]}, "mode": "graceful"}}},
        {"name": "pause", "after": "kill", "for": "10s", "fault": {"processPause": {"members": {"role": "follower", "count": 1}}}},
    ]);
    let old = uid(&whole, "db-3").expect("it is there");
    whole.create_with("pods", &target(), &steps, &json!({}), &clients());
    let new = replace(&whole, 3, &old);
    let status = whole.wait_complete("pods");
    assert_eq!(status["verdict"], "Pass", "{status:#}");
    let lease = whole.kubectl(["get", "leases", "--selector=seatrial.dev/target", "--output=name"]);
    assert_eq!(lease, "", "the target is free");
    whole.wait_clean(Duration::from_secs(30));
    whole.seatrial(&["judge", "pods", "--on", "kubernetes"]).exits(0).says("durability: all");
    // What would be done now is told before, with the names of these pods.
    let preflight = whole.seatrial(&["preflight", &whole.file("pods")]);
    assert!(preflight.out.contains("guards have nothing against it"), "{}", preflight.out);

    let mut astray = target();
    astray["service"] = "nowhere".into();
    whole.create_with("astray", &astray, &steps, &json!({}), &clients());
    let status = whole.wait_complete("astray");
    let message = status["message"].as_str().unwrap_or_default();
    assert!(message.contains("has no Service `nowhere`"), "{status:#}");
    assert_eq!(uid(&whole, "db-3"), Some(new), "nothing was broken");
}

/// Two minutes: `make test-cluster`.
mod long {
    use super::*;

    #[test]
    fn a_bare_pod_that_its_operator_makes_again_is_followed() {
        let cluster = Cluster::shared();
        let whole = with_pods(&cluster, "pods-follow");
        let steps = json!([{"name": "cut", "for": "60s", "follow": true,
            "fault": {"networkPartition": {"isolate": {"ordinals": [2]}}}}]);
        whole.create_with("follow", &target(), &steps, &json!({}), &clients());
        let run = whole.wait_in_force("follow", 3);
        let old = uid(&whole, "db-2").expect("it is there");
        whole.kubectl(["delete", "pod", "db-2", "--wait=false"]);
        let new = replace(&whole, 2, &old);
        eventually("the new pod is cut off", PATIENCE, || {
            let path = "--output=jsonpath={.spec.pod.uid} {.status.state} {.status.proof.holds}";
            let told = whole.kubectl(["get", "injection", &format!("{run}.cut.0.2"), path]);
            (told == format!("{new} Injected true")).then_some(())
        });
        let status = whole.wait_complete("follow");
        // Whether the gap between the two pods was short enough to count as proven is the machine's speed.
        let verdict = status["verdict"].as_str().unwrap_or_default();
        let message = status["message"].as_str().unwrap_or_default();
        assert!(
            verdict == "Pass" || (verdict == "Inconclusive" && message.contains("proven for")),
            "{status:#}"
        );
        whole.wait_clean(Duration::from_secs(30));
    }
}

//! etcd with mutual TLS and users: its manifest, the Secrets beside it, right ones and wrong ones, and an experiment that
//! names two of them.

use serde_json::json;

use crate::certificates::{Authority, Pair};

const MANIFEST: &str = include_str!("e2e_secure/etcd.yaml");
/// The namespace that the manifest is written for.
const WRITTEN_FOR: &str = ".etcd.default.svc";
/// What must never be written anywhere.
pub const HIDDEN: [&str; 4] = [ROOT_PASSWORD, PASSWORD, WRONG_PASSWORD, "PRIVATE KEY"];

const ROOT_PASSWORD: &str = "correct-horse-battery-staple";
const PASSWORD: &str = "hunter2-of-the-workload";
const WRONG_PASSWORD: &str = "letmein-of-nobody";

/// Service and StatefulSet, in this namespace.
pub fn manifest(namespace: &str) -> String {
    MANIFEST.replace(WRITTEN_FOR, &format!(".etcd.{namespace}.svc"))
}

/// Cuts the leader off, with these Secrets.
pub fn experiment(tls: &str, user: &str) -> String {
    json!({
        "apiVersion": "seatrial.dev/v1alpha1",
        "kind": "Experiment",
        "metadata": { "name": "secure" },
        "spec": {
            "target": {
                "statefulSet": "etcd",
                "container": "etcd",
                "store": { "etcd": { "tls": { "secret": tls }, "auth": { "secret": user } } },
            },
            "workload": { "clients": 4, "rate": 60 },
            "baseline": "3s",
            "steps": [{
                "name": "cut-leader", "at": "1s", "for": "6s",
                "fault": { "networkPartition": { "isolate": { "role": "leader" } } },
            }],
            "hypothesis": [
                { "name": "quorum", "sli": { "quorum": {} }, "during": { "longestOutage": "10s" }, "recoverWithin": "30s" },
                { "name": "nothing is lost", "sli": { "durability": {} } },
                { "name": "reads are linearizable", "sli": { "linearizability": {} } },
            ],
        },
    })
    .to_string()
}

fn secret(name: &str, keys: &[(&str, &str)]) -> String {
    let keys: serde_json::Map<_, _> =
        keys.iter().map(|(key, text)| ((*key).into(), (*text).into())).collect();
    let document = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": keys,
    });
    format!("{document}\n---\n")
}

/// Every Secret: `etcd-client-tls` and `etcd-workload` are right, the others are not or are the members' own.
pub fn secrets(namespace: &str) -> String {
    let (ours, others) = (Authority::new(), Authority::new());
    let server = ours.issue(&[&format!("*.etcd.{namespace}.svc.cluster.local"), "localhost", "127.0.0.1"]);
    let client = ours.issue(&["seatrial"]);
    let (ca, other_ca) = (ours.certificate(), others.certificate());
    let tls = |name: &str, ca: &str, pair: &Pair| {
        secret(name, &[("ca.crt", ca), ("tls.crt", &pair.certificate), ("tls.key", &pair.key)])
    };
    let user = |name: &str, username: &str, password: &str| {
        secret(name, &[("username", username), ("password", password)])
    };
    [
        tls("etcd-server-tls", &ca, &server),
        tls("etcd-client-tls", &ca, &client),
        tls("unknown-ca", &other_ca, &client),
        user("etcd-root", "root", ROOT_PASSWORD),
        user("etcd-workload", "workload", PASSWORD),
        user("wrong-password", "workload", WRONG_PASSWORD),
        secret("no-pem", &[("ca.crt", "nothing of this kind")]),
    ]
    .concat()
}

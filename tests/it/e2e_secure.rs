//! A StatefulSet with mutual TLS and users, as a person runs it: the manifest as it is, Secrets beside it, and an
//! experiment that names two of them.

use std::path::Path;

use serde_json::json;

use crate::certificates::Authority;
use crate::e2e_fixture::{Desk, Seat, text_of};
use crate::e2e_recorded::{claim, report_in};

const MANIFEST: &str = include_str!("e2e_secure/etcd.yaml");
/// What must never be written anywhere.
const ROOT_PASSWORD: &str = "correct-horse-battery-staple";
const PASSWORD: &str = "hunter2-of-the-workload";
const WRONG_PASSWORD: &str = "letmein-of-nobody";

/// Cuts the leader off, with these Secrets.
fn experiment(tls: &str, user: &str) -> String {
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
                { "name": "quorum", "sli": { "quorum": {} }, "during": { "longestOutage": "10s" }, "recoverWithin": "15s" },
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

/// Every file below a folder, as text.
fn everything_in(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            everything_in(&path, all);
        } else {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()));
        }
    }
}

#[test]
fn a_store_with_tls_and_users_is_judged_by_the_right_secrets_alone() {
    let _seat = Seat::take();
    let desk = Desk::new();
    let (ours, others) = (Authority::new(), Authority::new());
    let server = ours.issue(&["*.etcd.default.svc.cluster.local", "localhost", "127.0.0.1"]);
    let client = ours.issue(&["seatrial"]);
    let (ca, other_ca) = (ours.certificate(), others.certificate());
    let tls = |name: &str, ca: &str, pair: &crate::certificates::Pair| {
        secret(name, &[("ca.crt", ca), ("tls.crt", &pair.certificate), ("tls.key", &pair.key)])
    };
    let user = |name: &str, username: &str, password: &str| {
        secret(name, &[("username", username), ("password", password)])
    };
    let secrets = [
        tls("etcd-server-tls", &ca, &server),
        tls("etcd-client-tls", &ca, &client),
        tls("unknown-ca", &other_ca, &client),
        user("etcd-root", "root", ROOT_PASSWORD),
        user("etcd-workload", "workload", PASSWORD),
        user("wrong-password", "workload", WRONG_PASSWORD),
        secret("no-pem", &[("ca.crt", "nothing of this kind")]),
    ];
    desk.write("secrets.yaml", secrets.concat());
    desk.write("etcd.yaml", MANIFEST);
    desk.run(&["sandbox", "up", "etcd.yaml", "secrets.yaml", "--name", "secure"]).exits(0);
    let run = |file: &str, tls: &str, user: &str| {
        desk.write(&format!("{file}.yaml"), experiment(tls, user));
        desk.run(&["run", &format!("{file}.yaml"), "--sandbox", "secure", "--seed", "7", "--out", file])
    };

    let done = run("good", "etcd-client-tls", "etcd-workload").exits(0);
    assert!(done.out.starts_with("PASS  secure"), "{}", done.out);
    let report = report_in(&desk.path("good"));
    assert!(report["workload"]["ok"].as_u64() > Some(100), "clients were served: {}", report["workload"]);
    assert_eq!(claim(&report, "durability")["verdict"], "Pass");

    run("wrong", "etcd-client-tls", "wrong-password")
        .exits(22)
        .says("no token for the user of Secret `wrong-password`")
        .says("authentication failed, invalid user ID or password");
    run("unknown", "unknown-ca", "etcd-workload")
        .exits(22)
        .says("its certificate was not made by an authority in `ca.crt` of Secret `unknown-ca`");
    run("no-pem", "no-pem", "etcd-workload")
        .exits(22)
        .says("`ca.crt` of Secret `no-pem` holds no certificate in PEM");
    run("absent", "etcd-client-tsl", "etcd-workload")
        .exits(20)
        .says("spec.target.store.etcd.tls.secret: there is no Secret `etcd-client-tsl` in the files")
        .says("did you mean `etcd-client-tls`?");

    let mut written = String::new();
    for folder in ["good", "wrong", "unknown", "no-pem", "absent"] {
        everything_in(&desk.path(folder), &mut written);
    }
    let sandbox = desk.state().join("sandboxes/secure");
    for kept in ["setup.json", "sandbox.log"] {
        written.push_str(&text_of(&sandbox.join(kept)));
    }
    assert!(written.contains("etcd-client-tls"), "the journals name the Secrets");
    for hidden in [ROOT_PASSWORD, PASSWORD, WRONG_PASSWORD, "PRIVATE KEY"] {
        assert!(!written.contains(hidden), "what a Secret holds was written");
    }
}

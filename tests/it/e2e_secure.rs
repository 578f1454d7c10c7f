//! A StatefulSet with mutual TLS and users, as a person runs it: the manifest as it is, Secrets beside it, and an
//! experiment that names two of them.

use std::path::Path;

use crate::e2e_fixture::{Desk, Seat, text_of};
use crate::e2e_recorded::{claim, report_in};
use crate::secure_etcd::{HIDDEN, experiment, manifest, secrets};

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
    desk.write("secrets.yaml", secrets("default"));
    desk.write("etcd.yaml", manifest("default"));
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
    for hidden in HIDDEN {
        assert!(!written.contains(hidden), "what a Secret holds was written");
    }
}

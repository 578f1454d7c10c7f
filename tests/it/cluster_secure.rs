//! A runner in a real cluster asks a store with mutual TLS and users, by Secrets that its kubelet mounts.

use crate::cluster_fixture::{Cluster, Namespace};
use crate::cluster_rig::allow;
use crate::e2e_fixture::{Desk, Done, text_of};
use crate::secure_etcd::{HIDDEN, experiment, manifest, secrets};

/// The image of the cluster has a shell, no programs beside it and no `/tmp`.
const FITTED: [(&str, &str); 2] = [
    ("touch /tmp/done", ": > /done"),
    ("exec: {command: [test, -e, /tmp/done]}", "exec: {command: [sh, -c, 'test -e /done']}"),
];

fn with_etcd<'a>(cluster: &'a Cluster, purpose: &str) -> Namespace<'a> {
    let namespace = cluster.namespace(purpose);
    allow(&namespace, cluster);
    namespace.apply(&secrets(namespace.name()));
    let mut manifest = manifest(namespace.name());
    for (written, fitted) in FITTED {
        assert!(manifest.contains(written), "the manifest has no `{written}`");
        manifest = manifest.replace(written, fitted);
    }
    namespace.apply(&manifest);
    namespace.wait_ready("etcd");
    namespace
}

fn run(cluster: &Cluster, namespace: &Namespace<'_>, desk: &Desk, name: &str, user: &str) -> Done {
    let file = format!("{name}.yaml");
    let text =
        experiment("etcd-client-tls", user).replace(r#""name":"secure""#, &format!(r#""name":"{name}""#));
    desk.write(&file, text);
    let mut command = desk.command(&["run", &file, "--on", "kubernetes", "--yes", "--out", name]);
    command.args(["--namespace", namespace.name()]).env("KUBECONFIG", cluster.kubeconfig());
    Done::of(command.output().expect("the program starts"))
}

#[test]
fn a_runner_asks_a_store_with_tls_and_users_by_the_right_secrets_alone() {
    let cluster = Cluster::installed();
    let namespace = with_etcd(&cluster, "secure");
    let desk = Desk::new();
    let good = run(&cluster, &namespace, &desk, "good", "etcd-workload").exits(0);
    assert!(good.out.starts_with("PASS  good"), "{}", good.out);
    run(&cluster, &namespace, &desk, "wrong", "wrong-password")
        .exits(22)
        .says("no token for the user of Secret `wrong-password`")
        .says("authentication failed, invalid user ID or password");

    let injections = namespace.kubectl(["get", "injections", "--output=name"]);
    assert_eq!(
        injections, "",
        "nothing was injected with the wrong password, and nothing is left of the right one"
    );
    let mut written = text_of(&desk.path("good").join("journal.jsonl"));
    assert!(written.contains("etcd-client-tls"), "the journal names the Secrets");
    for what in ["experiments", "events", "pods"] {
        written.push_str(&namespace.kubectl(["get", what, "--output=yaml"]));
    }
    for runner in namespace
        .kubectl(["get", "pods", "--selector=app.kubernetes.io/component=runner", "--output=name"])
        .lines()
    {
        written.push_str(&namespace.kubectl(["logs", runner]));
    }
    for hidden in HIDDEN {
        assert!(!written.contains(hidden), "what a Secret holds was written");
    }
}

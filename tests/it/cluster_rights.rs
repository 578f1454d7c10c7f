//! Each right is tested by somebody who does not have it, with a real token.

use serde_json::json;

use crate::cluster_fixture::{Cluster, Namespace, PATIENCE, eventually};
use crate::cluster_rig::{Person, SYSTEM, allow, experiment, injection, install, pod};

/// What somebody is told who may not.
fn refusal(answer: Result<String, String>) -> String {
    answer.expect_err("this must not be allowed")
}

/// Waits until somebody may do something: what a binding gives is known to the API server a moment later.
fn comes_to_may(who: &Person<'_>, verb: &str, resource: &str, namespace: &Namespace<'_>) {
    let asked = ["auth", "can-i", verb, resource, "--namespace", namespace.name()];
    eventually(&format!("they may {verb} {resource}"), PATIENCE, || who.kubectl(&asked).ok());
}

/// A runner of `run` in a namespace, as the controller starts it.
pub fn runner<'a>(cluster: &'a Cluster, namespace: &Namespace<'_>, run: &str) -> Person<'a> {
    let controller = Person::account(cluster, SYSTEM, "seatrial-controller", None);
    if cluster
        .try_kubectl(["get", "serviceaccount", "seatrial-runner", "--namespace", namespace.name()])
        .is_err()
    {
        namespace.kubectl(["create", "serviceaccount", "seatrial-runner"]);
        let account = format!("--serviceaccount={}:seatrial-runner", namespace.name());
        namespace.kubectl([
            "create",
            "rolebinding",
            "seatrial-runner",
            "--clusterrole=seatrial-runner",
            &account,
        ]);
    }
    controller
        .create(namespace.name(), &pod(run, "seatrial-runner", None))
        .expect("the controller starts runners");
    let runner = Person::account(cluster, namespace.name(), "seatrial-runner", Some(run));
    comes_to_may(&runner, "create", "injections.seatrial.dev", namespace);
    runner
}

/// Says that an Injection is in force.
fn report(who: &Person<'_>, namespace: &str, name: &str) -> Result<String, String> {
    let status =
        json!({ "status": { "state": "Injected", "since": "2026-01-01T00:00:00Z", "effectiveFor": "1s" } });
    let status = status.to_string();
    who.kubectl(&[
        "patch",
        "injection",
        name,
        "--namespace",
        namespace,
        "--subresource=status",
        "--type=merge",
        "--patch",
        &status,
    ])
}

#[test]
fn an_agent_speaks_for_its_own_node_only() {
    let cluster = Cluster::shared();
    install(&cluster);
    let namespace = cluster.namespace("agents");
    allow(&namespace, &cluster);
    let nodes = cluster.kubectl(["get", "nodes", "--output=jsonpath={.items[*].metadata.name}"]);
    let nodes: Vec<_> = nodes.split_whitespace().collect();
    let [first, second, ..] = nodes.as_slice() else { panic!("two nodes are needed") };
    let name = format!("agent-{}", namespace.name());
    cluster.apply(SYSTEM, &pod(&name, "seatrial-agent", Some(first)).to_string());
    let agent = Person::account(&cluster, SYSTEM, "seatrial-agent", Some(&name));
    let unbound = Person::account(&cluster, SYSTEM, "seatrial-agent", None);
    let runner = runner(&cluster, &namespace, "run-a");

    for node in [first, second] {
        let mut injection = injection("run-a", node, "a-uid");
        let name = format!("run-a.cut.0.{node}");
        injection["metadata"]["name"] = json!(name);
        injection["spec"]["name"] = json!(name);
        runner.create(namespace.name(), &injection).expect("the runner makes its Injections");
    }
    let ours = format!("run-a.cut.0.{first}");
    let others = format!("run-a.cut.0.{second}");
    report(&agent, namespace.name(), &ours).expect("the agent's own node");
    assert!(refusal(report(&agent, namespace.name(), &others)).contains("only the agent on node"));
    assert!(refusal(report(&unbound, namespace.name(), &ours)).contains("bound to no node"));
    assert!(refusal(report(&runner, namespace.name(), &ours)).contains("only the agent on node"));

    let node_agent = |node: &str| json!({ "apiVersion": "seatrial.dev/v1alpha1", "kind": "NodeAgent", "metadata": { "name": node }, "spec": {} });
    assert!(refusal(agent.create("default", &node_agent(second))).contains("only the agent on node"));
    if let Err(why) = agent.create("default", &node_agent(first)) {
        assert!(why.contains("already exists"), "{why}");
    }
    let spec = r#"{"spec":{"desired":"Reverted"}}"#;
    let patch =
        ["patch", "injection", &ours, "--namespace", namespace.name(), "--type=merge", "--patch", spec];
    assert!(refusal(agent.kubectl(&patch)).contains("cannot patch resource \"injections\""));
    cluster.kubectl(["delete", "pod", &name, "--namespace", SYSTEM, "--wait=false"]);
}

#[test]
fn only_the_runner_of_a_run_makes_its_injections() {
    let cluster = Cluster::shared();
    install(&cluster);
    let namespace = cluster.namespace("runners");
    allow(&namespace, &cluster);
    let runner = runner(&cluster, &namespace, "run-b");
    namespace.kubectl(["create", "serviceaccount", "editor"]);
    let editor = format!("--serviceaccount={}:editor", namespace.name());
    namespace.kubectl(["create", "rolebinding", "editor", "--clusterrole=edit", &editor]);
    let editor = Person::account(&cluster, namespace.name(), "editor", None);
    comes_to_may(&editor, "patch", "injections.seatrial.dev", &namespace);
    let unbound = Person::account(&cluster, namespace.name(), "seatrial-runner", None);

    let other = injection("another-run", "n1", "a-uid");
    assert!(refusal(runner.create(namespace.name(), &other)).contains("only the runner another-run"));
    let own = injection("run-b", "n1", "a-uid");
    assert!(refusal(unbound.create(namespace.name(), &own)).contains("only the runner run-b"));
    assert!(refusal(editor.create(namespace.name(), &own)).contains("cannot create resource \"injections\""));
    let mut hidden = own.clone();
    hidden["metadata"]["labels"] = json!({ "seatrial.dev/run": "elsewhere" });
    assert!(refusal(runner.create(namespace.name(), &hidden)).contains("by which it is found"));
    runner.create(namespace.name(), &own).expect("its own run");

    let name = "run-b.cut.0.0";
    let patch = |who: &Person<'_>, patch: &str| {
        who.kubectl(&[
            "patch",
            "injection",
            name,
            "--namespace",
            namespace.name(),
            "--type=merge",
            "--patch",
            patch,
        ])
    };
    let worse = r#"{"spec":{"fault":{"kill":{},"pause":null}}}"#;
    assert!(refusal(patch(&editor, worse)).contains("only set desired: Reverted"));
    let longer = r#"{"spec":{"desired":"Reverted","deadline":{"at":"2098-01-01T00:00:00Z"}}}"#;
    assert!(refusal(patch(&editor, longer)).contains("only set desired: Reverted"));
    patch(&editor, r#"{"spec":{"desired":"Reverted"}}"#).expect("anybody may take a fault back");
    let again = refusal(patch(&runner, r#"{"spec":{"desired":"Injected"}}"#));
    assert!(again.contains("a reverted Injection stays reverted"), "{again}");
}

#[test]
fn nobody_makes_a_pod_that_is_taken_for_a_runner() {
    let cluster = Cluster::shared();
    install(&cluster);
    let namespace = cluster.namespace("pods");
    namespace.kubectl(["create", "serviceaccount", "seatrial-runner"]);
    namespace.kubectl(["create", "serviceaccount", "editor"]);
    let editor = format!("--serviceaccount={}:editor", namespace.name());
    namespace.kubectl(["create", "rolebinding", "editor", "--clusterrole=edit", &editor]);
    let editor = Person::account(&cluster, namespace.name(), "editor", None);
    comes_to_may(&editor, "create", "pods", &namespace);
    let told = refusal(editor.create(namespace.name(), &pod("some-run", "seatrial-runner", None)));
    assert!(told.contains("only the controller of seatrial starts pods"), "{told}");
    editor
        .create(namespace.name(), &pod("another", "default", None))
        .expect("other pods are not our business");
}

#[test]
fn an_author_needs_the_rights_that_the_experiment_uses() {
    let cluster = Cluster::shared();
    install(&cluster);
    let namespace = cluster.namespace("authors");
    let create = |who: &Person<'_>, name: &str| who.create(namespace.name(), &experiment(name));
    let account = |name: &str, role: &[&str]| {
        namespace.kubectl(["create", "serviceaccount", name]);
        let arguments = ["create", "role", name].into_iter().chain(role.iter().copied());
        namespace.kubectl(arguments);
        let subject = format!("--serviceaccount={}:{name}", namespace.name());
        namespace.kubectl(["create", "rolebinding", name, &format!("--role={name}"), &subject]);
        Person::account(&cluster, namespace.name(), name, None)
    };
    let writer =
        account("writer", &["--verb=create,update,patch,get", "--resource=experiments.seatrial.dev"]);
    let editor = {
        namespace.kubectl(["create", "serviceaccount", "editor"]);
        let subject = format!("--serviceaccount={}:editor", namespace.name());
        namespace.kubectl(["create", "rolebinding", "editor", "--clusterrole=edit", &subject]);
        Person::account(&cluster, namespace.name(), "editor", None)
    };
    for author in [&writer, &editor] {
        comes_to_may(author, "create", "experiments.seatrial.dev", &namespace);
    }

    let told = refusal(create(&editor, "too-early"));
    assert!(
        told.contains("has not agreed to be broken") && told.contains("kubectl label namespace"),
        "{told}"
    );
    allow(&namespace, &cluster);
    eventually("the namespace is known to agree", PATIENCE, || {
        let told = refusal(create(&writer, "no-rights"));
        assert!(
            told.contains("may not delete pods") || told.contains("has not agreed to be broken"),
            "{told}"
        );
        told.contains("may not delete pods").then_some(())
    });
    eventually("the editor's roles are aggregated", PATIENCE, || create(&editor, "fine").ok());

    let patch = |who: &Person<'_>, patch: &str| {
        let name = namespace.name();
        who.kubectl(&["patch", "experiment", "fine", "--namespace", name, "--type=merge", "--patch", patch])
    };
    let told = refusal(patch(&writer, r#"{"spec":{"target":{"statefulSet":"other"}}}"#));
    assert!(told.contains("runs once") || told.contains("may not delete pods"), "{told}");
    let told = refusal(patch(&editor, r#"{"spec":{"target":{"statefulSet":"other"}}}"#));
    assert!(told.contains("an Experiment runs once"), "{told}");
    patch(&writer, r#"{"metadata":{"annotations":{"seatrial.dev/abort":"enough"}}}"#)
        .expect("a label gives no power");
    let verdict = [
        "patch",
        "experiment",
        "fine",
        "--namespace",
        namespace.name(),
        "--subresource=status",
        "--type=merge",
        "--patch",
        r#"{"status":{"verdict":"Pass"}}"#,
    ];
    let told = refusal(editor.kubectl(&verdict));
    assert!(told.contains("resource \"experiments/status\""), "{told}");
    let told = cluster.try_kubectl(verdict);
    assert!(refusal(told).contains("only the controller and the runner"));
}

/// An Experiment that asks etcd with these Secrets.
fn with_secrets(name: &str, store: &serde_json::Value) -> serde_json::Value {
    let mut experiment = experiment(name);
    experiment["spec"]["target"]["store"] = json!({ "etcd": store });
    experiment
}

#[test]
fn an_author_names_only_secrets_that_they_may_read() {
    let cluster = Cluster::shared();
    install(&cluster);
    let namespace = cluster.namespace("secrets");
    allow(&namespace, &cluster);
    namespace.kubectl(["create", "secret", "generic", "theirs", "--from-literal=ca.crt=x"]);
    namespace.kubectl(["create", "secret", "generic", "hidden", "--from-literal=password=x"]);
    // Everything that an author needs, and one of the Secrets.
    let author = {
        namespace.kubectl(["create", "serviceaccount", "author"]);
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "author" },
            "rules": [
                { "apiGroups": ["seatrial.dev"], "resources": ["experiments"], "verbs": ["create", "update", "patch", "get"] },
                { "apiGroups": [""], "resources": ["pods"], "verbs": ["delete"] },
                { "apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"] },
                { "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["theirs"], "verbs": ["get"] },
            ],
        });
        namespace.apply(&role.to_string());
        let subject = format!("--serviceaccount={}:author", namespace.name());
        namespace.kubectl(["create", "rolebinding", "author", "--role=author", &subject]);
        Person::account(&cluster, namespace.name(), "author", None)
    };
    let create =
        |name: &str, store: serde_json::Value| author.create(namespace.name(), &with_secrets(name, &store));

    eventually("the author's role is known", PATIENCE, || create("plain", json!({})).ok());
    create("readable", json!({ "tls": { "secret": "theirs" } })).expect("a Secret that they may read");
    for (name, store) in [
        ("by-tls", json!({ "tls": { "secret": "hidden" } })),
        ("by-auth", json!({ "tls": { "secret": "theirs" }, "auth": { "secret": "hidden" } })),
    ] {
        let told = refusal(create(name, store));
        assert!(told.contains("may not get Secret hidden in namespace"), "{told}");
        assert!(told.contains(&format!("{}:author", namespace.name())), "{told}");
    }
    // Whoever could not create it cannot change one into it, and changes nothing else about it either.
    let change = |patch: serde_json::Value| {
        let (name, patch) = (namespace.name(), patch.to_string());
        author.kubectl(&[
            "patch",
            "experiment",
            "plain",
            "--namespace",
            name,
            "--type=merge",
            "--patch",
            &patch,
        ])
    };
    let told = refusal(change(
        json!({ "spec": { "target": { "store": { "etcd": { "auth": { "secret": "hidden" } } } } } }),
    ));
    // The API server looks at what the definition says of changes first: nobody changes the spec of an Experiment.
    assert!(told.contains("may not get Secret hidden") || told.contains("an Experiment runs once"), "{told}");
}

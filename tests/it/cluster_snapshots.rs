//! Snapshots of a StatefulSet's claims and what is made of them, against real VolumeSnapshots of a real CSI driver.

use jiff::{SignedDuration, Timestamp};
use seatrial::api::{ApiFault, InjectionSpec, InjectionState};
use seatrial::controller::{Scope, reap};
use serde_json::json;

use crate::cluster_faults::{LONG, Runner, client, spec, words};
use crate::cluster_fixture::{Cluster, Namespace, PATIENCE, eventually};
use crate::cluster_installation::{IMAGE, load_image};
use crate::cluster_rig::{allow, breaker_of_pods, experiment, install};
use crate::cluster_rights::runner;
use crate::cluster_run_fixture::{ROLLING_KILL, Scene};

/// Two members, each with a volume that holds one file of a known size.
const SET: &str = r"
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 1}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000}
      containers:
      - name: db
        image: 'docker.io/library/busybox:1'
        imagePullPolicy: IfNotPresent
        command: [sh, -c, 'umask 077; head -c 12345 /dev/urandom > /data/file && exec sleep 100000']
        readinessProbe: {exec: {command: [test, -s, /data/file]}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 64Mi}}}
";

fn set_up(namespace: &Namespace<'_>) {
    namespace.apply(SET);
    namespace.wait_ready("db");
}

fn take(namespace: &Namespace<'_>, step: &str, class: Option<&str>) -> InjectionSpec {
    let fault =
        ApiFault::TakeSnapshot { ordinals: vec![0], claims: Vec::new(), class: class.map(str::to_owned) };
    spec(namespace, step, fault, LONG)
}

fn made(namespace: &Namespace<'_>) -> Vec<String> {
    let kinds = "pods,persistentvolumeclaims,volumesnapshots";
    let found = namespace.kubectl(["get", kinds, "--selector=seatrial.dev/made-by", "--output=name"]);
    found.lines().map(str::to_owned).collect()
}

#[test]
fn a_snapshot_is_taken_restored_into_a_new_claim_read_and_removed_with_the_run() {
    let cluster = Cluster::shared();
    load_image(&cluster);
    let namespace = cluster.namespace("snapshots");
    set_up(&namespace);
    let live = || {
        namespace.kubectl(["get", "pvc", "data-db-0", "--output=jsonpath={.metadata.uid} {.spec.volumeName}"])
    };
    let before = live();
    // Only its image is looked at.
    namespace.kubectl(["run", "own", "--image", IMAGE, "--image-pull-policy=Never", "--restart=Never"]);
    let runner = Runner::in_pod(&cluster, &namespace, Some("own"));

    runner.put(&take(&namespace, "snap", None));
    let asked = runner.wait(InjectionState::Injected);
    let ready = runner.wait(InjectionState::Reverted);
    assert!(words(&ready).contains("of claim data-db-0 was ready to use after"), "{ready:?}");
    assert!(!words(&ready).contains("data-db-1"), "only ordinal 0 was asked for: {ready:?}");
    assert!(ready.since > asked.since, "the time that it took is on record");

    let fault = ApiFault::RestoreSnapshot { from: "snap".into(), read: true };
    runner.put(&spec(&namespace, "back", fault, LONG));
    runner.wait(InjectionState::Injected);
    let read = runner.wait(InjectionState::Reverted);
    for said in ["as data-db-0 was: Bound after", "read after", "1 file, 12345 bytes"] {
        assert!(words(&read).contains(said), "{said}: {read:?}");
    }
    assert_eq!(live(), before, "the target's own claim is untouched");
    assert_eq!(made(&namespace).len(), 3, "{:?}", made(&namespace));

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let scope = Scope::Namespace(namespace.name().into());
    let look_after = |now: Timestamp| {
        runtime.block_on(async { reap::reap(&client(&cluster).await, &scope, now).await.expect("it may") })
    };
    assert_eq!(look_after(Timestamp::now()), Vec::<String>::new());
    assert_eq!(made(&namespace).len(), 3, "a run that goes on keeps what it made");
    let past = (Timestamp::now() - SignedDuration::from_secs(1)).to_string();
    for object in made(&namespace) {
        namespace.kubectl(["annotate", "--overwrite", &object, &format!("seatrial.dev/deadline={past}")]);
    }
    assert_eq!(look_after(Timestamp::now()).len(), 3);
    eventually("what the run made is gone", PATIENCE, || made(&namespace).is_empty().then_some(()));
    assert_eq!(live(), before, "the target's own claim is untouched");
}

#[test]
fn a_snapshot_that_cannot_be_taken_is_refused_with_what_to_do() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("snapshots-unfit");
    set_up(&namespace);
    let class = format!("unfit-{}", namespace.name());
    cluster.apply(
        "default",
        &json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
            "metadata": { "name": class }, "driver": "other.example.com", "deletionPolicy": "Delete",
        })
        .to_string(),
    );
    let runner = Runner::in_pod(&cluster, &namespace, None);
    runner.put(&take(&namespace, "absent", Some("no-such-class")));
    let absent = runner.wait(InjectionState::Failed).error.unwrap_or_default();
    runner.put(&take(&namespace, "foreign", Some(&class)));
    let foreign = runner.wait(InjectionState::Failed).error.unwrap_or_default();
    cluster.kubectl(["delete", "volumesnapshotclass", &class]);
    assert!(
        absent.starts_with(
            "claim data-db-0: there is no VolumeSnapshotClass no-such-class: name one by `class`, of "
        ),
        "{absent}"
    );
    assert!(foreign.contains("is of driver other.example.com, the volume of "), "{foreign}");
    let fault = ApiFault::RestoreSnapshot { from: "absent".into(), read: false };
    runner.put(&spec(&namespace, "back", fault, LONG));
    let status = runner.wait(InjectionState::Pending);
    assert_eq!(status.error.as_deref(), Some("step absent has taken no snapshot that is ready"));
    assert_eq!(made(&namespace), Vec::<String>::new());
}

/// A pod as a runner makes it to read the claim `run.back.0.set.data-db-0`.
fn reader(run: &str) -> serde_json::Value {
    let name = format!("{run}.back.0.set.data-db-0");
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": { "seatrial.dev/made-by": run },
            "annotations": { "seatrial.dev/deadline": "2099-01-01T00:00:00Z" },
        },
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "reader", "image": IMAGE, "args": ["__read", "/restored"],
                "volumeMounts": [{ "name": "restored", "mountPath": "/restored", "readOnly": true }],
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
            "volumes": [{ "name": "restored", "persistentVolumeClaim": { "claimName": name } }],
        },
    })
}

#[test]
fn a_runner_makes_nothing_but_its_snapshots_claims_of_them_and_pods_that_read() {
    let cluster = Cluster::shared();
    install(&cluster);
    let namespace = cluster.namespace("snapshots-rights");
    allow(&namespace, &cluster);
    let run = "run-a";
    let who = runner(&cluster, &namespace, run);
    let name = namespace.name();
    eventually("the policy is in force and lets a reader through", PATIENCE, || {
        who.create(name, &reader(run)).ok()
    });
    let refused = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut pod = reader(run);
        pod["metadata"]["name"] = json!("other");
        pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = json!("other");
        change(&mut pod);
        who.create(name, &pod).expect_err("this must not be allowed")
    };
    let only = "a runner makes only pods that read a claim of its own";
    for change in [
        &|pod: &mut serde_json::Value| pod["spec"]["hostPID"] = json!(true),
        &|pod: &mut serde_json::Value| pod["spec"]["automountServiceAccountToken"] = json!(true),
        &|pod: &mut serde_json::Value| pod["spec"]["serviceAccountName"] = json!("seatrial-agent"),
        &|pod: &mut serde_json::Value| pod["spec"]["containers"][0]["command"] = json!(["sh"]),
        &|pod: &mut serde_json::Value| pod["spec"]["containers"][0]["args"] = json!(["agent", "--node"]),
        &|pod: &mut serde_json::Value| {
            pod["spec"]["volumes"][0] = json!({ "name": "restored", "hostPath": { "path": "/" } });
        },
        &|pod: &mut serde_json::Value| {
            pod["spec"]["volumes"][0] = json!({ "name": "restored", "secret": { "secretName": "s" } });
        },
        &|pod: &mut serde_json::Value| {
            pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] = json!("data-db-0");
        },
        &|pod: &mut serde_json::Value| {
            pod["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] = json!(["SYS_ADMIN"]);
        },
    ] as [&dyn Fn(&mut serde_json::Value); 9]
    {
        let told = refused(change);
        assert!(told.contains(only) || told.contains("seatrial-agent"), "{told}");
    }
    let told = refused(&|pod| pod["metadata"]["labels"] = json!({ "seatrial.dev/made-by": "run-b" }));
    assert!(told.contains("carries the label seatrial.dev/made-by with its run"), "{told}");
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "data-db-9",
            "labels": { "seatrial.dev/made-by": run },
            "annotations": { "seatrial.dev/deadline": "2099-01-01T00:00:00Z" },
        },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } },
    });
    let told = who.create(name, &claim).expect_err("this must not be allowed");
    assert!(told.contains("only claims that begin as a VolumeSnapshot"), "{told}");
    for what in ["persistentvolumeclaim", "volumesnapshot"] {
        let told = who
            .kubectl(&["delete", what, "data-db-0", "--namespace", name])
            .expect_err("it has no such right");
        assert!(told.contains("cannot delete resource"), "{told}");
    }
}

#[test]
fn who_may_not_take_snapshots_writes_no_experiment_that_does() {
    let cluster = Cluster::shared();
    install(&cluster);
    let namespace = cluster.namespace("snapshots-author");
    allow(&namespace, &cluster);
    let who = breaker_of_pods(&cluster, &namespace);
    let mut written = experiment("snapshots");
    written["spec"]["steps"][0] = json!({ "name": "snap", "action": { "takeSnapshot": {} } });
    let told = who.create(namespace.name(), &written).expect_err("this must not be allowed");
    assert!(
        told.contains("may not create volumesnapshots") && told.contains("which takeSnapshot does"),
        "{told}"
    );
    written["spec"]["steps"][0] =
        json!({ "name": "back", "action": { "restoreSnapshot": { "from": "snap", "read": true } } });
    let told = who.create(namespace.name(), &written).expect_err("this must not be allowed");
    assert!(told.contains("may not create persistentvolumeclaims"), "{told}");
    let kill = json!({ "fault": { "podKill": { "members": { "count": 1 } } } });
    let snapshot = json!({ "action": { "takeSnapshot": {} } });
    written["spec"]["steps"][0] = json!({ "name": "soak", "oneOf": [kill, snapshot] });
    let told = who.create(namespace.name(), &written).expect_err("what may be chosen must be allowed, too");
    assert!(told.contains("may not create volumesnapshots"), "{told}");
    eventually("what takes no storage is taken", PATIENCE, || {
        who.create(namespace.name(), &experiment("kill")).ok()
    });
}

/// A run that takes snapshots and restores them; `last` is one more step.
fn experiment_of_etcd(name: &str, last: &str) -> String {
    format!(
        r"
apiVersion: seatrial.dev/v1alpha1
kind: Experiment
metadata: {{name: {name}}}
spec:
  target: {{statefulSet: etcd}}
  baseline: 1s
  steps:
  - {{name: snap, for: 2m, action: {{takeSnapshot: {{members: {{ordinals: [0, 2]}}, claims: [data]}}}}}}
  {last}
  hypothesis:
  - {{name: nobody notices, sli: {{podAvailability: {{}}}}, always: {{min: 1}}}}
"
    )
}

#[test]
fn a_run_restores_what_it_took_and_leaves_nothing_behind_also_when_its_runner_dies() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "snapshots-run", ROLLING_KILL);
    let claims = || scene.namespace.kubectl(["get", "pvc", "--output=jsonpath={.items[*].metadata.uid}"]);
    let before = claims();
    let restore = "- {name: back, after: snap, for: 2m, action: {restoreSnapshot: {from: snap, read: true}}}";
    scene.namespace.apply(&experiment_of_etcd("whole", restore));
    let status = scene.wait_over("whole");
    assert_eq!(status["verdict"], "Pass", "{status}");
    let journal = scene.journal("whole");
    for said in
        ["was ready to use after", "as data-etcd-0 was: Bound after", "as data-etcd-2 was", "read after"]
    {
        assert!(journal.contains(said), "{said}");
    }
    eventually("what the run made is gone", PATIENCE, || made(&scene.namespace).is_empty().then_some(()));
    assert_eq!(claims(), before, "the target's own claims are untouched");

    let wait = "- {name: never, when: {pod: {ordinal: 0, is: Terminating}, within: 5m}, action: {rolloutRestart: {}}}";
    scene.namespace.apply(&experiment_of_etcd("killed", wait));
    eventually("snapshots are ready", PATIENCE, || {
        let ready = "--output=jsonpath={.items[*].status.readyToUse}";
        (scene.namespace.kubectl(["get", "volumesnapshots", ready]) == "true true").then_some(())
    });
    scene.kill_runner("killed");
    assert_eq!(scene.wait_over("killed")["verdict"], "Aborted");
    eventually("what the run made is gone", PATIENCE, || made(&scene.namespace).is_empty().then_some(()));
    scene.nothing_is_left();
}

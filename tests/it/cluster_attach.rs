//! The attach of volumes, blocked: against the real attach-detach controller, a real CSI driver and its real attacher.

use std::time::Duration;

use jiff::Timestamp;
use seatrial::api::{ApiFault, DeniedResource, Desired, InjectionSpec, InjectionState};
use serde_json::json;

use crate::cluster_faults::{LONG, Runner, spec, words};
use crate::cluster_fixture::{Cluster, Held, Namespace, PATIENCE, eventually};
use crate::cluster_nodes::Agreement;
use crate::cluster_rig::{allow, breaker_of_pods, experiment, install};
use crate::cluster_run_fixture::{Scene, shipped_name};
use crate::e2e_fixture::text_of;
use crate::gallery;

/// Three members with two volumes each.
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
  replicas: 3
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: db
        image: docker.io/library/busybox:1
        imagePullPolicy: IfNotPresent
        command: [sleep, '100000']
        volumeMounts: [{name: data, mountPath: /data}, {name: log, mountPath: /log}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 32Mi}}}
  - metadata: {name: log}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 32Mi}}}
";

pub fn set_up<'a>(cluster: &'a Cluster, purpose: &str) -> Namespace<'a> {
    let namespace = cluster.namespace(purpose);
    namespace.apply(SET);
    namespace.wait_ready("db");
    namespace
}

fn block(namespace: &Namespace<'_>, claims: &[&str], lasting: Duration) -> InjectionSpec {
    let claims = claims.iter().map(|&claim| claim.to_owned()).collect();
    spec(namespace, "block", ApiFault::BlockAttach { ordinals: vec![1], claims }, lasting)
}

fn field(namespace: &Namespace<'_>, what: &str, path: &str) -> String {
    namespace.kubectl(["get", what, "-o", &format!("jsonpath={{{path}}}")])
}

/// The VolumeAttachments of a claim's volume, with their UIDs.
fn attachments(cluster: &Cluster, namespace: &Namespace<'_>, claim: &str) -> Vec<String> {
    let volume = field(namespace, &format!("pvc/{claim}"), ".spec.volumeName");
    let path = "jsonpath={range .items[*]}{.spec.source.persistentVolumeName} {.metadata.uid}{'\\n'}{end}";
    let all = cluster.kubectl(["get", "volumeattachments", "-o", path]);
    all.lines().filter(|line| line.starts_with(&volume)).map(str::to_owned).collect()
}

fn policies(cluster: &Cluster, namespace: &Namespace<'_>) -> Vec<String> {
    let kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings";
    let all = cluster.kubectl(["get", kinds, "-o", "name"]);
    all.lines().filter(|line| line.contains(namespace.name())).map(str::to_owned).collect()
}

#[test]
fn every_volume_is_really_detached_denied_and_attached_again_after_the_revert() {
    let cluster = Cluster::shared();
    let namespace = set_up(&cluster, "attach-block");
    let uid = |pod: &str| field(&namespace, &format!("pod/{pod}"), ".metadata.uid");
    let (before, others) = (uid("db-1"), [uid("db-0"), uid("db-2")]);
    let attached = attachments(&cluster, &namespace, "data-db-1");
    assert_eq!(attached.len(), 1, "the driver attaches for real");
    let runner = Runner::in_pod(&cluster, &namespace, None);
    let fault = block(&namespace, &[], LONG);
    runner.put(&fault);
    let began = runner.wait(InjectionState::Injected);
    let proof = words(&began);
    assert!(proof.contains("FailedAttachVolume names seatrial-"), "{proof}");
    assert!(proof.contains("data-db-1") && proof.contains("log-db-1"), "{proof}");

    assert_ne!(uid("db-1"), before, "the pod was made again");
    assert_eq!([uid("db-0"), uid("db-2")], others, "nobody else is touched");
    for claim in ["data-db-1", "log-db-1"] {
        assert_eq!(attachments(&cluster, &namespace, claim), Vec::<String>::new(), "{claim} is detached");
    }
    assert_eq!(field(&namespace, "pod/db-1", ".status.phase"), "Pending");
    let told = namespace.kubectl(["describe", "pod", "db-1"]);
    assert!(told.contains("FailedAttachVolume") && told.contains("step block of run"), "{told}");
    let renewed = runner.wait(InjectionState::Injected);
    assert!(renewed.effective_for > Duration::ZERO, "{renewed:?}");

    runner.put(&InjectionSpec { desired: Desired::Reverted, ..fault });
    let ended = words(&runner.wait(InjectionState::Reverted));
    assert!(ended.contains("claim data-db-1 could not be attached for "), "{ended}");
    assert!(ended.contains("claim log-db-1 could not be attached for "), "{ended}");
    assert!(ended.contains("Kubernetes"), "its own back-off is told apart: {ended}");
    assert_eq!(policies(&cluster, &namespace), Vec::<String>::new());
    namespace.wait_ready("db");
    assert_ne!(attachments(&cluster, &namespace, "data-db-1"), attached, "it was attached anew");
}

#[test]
fn a_block_of_one_claim_template_leaves_the_other_volumes_attachable() {
    let cluster = Cluster::shared();
    let namespace = set_up(&cluster, "attach-one");
    let runner = Runner::in_pod(&cluster, &namespace, None);
    let fault = block(&namespace, &["log"], LONG);
    runner.put(&fault);
    let proof = words(&runner.wait(InjectionState::Injected));
    assert!(proof.contains("log-db-1") && !proof.contains("data-db-1"), "{proof}");
    eventually("the other volume is attached", PATIENCE, || {
        (attachments(&cluster, &namespace, "data-db-1").len() == 1).then_some(())
    });
    assert_eq!(attachments(&cluster, &namespace, "log-db-1"), Vec::<String>::new());
    // A runner that was started again knows nothing but the Injection.
    drop(runner);
    let runner = Runner::in_pod(&cluster, &namespace, None);
    runner.put(&InjectionSpec { desired: Desired::Reverted, ..fault });
    runner.wait(InjectionState::Reverted);
    assert_eq!(policies(&cluster, &namespace), Vec::<String>::new());
    namespace.wait_ready("db");
}

#[test]
fn a_block_whose_runner_and_controller_died_lapses_and_is_reaped() {
    // Its definitions are installed, and nothing of it runs.
    let cluster = Cluster::shared();
    install(&cluster);
    let namespace = set_up(&cluster, "attach-lapse");
    let fault = block(&namespace, &[], Duration::from_mins(1));
    {
        let runner = Runner::in_pod(&cluster, &namespace, None);
        runner.put(&fault);
        runner.wait(InjectionState::Injected);
    }
    assert!(Timestamp::now() < fault.deadline.at, "the machine is too slow for this test");
    namespace.wait_ready("db");
    assert!(Timestamp::now() >= fault.deadline.at, "nothing was attached before the deadline");
    assert!(!policies(&cluster, &namespace).is_empty(), "the objects are there still, and deny nothing");
    let reaped = std::process::Command::new(env!("CARGO_BIN_EXE_seatrial"))
        .args(["reap", "--watch-namespace", namespace.name()])
        .env("KUBECONFIG", cluster.kubeconfig())
        .output()
        .expect("the program starts");
    assert!(reaped.status.success(), "{}", String::from_utf8_lossy(&reaped.stderr));
    assert_eq!(policies(&cluster, &namespace), Vec::<String>::new());
}

#[test]
fn claims_and_snapshots_are_really_denied_to_whom_they_are_blocked_for() {
    let cluster = Cluster::shared();
    let namespace = set_up(&cluster, "attach-claims");
    let runner = Runner::in_pod(&cluster, &namespace, None);
    let resources = vec![DeniedResource::PersistentVolumeClaims, DeniedResource::VolumeSnapshots];
    let fault = spec(&namespace, "full", ApiFault::Deny { resources, ordinals: Vec::new() }, LONG);
    runner.put(&fault);
    runner.wait(InjectionState::Injected);
    namespace.kubectl(["scale", "statefulset", "db", "--replicas=4"]);
    eventually("the claim of the new member is denied", PATIENCE, || {
        let told = namespace.kubectl(["describe", "statefulset", "db"]);
        (told.contains("data-db-3") && told.contains("step full of run")).then_some(())
    });
    let folder = tempfile::TempDir::new().expect("a temporary folder can be made");
    let create = |object: String| {
        let path = folder.path().join("object.yaml");
        std::fs::write(&path, object).expect("it can be written");
        let path = path.display().to_string();
        cluster.try_kubectl(["create", "--namespace", namespace.name(), "--filename", &path])
    };
    let snapshot = |name: &str, claim: &str| {
        create(format!(
            "{{apiVersion: snapshot.storage.k8s.io/v1, kind: VolumeSnapshot, metadata: {{name: {name}}}, \
             spec: {{source: {{persistentVolumeClaimName: {claim}}}}}}}"
        ))
    };
    let why = snapshot("it", "data-db-0").expect_err("snapshots are denied");
    assert!(why.contains("step full of run"), "{why}");
    create(
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data-other-db-0}, \
         spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 32Mi}}}}"
            .into(),
    )
    .expect("the claim of another set, whose name ends alike, is not denied");
    snapshot("others", "data-other-db-0").expect("and neither is a snapshot of it");
    runner.put(&InjectionSpec { desired: Desired::Reverted, ..fault });
    let ended = words(&runner.wait(InjectionState::Reverted));
    assert!(ended.contains(" for real, as events tell") && !ended.contains("denied 0 creations"), "{ended}");
    snapshot("it", "data-db-0").expect("snapshots can be taken again");
    namespace.wait_ready("db");
    assert_eq!(policies(&cluster, &namespace), Vec::<String>::new());
}

/// A pod of nobody's set that uses a member's claim.
pub fn backup(node: &str, claim: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: backup}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers: [{{name: it, image: 'docker.io/library/busybox:1', command: [sleep, '100000']}}]
  volumes: [{{name: data, persistentVolumeClaim: {{claimName: {claim}}}}}]
"
    )
}

/// What lies outside of namespaces, removed at the end.
struct Beyond<'a> {
    cluster: &'a Cluster,
    objects: Vec<String>,
}

impl Drop for Beyond<'_> {
    fn drop(&mut self) {
        for object in &self.objects {
            let _ = self.cluster.try_kubectl(["delete", object, "--wait=false"]);
        }
    }
}

#[test]
fn volumes_that_are_never_attached_or_that_others_use_are_refused_before_a_pod_is_deleted() {
    let cluster = Cluster::shared();
    let namespace = cluster.namespace("attach-refused");
    let name = namespace.name().to_owned();
    let driver = format!("{name}.seatrial.test");
    let _beyond = Beyond {
        cluster: &cluster,
        objects: vec![format!("csidriver/{driver}"), format!("pv/{name}-data"), format!("pv/{name}-log")],
    };
    let volume = |what: &str, source: &str| {
        format!(
            "
---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}-{what}}}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {{storage: 32Mi}}
  storageClassName: {name}-{what}
  {source}"
        )
    };
    cluster.apply(
        &name,
        &format!(
            "{{apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {{name: {driver}}}, spec: {{attachRequired: false}}}}{}{}",
            volume("data", &format!("csi: {{driver: {driver}, volumeHandle: v}}")),
            volume("log", "hostPath: {path: /tmp}"),
        ),
    );
    let mut set = SET.replace("replicas: 3", "replicas: 1");
    for what in ["data", "log"] {
        set = set.replace(
            &format!("- metadata: {{name: {what}}}\n    spec: {{"),
            &format!("- metadata: {{name: {what}}}\n    spec: {{storageClassName: {name}-{what}, "),
        );
    }
    namespace.apply(&set);
    eventually("the claims are bound", PATIENCE, || {
        let bound = namespace.kubectl(["get", "pvc", "-o", "jsonpath={.items[*].status.phase}"]);
        (bound == "Bound Bound").then_some(())
    });
    let uid = field(&namespace, "pod/db-0", ".metadata.uid");
    let refused = |step: &str, claims: &[&str], ordinals: Vec<u32>| {
        let claims = claims.iter().map(|&claim| claim.to_owned()).collect();
        let runner = Runner::in_pod(&cluster, &namespace, None);
        runner.put(&spec(&namespace, step, ApiFault::BlockAttach { ordinals, claims }, LONG));
        runner.wait(InjectionState::Failed).error.unwrap_or_default()
    };
    let why = refused("driver", &["data"], vec![0]);
    assert!(why.contains(&driver) && why.contains("attachRequired: false"), "{why}");
    let why = refused("path", &["log"], vec![0]);
    assert!(why.contains("the volume of claim log-db-0 is a hostPath"), "{why}");
    let why = refused("none", &["other"], vec![0]);
    assert!(why.contains("there is nothing to attach"), "{why}");
    assert_eq!(field(&namespace, "pod/db-0", ".metadata.uid"), uid, "no pod is deleted");
    assert_eq!(policies(&cluster, &namespace), Vec::<String>::new());

    let with_volumes = set_up(&cluster, "attach-shared");
    let node = field(&with_volumes, "pod/db-1", ".spec.nodeName");
    with_volumes.apply(&backup(&node, "data-db-1"));
    let runner = Runner::in_pod(&cluster, &with_volumes, None);
    runner.put(&block(&with_volumes, &[], LONG));
    let why = runner.wait(InjectionState::Failed).error.unwrap_or_default();
    assert!(why.contains("claim data-db-1 is used by pod backup as well"), "{why}");
}

/// Runs a shipped experiment as a person does, who may make admission policies; its journal.
fn passes(cluster: &Held, purpose: &str, file: &str) -> String {
    let scene = Scene::of(cluster, purpose, file);
    let _agreed = Agreement::give(&scene, "seatrial-runner-admission");
    let name = shipped_name(file);
    scene.run(&name, file, &[]).exits(0);
    gallery::show(file, &scene.path(&name));
    assert_eq!(policies(cluster, &scene.namespace), Vec::<String>::new());
    scene.nothing_is_left();
    text_of(&scene.path(&name).join("journal.jsonl"))
}

/// The shipped experiment of volumes.
const ATTACH_BLOCK: &str = "experiments/etcd/attach-block.yaml";

#[test]
fn etcd_attach_block_passes_and_leaves_nothing() {
    let cluster = Cluster::installed();
    let journal = passes(&cluster, "attach-etcd", ATTACH_BLOCK);
    assert!(journal.contains("FailedAttachVolume names seatrial-"), "the proof is on record");
    assert!(journal.contains("could not be attached for "), "and what was measured");
}

#[test]
fn etcd_rolling_attach_block_passes_and_leaves_nothing() {
    let cluster = Cluster::installed();
    let journal = passes(&cluster, "attach-rolling", "experiments/etcd/rolling-attach-block.yaml");
    assert!(journal.contains("FailedAttachVolume names seatrial-"), "the proof is on record");
}

/// A volume that cannot be attached for longer than the owners of StatefulSets bear, and a claim that somebody deletes.
const PROMISES: &str = r"
apiVersion: seatrial.dev/v1alpha1
kind: Experiment
metadata: {name: promises}
spec:
  target: {statefulSet: workers}
  guards: {allowQuorumLoss: true}
  steps:
    - name: block
      for: 45s
      fault: {volumeAttachBlock: {members: {ordinals: [0]}}}
  hypothesis:
    - {name: volumes come soon, sli: {attachLatency: {}}, always: {max: 10s}}
    - {name: volumes come in time, sli: {attachSuccess: {}}}
    - {name: claims stay, sli: {claimsReclaimed: {}}}
    - {name: claims stay before, sli: {claimsReclaimed: {}}, before: {max: 0}}
";

#[test]
fn what_is_promised_of_volumes_is_seen_broken() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "attach-promises", "experiments/workers/provision-block.yaml");
    let _agreed = Agreement::give(&scene, "seatrial-runner-admission");
    scene.namespace.apply(PROMISES);
    scene.wait_for_fault("promises");
    scene.namespace.kubectl(["delete", "pvc", "data-workers-2", "--wait=false"]);
    scene.namespace.kubectl(["delete", "pod", "workers-2"]);
    let status = scene.wait_over("promises");
    let told: Vec<String> = status["outcomes"]
        .as_array()
        .expect("outcomes")
        .iter()
        .map(|outcome| format!("{} {}", outcome["verdict"], outcome["message"]))
        .collect();
    let waited = "the volume of claim data-workers-0 was not attached to node";
    assert!(told[0].contains("Fail") && told[0].contains(waited), "{told:#?}");
    assert!(told[1].contains("Fail") && told[1].contains(waited), "{told:#?}");
    assert!(told[2].contains("Fail") && told[2].contains("claim data-workers-2 was deleted"), "{told:#?}");
    assert!(told[3].contains("Pass"), "{told:#?}");
    scene.nothing_is_left();
}

#[test]
fn a_run_whose_runner_may_make_no_policies_is_refused_before_anything_is_done() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "attach-rights", ATTACH_BLOCK);
    let uid = field(&scene.namespace, "pod/etcd-0", ".metadata.uid");
    let refused = scene.run("unasked", ATTACH_BLOCK, &[]);
    assert_ne!(refused.code, Some(0));
    let how = "--clusterrole=seatrial-runner-admission --serviceaccount=";
    refused.says("step block-attach: ").says(how);
    scene.seatrial(&["preflight", "unasked.yaml"]).exits(22).says(how);
    assert_eq!(field(&scene.namespace, "pod/etcd-0", ".metadata.uid"), uid, "no pod is deleted");
    scene.nothing_is_left();
}

#[test]
fn a_runner_that_dies_while_it_takes_a_block_back_goes_on_with_it() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "attach-killed", ATTACH_BLOCK);
    let _agreed = Agreement::give(&scene, "seatrial-runner-admission");
    scene.create("killed", ATTACH_BLOCK, &[("for: 15s", "for: 5m")]);
    scene.wait_for_fault("killed");
    scene.namespace.kubectl(["annotate", "experiment", "killed", "seatrial.dev/abort=enough"]);
    eventually("the block is asked back", PATIENCE, || {
        let desired = "--output=jsonpath={.items[*].spec.desired}";
        (scene.namespace.kubectl(["get", "injections", desired]) == "Reverted").then_some(())
    });
    scene.kill_runner("killed");
    let status = scene.wait_over("killed");
    assert_eq!(status["verdict"], "Aborted", "{status}");
    assert_eq!(status["revertFailed"], json!(null), "{status}");
    assert_eq!(policies(&cluster, &scene.namespace), Vec::<String>::new());
    scene.nothing_is_left();
}

#[test]
fn a_run_against_a_volume_that_others_use_is_refused_before_anything_is_done() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "attach-preflight", ATTACH_BLOCK);
    let _agreed = Agreement::give(&scene, "seatrial-runner-admission");
    let uid = field(&scene.namespace, "pod/etcd-0", ".metadata.uid");
    let node = field(&scene.namespace, "pod/etcd-0", ".spec.nodeName");
    scene.namespace.apply(&backup(&node, "data-etcd-0"));
    let why = "claim data-etcd-0 is used by pod backup as well";
    let refused = scene.run("shared", ATTACH_BLOCK, &[]);
    assert_ne!(refused.code, Some(0));
    refused.says("step block-attach: ").says(why);
    scene.seatrial(&["preflight", "shared.yaml"]).exits(22).says(why);
    assert_eq!(field(&scene.namespace, "pod/etcd-0", ".metadata.uid"), uid, "no pod is deleted");
    scene.nothing_is_left();
}

#[test]
fn who_may_not_make_policies_writes_no_experiment_that_does() {
    let cluster = Cluster::shared();
    install(&cluster);
    let namespace = cluster.namespace("attach-author");
    allow(&namespace, &cluster);
    let who = breaker_of_pods(&cluster, &namespace);
    for fault in [
        json!({ "apiDeny": { "resources": ["pods"] } }),
        json!({ "provisionBlock": {} }),
        json!({ "snapshotBlock": {} }),
        json!({ "schedulingBlock": {} }),
        json!({ "volumeAttachBlock": { "members": { "ordinals": [0] } } }),
    ] {
        let mut written = experiment("denies");
        written["spec"]["steps"][0] = json!({ "name": "deny", "for": "10s", "fault": fault });
        let told = who.create(namespace.name(), &written).expect_err("this must not be allowed");
        assert!(told.contains("may not make admission policies"), "{fault}: {told}");
    }
    eventually("what makes no policy is taken", PATIENCE, || {
        who.create(namespace.name(), &experiment("kill")).ok()
    });
}

#[test]
fn etcd_scheduling_block_passes_and_leaves_nothing() {
    let cluster = Cluster::installed();
    let journal = passes(&cluster, "attach-scheduling", "experiments/etcd/scheduling-block.yaml");
    assert!(was_felt(&journal), "the pod that was lost was denied");
}

#[test]
fn etcd_snapshot_block_passes_and_leaves_nothing() {
    let cluster = Cluster::installed();
    let journal = passes(&cluster, "attach-snapshots", "experiments/etcd/snapshot-block.yaml");
    assert!(journal.contains("dry runs are denied by seatrial-"), "the proof is on record");
    assert!(journal.contains("of claim data-etcd-0 was ready to use after"), "one could be taken afterwards");
}

/// Snapshots that nobody can take in time, and a restore that takes longer than it may.
#[test]
fn what_is_promised_of_snapshots_is_seen_broken() {
    let cluster = Cluster::installed();
    let file = "experiments/etcd/snapshot-block.yaml";
    let scene = Scene::of(&cluster, "attach-backups", file);
    let _agreed = Agreement::give(&scene, "seatrial-runner-admission");
    let denied =
        "\n    - {name: denied, at: 4s, for: 3s, action: {takeSnapshot: {members: {ordinals: [1]}}}}";
    let broken = scene.run(
        "broken",
        file,
        &[
            ("fault: {snapshotBlock: {}}", &format!("fault: {{snapshotBlock: {{}}}}{denied}")),
            ("always: {max: 2m}", "always: {max: 1ms}"),
        ],
    );
    let broken = broken.exits(10);
    assert!(broken.out.contains("snapshotSuccess: 50 %"), "{}", broken.out);
    assert!(broken.out.contains("restoreTime: "), "{}", broken.out);
    assert!(broken.out.contains("allowed 1 ms"), "{}", broken.out);
    scene.nothing_is_left();
}

#[test]
fn workers_provision_block_passes_and_leaves_nothing() {
    let cluster = Cluster::installed();
    let journal = passes(&cluster, "attach-provision", "experiments/workers/provision-block.yaml");
    assert!(was_felt(&journal), "the claim of the new member was denied");
}

/// Whether a journal says that creations were denied for real, when that was over.
fn was_felt(journal: &str) -> bool {
    journal.contains(" for real, as events tell") && !journal.contains("denied 0 creations for real")
}

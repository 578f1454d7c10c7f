//! Claims that are deleted: with their pod, under it, and by whom not.

use seatrial::api::{ApiFault, DisruptionBudgets, InjectionSpec, InjectionState, PodRef};

use crate::cluster_attach::{backup, set_up};
use crate::cluster_faults::{LONG, Runner, spec, words};
use crate::cluster_fixture::{Cluster, Held, PATIENCE, eventually};
use crate::cluster_run_fixture::{Scene, shipped_name};
use crate::e2e_fixture::text_of;
use crate::gallery;

const CLAIM_LOST: &str = "experiments/workers/claim-lost.yaml";
const ROLE: &str = "seatrial-runner-claims";

fn agree(scene: &Scene<'_>) {
    let to = format!("--serviceaccount={}:seatrial-runner", scene.namespace.name());
    scene.namespace.kubectl(["create", "rolebinding", ROLE, &format!("--clusterrole={ROLE}"), &to]);
}

/// The UIDs of a member's claim and pod.
fn uids(scene: &Scene<'_>, ordinal: u32) -> [String; 2] {
    [format!("pvc/data-workers-{ordinal}"), format!("pod/workers-{ordinal}")]
        .map(|object| scene.namespace.kubectl(["get", &object, "--output=jsonpath={.metadata.uid}"]))
}

fn is_being_deleted(scene: &Scene<'_>, claim: &str) -> bool {
    let path = "--output=jsonpath={.metadata.deletionTimestamp}";
    !scene.namespace.kubectl(["get", "pvc", claim, path]).is_empty()
}

#[test]
fn a_claim_is_lost_with_its_pod_where_that_is_allowed_and_the_member_comes_back_empty() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "claims-lost", CLAIM_LOST);
    let before = [0, 1, 2].map(|ordinal| uids(&scene, ordinal));
    let how = "kubectl create rolebinding seatrial-runner-claims --namespace=";
    let refused = scene.run("unasked", CLAIM_LOST, &[]);
    assert_ne!(refused.code, Some(0));
    refused.says("step lose-claim: ").says(how);
    scene.seatrial(&["preflight", "unasked.yaml"]).exits(22).says(how).says("destroys data");
    assert_eq!([0, 1, 2].map(|ordinal| uids(&scene, ordinal)), before, "nothing is deleted");

    agree(&scene);
    let name = shipped_name(CLAIM_LOST);
    let done = scene.run(&name, CLAIM_LOST, &[]).exits(0);
    done.says("warning: step lose-claim destroys data: claimDelete deletes claims");
    let after = [0, 1, 2].map(|ordinal| uids(&scene, ordinal));
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]), "nobody else is touched");
    assert!(after[1].iter().zip(&before[1]).all(|(after, before)| after != before), "{after:?}");
    gallery::show(CLAIM_LOST, &scene.path(&name));
    let journal = text_of(&scene.path(&name).join("journal.jsonl"));
    assert!(journal.contains("pod workers-1 is terminating or gone"), "the proof");
    scene.nothing_is_left();
}

#[test]
fn a_claim_that_is_deleted_under_its_pod_is_kept_as_long_as_that_runs_and_counts_as_lost() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "claims-under", CLAIM_LOST);
    agree(&scene);
    let before = uids(&scene, 1);
    let changes = [("withPod: true, ", ""), ("always: {max: 1}", "always: {max: 0}")];
    scene.run("under", CLAIM_LOST, &changes).exits(10).says("claim data-workers-1 was deleted");
    assert_eq!(uids(&scene, 1), before, "the pod has its claim");
    assert!(is_being_deleted(&scene, "data-workers-1"));
    let journal = text_of(&scene.path("under").join("journal.jsonl"));
    assert!(journal.contains("claim data-workers-1 is terminating, and goes when its pod ends"), "the proof");
    scene.nothing_is_left();
}

#[test]
fn nobody_destroys_who_did_not_say_so_and_whoever_applies_the_file_is_warned() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "claims-said", CLAIM_LOST);
    agree(&scene);
    let before = uids(&scene, 1);
    let unsaid = [("destroysData: true", "destroysData: false")];
    scene.run("unsaid", CLAIM_LOST, &unsaid).exits(20).says("write destroysData: true if that is meant");
    warned(&cluster, &scene);
    assert_eq!(uids(&scene, 1), before);
    scene.nothing_is_left();
}

#[test]
fn nothing_is_deleted_where_the_pod_may_not_go_or_another_one_uses_a_claim() {
    let cluster = Cluster::shared();
    let namespace = set_up(&cluster, "claims-kept");
    let runner = Runner::in_pod(&cluster, &namespace, None);
    let field =
        |what: &str, path: &str| namespace.kubectl(["get", what, &format!("--output=jsonpath={{{path}}}")]);
    let lose = |step: &str, budgets| {
        let uid = field("pod/db-1", ".metadata.uid");
        let pod = PodRef { name: "db-1".into(), ordinal: 1, uid, node: String::new() };
        let fault = ApiFault::DeleteClaims { claims: Vec::new(), with_pod: true, budgets };
        InjectionSpec { pod, ..spec(&namespace, step, fault, LONG) }
    };
    let uids = || ["pod/db-1", "pvc/data-db-1", "pvc/log-db-1"].map(|what| field(what, ".metadata.uid"));
    let before = uids();
    let is_untouched = || {
        assert_eq!(uids(), before);
        for claim in ["pvc/data-db-1", "pvc/log-db-1"] {
            assert_eq!(field(claim, ".metadata.deletionTimestamp"), "", "{claim}");
        }
    };
    namespace.kubectl(["create", "poddisruptionbudget", "db", "--selector=app=db", "--min-available=3"]);
    eventually("the budget is counted", PATIENCE, || {
        (field("pdb/db", ".status.currentHealthy") == "3").then_some(())
    });
    runner.put(&lose("budget", DisruptionBudgets::Respect));
    let refused = runner.wait(InjectionState::Failed).error.unwrap_or_default();
    assert!(
        refused.contains("the pod may not be evicted") && refused.contains("disruption budget"),
        "{refused}"
    );
    is_untouched();

    namespace.apply(&backup(&field("pod/db-1", ".spec.nodeName"), "log-db-1"));
    runner.put(&lose("shared", DisruptionBudgets::Ignore));
    let refused = runner.wait(InjectionState::Failed).error.unwrap_or_default();
    assert!(refused.contains("claim log-db-1 is used by pod backup as well"), "{refused}");
    is_untouched();

    namespace.kubectl(["delete", "pod", "backup", "--now"]);
    runner.put(&lose("ignored", DisruptionBudgets::Ignore));
    let proof = words(&runner.wait(InjectionState::Injected));
    assert!(proof.contains("claim data-db-1 is ") && proof.contains("claim log-db-1 is "), "{proof}");
    eventually("the member is another one, with other claims", PATIENCE, || {
        let now = ["pod/db-1", "pvc/data-db-1", "pvc/log-db-1"].map(|what| {
            let asked = ["get", what, "--namespace", namespace.name(), "--output=jsonpath={.metadata.uid}"];
            cluster.try_kubectl(asked).unwrap_or_default()
        });
        now.iter().zip(&before).all(|(now, before)| !now.is_empty() && now != before).then_some(())
    });
}

/// Whoever applies the file by hand hears of it from the API server.
fn warned(cluster: &Held, scene: &Scene<'_>) {
    let name = scene.namespace.name();
    let apply =
        ["create", "--namespace", name, "--dry-run=server", "--warnings-as-errors", "--filename", CLAIM_LOST];
    let told = cluster.try_kubectl(apply).expect_err("a warning is an error here");
    assert!(told.contains("this Experiment destroys data"), "{told}");
}

//! Claims that are deleted: with their pod, under it, and by whom not.

use crate::cluster_fixture::{Cluster, Held};
use crate::cluster_run_fixture::Scene;

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
    let done = scene.run("agreed", CLAIM_LOST, &[]).exits(0);
    done.says("warning: step lose-claim destroys data: claimDelete deletes claims");
    let after = [0, 1, 2].map(|ordinal| uids(&scene, ordinal));
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]), "nobody else is touched");
    assert!(after[1].iter().zip(&before[1]).all(|(after, before)| after != before), "{after:?}");
    let journal = scene.journal("agreed");
    assert!(journal.contains("claim data-workers-1 is another one now, with an empty volume"), "the proof");
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
    let journal = scene.journal("under");
    assert!(journal.contains("claim data-workers-1 is terminating, and goes when its pod ends"), "the proof");
    scene.nothing_is_left();
}

#[test]
fn no_claim_is_deleted_whose_pod_a_budget_keeps_and_none_by_who_did_not_say_so() {
    let cluster = Cluster::installed();
    let scene = Scene::of(&cluster, "claims-kept", CLAIM_LOST);
    agree(&scene);
    let before = uids(&scene, 1);
    let unsaid = [("destroysData: true", "destroysData: false")];
    scene.run("unsaid", CLAIM_LOST, &unsaid).exits(20).says("write destroysData: true if that is meant");
    warned(&cluster, &scene);
    scene.namespace.kubectl([
        "create",
        "poddisruptionbudget",
        "all",
        "--selector=app=workers",
        "--min-available=3",
    ]);
    let kept = scene.run("kept", CLAIM_LOST, &[]);
    assert_ne!(kept.code, Some(0));
    kept.says("disruption budget");
    assert_eq!(uids(&scene, 1), before);
    assert!(!is_being_deleted(&scene, "data-workers-1"), "nothing is done by halves");
    scene.nothing_is_left();
}

/// Whoever applies the file by hand hears of it from the API server.
fn warned(cluster: &Held, scene: &Scene<'_>) {
    let name = scene.namespace.name();
    let apply =
        ["create", "--namespace", name, "--dry-run=server", "--warnings-as-errors", "--filename", CLAIM_LOST];
    let told = cluster.try_kubectl(apply).expect_err("a warning is an error here");
    assert!(told.contains("this Experiment destroys data"), "{told}");
}

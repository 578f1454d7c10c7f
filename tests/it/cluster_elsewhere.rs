//! Steps that act on another StatefulSet than the one that is judged, in a real cluster: `db` depends on `keeper`, as far as
//! anybody asks.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster_fixture::{Cluster, PATIENCE};
use crate::cluster_whole_fixture::Whole;
use crate::node_fixture::eventually;

/// How long it may take until everything is taken back, on a machine that is busy.
const SOON: Duration = Duration::from_secs(30);

fn db() -> Value {
    json!({ "statefulSet": "db" })
}

fn pause(ordinals: &[u32], lasting: &str) -> Value {
    json!([{ "name": "lost", "target": {"statefulSet": "keeper", "container": "keeper"}, "for": lasting,
             "fault": {"processPause": {"members": {"ordinals": ordinals}}} }])
}

/// Every member of `db` is there all the time.
fn untouched() -> Value {
    json!({ "hypothesis": [{"name": "db does without", "sli": {"podAvailability": {}},
                            "always": {"min": "100%", "excludeFaulted": true}}] })
}

fn with_keeper<'a>(cluster: &'a crate::cluster_fixture::Held, purpose: &str) -> Whole<'a> {
    let whole = Whole::with_members(cluster, purpose, "");
    whole.add_members("keeper");
    whole
}

/// The names of the Leases of targets that are held.
fn held(whole: &Whole<'_>) -> String {
    let names = "--output=jsonpath={.items[*].metadata.name}";
    whole.kubectl(["get", "leases", "--selector=seatrial.dev/target", names])
}

/// The UIDs of a set's pods.
fn uids(whole: &Whole<'_>, set: &str) -> Vec<String> {
    let selector = format!("--selector=app={set}");
    let told = whole.kubectl(["get", "pods", &selector, "--output=jsonpath={.items[*].metadata.uid}"]);
    told.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_target_is_judged_while_another_set_loses_members() {
    let cluster = Cluster::shared();
    let whole = with_keeper(&cluster, "elsewhere");
    let before = (uids(&whole, "db"), uids(&whole, "keeper"));
    let mut steps = pause(&[1], "5s");
    let more = json!([
        { "name": "cut", "after": "lost", "for": "5s", "target": {"statefulSet": "keeper"},
          "fault": {"networkPartition": {"isolate": {"ordinals": [0]}}} },
        { "name": "gone", "after": "cut", "target": {"statefulSet": "keeper"},
          "fault": {"podKill": {"members": {"ordinals": [2]}, "mode": "graceful"}} },
        { "name": "roll", "after": "gone", "target": {"statefulSet": "keeper"}, "action": {"rolloutRestart": {}} },
    ]);
    let (steps_list, more) = (steps.as_array_mut().expect("steps"), more.as_array().expect("steps"));
    steps_list.extend(more.iter().cloned());
    whole.create_with("loss", &db(), &steps, &json!({}), &untouched());
    whole.wait_in_force("loss", 1);
    assert_eq!(held(&whole), "seatrial-target-db seatrial-target-keeper");
    let said = whole.status("loss");
    assert_eq!(said["fault"], "lost on keeper-1", "{said:#}");
    let status = whole.wait_complete("loss");
    assert_eq!(status["verdict"], "Pass", "{status:#}\n{}", whole.scene.logs());
    whole
        .seatrial(&["judge", "loss", "--on", "kubernetes"])
        .exits(0)
        .says("lost: processPause on keeper-1")
        .says("cut: networkPartition on keeper-0")
        .says("gone: podKill on keeper-2")
        .says("roll: rolloutRestart on StatefulSet keeper");
    let after = (uids(&whole, "db"), uids(&whole, "keeper"));
    assert_eq!(before.0, after.0, "no pod of the target was touched");
    assert!(before.1.iter().all(|uid| !after.1.contains(uid)), "every pod of the other was restarted");
    whole.wait_clean(SOON);
    let events = whole.kubectl([
        "get",
        "events",
        "--output=jsonpath={range .items[*]}{.involvedObject.name} {.reason}{\"\\n\"}{end}",
    ]);
    assert!(events.contains("keeper Started") && events.contains("keeper Judged"), "{events}");
}

#[test]
fn a_majority_of_the_other_set_is_kept() {
    let cluster = Cluster::shared();
    let whole = with_keeper(&cluster, "elsewhere-guard");
    whole.create("two", &db(), &pause(&[0, 1], "20s"), &json!({}));
    let status = whole.wait_complete("two");
    assert_ne!(status["verdict"], "Pass", "{status:#}");
    let refused = "3 voters, this takes 2 (keeper-0, keeper-1): 1 of 3 left, a majority is 2";
    whole.seatrial(&["judge", "two", "--on", "kubernetes"]).exits(21).says(refused);
    let file = whole.file("two");
    whole.seatrial(&["preflight", &file]).says(refused);
    // Who is away already counts as well: nothing begins before the other set is whole.
    whole.make_unready("keeper-2");
    whole.create("waits", &db(), &pause(&[0], "5s"), &json!({}));
    whole.wait_for_phase("waits", "Preflight");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(whole.status("waits")["phase"], "Preflight");
    whole.make_ready("keeper-2");
    let status = whole.wait_complete("waits");
    assert_eq!(status["verdict"], "Pass", "{status:#}\n{}", whole.scene.logs());
    // And one that goes down as well while the fault is there ends it.
    whole.create("while", &db(), &pause(&[0], "5m"), &json!({}));
    whole.wait_in_force("while", 1);
    whole.make_unready("keeper-2");
    let status = whole.wait_complete("while");
    assert_eq!(status["verdict"], "Aborted", "{status:#}");
    let said = status["message"].to_string();
    assert!(said.contains("1 already down (keeper-2: not ready)") && said.contains("(keeper-0)"), "{said}");
    whole.wait_clean(SOON);
}

#[test]
fn whoever_breaks_the_other_set_keeps_it_for_itself() {
    let cluster = Cluster::shared();
    let whole = with_keeper(&cluster, "elsewhere-lease");
    let own =
        json!([{ "name": "own", "for": "5m", "fault": {"processPause": {"members": {"ordinals": [0]}}} }]);
    whole.create("first", &json!({ "statefulSet": "keeper" }), &own, &json!({}));
    whole.wait_in_force("first", 1);
    whole.create("second", &db(), &pause(&[1], "5s"), &json!({}));
    let waiting = whole.wait_for_phase("second", "Waiting");
    let said = waiting["message"].to_string();
    assert!(said.contains("keeper is being broken by Experiment first"), "{said}");
    assert_eq!(held(&whole), "seatrial-target-keeper", "it holds nothing while it waits");
    // So that another one may break the target meanwhile.
    let own =
        json!([{ "name": "own", "for": "2s", "fault": {"processPause": {"members": {"ordinals": [0]}}} }]);
    whole.create("third", &db(), &own, &json!({}));
    eventually("the third waits behind the second, which was there before", PATIENCE, || {
        let said = whole.status("third")["message"].to_string();
        said.contains("Experiment second waits for db too").then_some(())
    });
    whole.kubectl(["annotate", "experiment", "first", "seatrial.dev/abort=enough"]);
    for name in ["second", "third"] {
        let status = whole.wait_complete(name);
        assert_eq!(status["verdict"], "Pass", "{name}: {status:#}\n{}", whole.scene.logs());
    }
    whole.wait_clean(SOON);
}

/// As it is left by a controller that was killed before it had made the runner.
#[test]
fn who_has_its_target_already_does_not_wait_for_who_was_there_before() {
    let cluster = Cluster::shared();
    let whole = with_keeper(&cluster, "elsewhere-had");
    let own = |lasting: &str| {
        let fault = json!({ "processPause": {"members": {"ordinals": [0]}} });
        json!([{ "name": "own", "for": lasting, "fault": fault }])
    };
    whole.create("first", &json!({ "statefulSet": "keeper" }), &own("5m"), &json!({}));
    whole.wait_in_force("first", 1);
    whole.create("second", &db(), &pause(&[1], "5s"), &json!({}));
    whole.wait_for_phase("second", "Waiting");
    whole.create("third", &db(), &own("2s"), &json!({}));
    let run = whole.wait_for_phase("third", "Waiting")["run"].as_str().expect("named").to_owned();
    let uid = whole.kubectl(["get", "experiment", "third", "--output=jsonpath={.metadata.uid}"]);
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": "seatrial-target-db",
            "labels": {"seatrial.dev/run": run, "seatrial.dev/target": "db"},
            "annotations": {"seatrial.dev/experiment": "third", "seatrial.dev/experiment-uid": uid},
        },
        "spec": {"holderIdentity": run},
    });
    whole.scene.namespace.apply(&lease.to_string());
    let status = whole.wait_complete("third");
    assert_eq!(status["verdict"], "Pass", "{status:#}\n{}", whole.scene.logs());
    assert_eq!(whole.status("second")["phase"], "Waiting");
    whole.kubectl(["annotate", "experiment", "first", "seatrial.dev/abort=enough"]);
    let status = whole.wait_complete("second");
    assert_eq!(status["verdict"], "Pass", "{status:#}\n{}", whole.scene.logs());
    whole.wait_clean(SOON);
}

#[test]
fn what_there_is_not_is_refused_with_what_there_is() {
    let cluster = Cluster::shared();
    let whole = with_keeper(&cluster, "elsewhere-absent");
    let mut wrong = pause(&[0], "5s");
    wrong[0]["target"]["container"] = "sidecar".into();
    whole.create("wrong", &db(), &wrong, &json!({}));
    let status = whole.wait_complete("wrong");
    assert_eq!(status["phase"], "Refused", "{status:#}");
    let said = status["message"].to_string();
    assert!(said.contains("`keeper` has no container `sidecar`: it has `keeper`"), "{said}");
    let mut absent = pause(&[0], "5s");
    absent[0]["target"] = json!({"statefulSet": "kepeer"});
    whole.create("absent", &db(), &absent, &json!({}));
    let words = "there is no StatefulSet `kepeer`: did you mean `keeper`? There are `keeper`";
    let file = whole.file("absent");
    whole.seatrial(&["preflight", &file]).exits(20).says(words);
    whole.seatrial(&["run", &file, "--on", "kubernetes", "--yes"]).exits(20).says(words);
    // One that is applied along may come a moment later.
    let waiting = whole.wait_for_phase("absent", "Waiting");
    assert!(waiting["message"].to_string().contains("there is no StatefulSet kepeer"), "{waiting:#}");
    let status = whole.wait_complete("absent");
    assert_eq!(status["phase"], "Refused", "{status:#}");
    assert!(status["message"].to_string().contains(words), "{status:#}");
}

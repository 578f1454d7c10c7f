//! The guards against a real cluster: each test tries to take more than the group can lose.

use std::time::Duration;

use seatrial::api::{HostFault, InjectionState};
use serde_json::{Value, json};

use crate::cluster_fixture::{Cluster, PATIENCE};
use crate::cluster_whole_fixture::Whole;
use crate::node_fixture::eventually;

const LONG: Duration = Duration::from_mins(5);
/// How long it may take until everything is taken back, on a machine that is busy.
const SOON: Duration = Duration::from_secs(30);

fn set() -> Value {
    json!({ "statefulSet": "db" })
}

fn pause(ordinal: u32, at: &str, lasting: &str) -> Value {
    json!([{ "name": "pause", "at": at, "for": lasting, "fault": {"processPause": {"members": {"ordinals": [ordinal]}}} }])
}

/// The verdict's own words; it must be none that passes.
fn end_of(whole: &Whole<'_>, name: &str, verdict: &str) -> String {
    let status = whole.wait_complete(name);
    assert_eq!(status["verdict"], verdict, "{status:#}");
    status["message"].as_str().expect("a message").to_owned()
}

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

#[test]
fn a_member_that_is_not_ready_counts_before_a_step() {
    let cluster = Cluster::shared();
    let whole = Whole::with_members(&cluster, "guard-before", "");
    // Time for a member to be seen as not ready before the step.
    whole.create("before", &set(), &pause(0, "30s", "20s"), &json!({}));
    whole.wait_for_phase("before", "Faulting");
    whole.make_unready("db-2");
    let status = whole.wait_complete("before");
    assert_ne!(status["verdict"], "Pass", "{status:#}");
    whole.seatrial(&["judge", "before", "--on", "kubernetes"]).exits(21).says(
        "3 voters, 1 already down (db-2: not ready), this takes 1 (db-0): 1 of 3 left, a majority is 2",
    );
    assert_says(&status["message"].to_string(), &["db-2: not ready", "spec.guards.allowQuorumLoss: true"]);
    whole.wait_clean(SOON);
}

#[test]
fn an_untouched_member_that_goes_down_as_well_ends_the_fault() {
    let cluster = Cluster::shared();
    let whole = Whole::with_members(&cluster, "guard-while", "");
    whole.create("while", &set(), &pause(0, "0s", "5m"), &json!({}));
    whole.wait_in_force("while", 1);
    whole.make_unready("db-2");
    let said = end_of(&whole, "while", "Aborted");
    assert_says(
        &said,
        &["the fault leaves no quorum any more", "1 already down (db-2: not ready)", "(db-0)"],
    );
    whole.wait_clean(SOON);
    whole.seatrial(&["judge", "while", "--on", "kubernetes"]).exits(12);
}

#[test]
fn what_another_experiment_does_to_the_same_pods_counts() {
    let cluster = Cluster::shared();
    let whole = Whole::with_members(&cluster, "guard-others", "");
    // The same pods by another name: another Lease, so nothing but the guard keeps the two apart.
    let pods = json!({ "pods": {"selector": {"matchLabels": {"app": "db"}}} });
    let cut = json!([{ "name": "cut", "for": "5m", "fault": {"networkPartition": {"isolate": {"ordinals": [1]}}} }]);
    whole.create("first", &pods, &cut, &json!({}));
    let first = whole.wait_in_force("first", 3);
    whole.create("second", &set(), &pause(0, "0s", "20s"), &json!({}));
    let status = whole.wait_complete("second");
    let cut = format!("4 links cut by Injection {first}.cut.0.1");
    let left = "this takes 1 (db-0): at most 1 of 3 reach one leader both ways";
    whole.seatrial(&["judge", "second", "--on", "kubernetes"]).exits(21).says(&cut).says(left);
    assert_says(&status["message"].to_string(), &[&cut, left]);
    assert_eq!(whole.status("first")["phase"], "Faulting", "whoever was there first goes on");
    // Somebody who does not ask a guard: the fault that is there is taken back.
    whole.scene.inject("foreign", "db-2", HostFault::Pause {}, LONG);
    let said = end_of(&whole, "first", "Aborted");
    assert_says(&said, &["the fault leaves no quorum any more", "1 held down (db-2) by Injection foreign"]);
    let foreign = whole.scene.await_state("foreign", InjectionState::Injected);
    assert!(foreign.proof.is_some_and(|proof| proof.holds), "what is another's is left alone");
    whole.kubectl(["delete", "injection", "foreign"]);
    whole.wait_clean(SOON);
}

/// A node that a run takes away says so itself; its Injection is in a namespace that this runner cannot read.
struct Marked<'a> {
    cluster: &'a Cluster,
    node: String,
}

impl<'a> Marked<'a> {
    fn as_taken_away(cluster: &'a Cluster, node: &str) -> Self {
        let soon = jiff::Timestamp::now() + Duration::from_mins(10);
        let undo =
            json!({"run": "elsewhere", "injection": "elsewhere.down.0.0", "deadline": soon, "patch": {}});
        let marks = json!({"metadata": {
            "labels": {"seatrial.dev/run": "elsewhere"},
            "annotations": {"seatrial.dev/undo": undo.to_string()},
        }});
        cluster.kubectl(["patch", "node", node, "--type=merge", "--patch", &marks.to_string()]);
        Self { cluster, node: node.into() }
    }
}

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        let _ = self.cluster.try_kubectl(["label", "node", &self.node, "seatrial.dev/run-"]);
        let _ = self.cluster.try_kubectl(["annotate", "node", &self.node, "seatrial.dev/undo-"]);
    }
}

#[test]
fn a_node_that_a_run_of_another_namespace_takes_away_counts() {
    // The mark would be counted by every run of which a member is on that node.
    let cluster = Cluster::exclusive();
    let whole = Whole::with_members(&cluster, "guard-node", "");
    let node = whole.kubectl(["get", "pod", "db-1", "--output=jsonpath={.spec.nodeName}"]);
    let marked = Marked::as_taken_away(&cluster, &node);
    whole.create("beside", &set(), &pause(0, "0s", "20s"), &json!({}));
    let said = end_of(&whole, "beside", "Inconclusive");
    assert_says(&said, &["(db-1) by Injection elsewhere.down.0.0", "a majority is 2"]);
    drop(marked);
    whole.wait_clean(SOON);
}

fn budget(whole: &Whole<'_>, wants: u32) {
    whole.scene.namespace.apply(&format!(
        "{{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {{name: keep}}, \
          spec: {{minAvailable: {wants}, selector: {{matchLabels: {{app: db}}}}}}}}"
    ));
    eventually("the budget is counted", PATIENCE, || {
        let path = "--output=jsonpath={.status.desiredHealthy} {.status.currentHealthy}";
        (whole.kubectl(["get", "pdb", "keep", path]) == format!("{wants} 3")).then_some(())
    });
}

#[test]
fn a_disruption_budget_is_kept_unless_the_step_ignores_it() {
    let cluster = Cluster::shared();
    let whole = Whole::with_members(&cluster, "guard-budget", "");
    budget(&whole, 3);
    let refused = "3 pods under PodDisruptionBudget keep, this takes 1 (db-0): 2 of 3 left, the budget wants 3; \
                   budgets: ignore in the step allows it";
    whole.create("kept", &set(), &pause(0, "0s", "10s"), &json!({"allowQuorumLoss": true}));
    let status = whole.wait_complete("kept");
    whole.seatrial(&["judge", "kept", "--on", "kubernetes"]).exits(21);
    assert_says(&status["message"].to_string(), &[refused]);
    let mut ignoring = pause(0, "0s", "5s");
    ignoring[0]["budgets"] = "ignore".into();
    whole.create("ignored", &set(), &ignoring, &json!({}));
    end_of(&whole, "ignored", "Pass");
    // A budget is the plain answer where no store is named: two of three may go where it wants one.
    budget(&whole, 1);
    let two = json!([{ "name": "pause", "for": "5m", "fault": {"processPause": {"members": {"ordinals": [0, 1]}}} }]);
    whole.create("meanwhile", &set(), &two, &json!({}));
    whole.wait_in_force("meanwhile", 2);
    whole.make_unready("db-2");
    let said = end_of(&whole, "meanwhile", "Aborted");
    assert_says(
        &said,
        &["the fault leaves less than PodDisruptionBudget keep wants", "1 already down (db-2"],
    );
    whole.make_ready("db-2");
    whole.wait_clean(SOON);
}

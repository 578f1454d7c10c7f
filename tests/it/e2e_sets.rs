//! Experiments over files with several StatefulSets, as a person runs them.

use crate::e2e_fixture::{Desk, Seat, patient_quickstart_with};
use crate::e2e_recorded::{all_reverted, claim, report_in};

/// A set that stands before the target's in the same file.
const KEEPER: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: keeper}
spec: {clusterIP: None, selector: {app: keeper}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: keeper}
spec:
  serviceName: keeper
  replicas: 2
  selector: {matchLabels: {app: keeper}}
  template:
    metadata: {labels: {app: keeper}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: keeper
          image: busybox
          command: [sh, -c, 'echo I am $HOSTNAME; while :; do sleep 0.1; done']
          readinessProbe: {exec: {command: ['true']}, periodSeconds: 1}
---
";

/// The quickstart with a shorter fault, and with a second StatefulSet before its own.
fn two_sets() -> String {
    let quickstart = patient_quickstart_with(&[("for: 8s", "for: 3s")]);
    quickstart.replacen("---\n", KEEPER.trim_start(), 1)
}

#[test]
fn a_step_breaks_the_set_beside_within_its_own_quorum_and_is_not_taken_for_one_on_the_target() {
    let desk = Desk::new();
    let pause = "target: {statefulSet: keeper}\n      fault: {processPause: {members: {ordinals: [1]}}}";
    let text = two_sets().replace("fault: {networkPartition: {isolate: {role: leader}}}", pause);
    desk.write("two.yaml", &text);
    desk.run(&["plan", "two.yaml"]).exits(21).says("2 voters, this takes 1 (keeper-1)");
    desk.write("three.yaml", text.replace("replicas: 2", "replicas: 3"));
    desk.run(&["plan", "three.yaml"]).exits(0).says("hits   keeper-1");
    desk.write("absent.yaml", text.replace("{statefulSet: keeper}", "{statefulSet: keper}"));
    desk.run(&["validate", "absent.yaml"])
        .exits(20)
        .says("spec.steps[0].target.statefulSet: there is no StatefulSet `keper`: did you mean `keeper`?");
    let _seat = Seat::take();
    let done = desk.run(&["run", "three.yaml", "--seed", "7", "--out", "out"]).exits(0);
    assert!(done.out.starts_with("PASS") && done.out.contains("processPause on keeper-1"), "{}", done.out);
    let report = report_in(&desk.path("out"));
    assert_eq!(claim(&report, "quorum")["verdict"], "Pass", "{}", done.out);
    assert_eq!(report["steps"][0]["set"], "keeper", "{report:#}");
    all_reverted(&desk.path("out"));
}

#[test]
fn a_kept_sandbox_has_all_sets_and_a_run_in_it_is_about_one() {
    let desk = Desk::new();
    desk.write("x.yaml", two_sets());
    let text = two_sets();
    let (experiment, _) = text.split_once("---\n").expect("the experiment is its first document");
    desk.write("experiment.yaml", experiment);
    desk.write("other.yaml", experiment.replace("statefulSet: refkv", "statefulSet: kafka"));
    let _seat = Seat::take();
    desk.run(&["sandbox", "up", "x.yaml", "--name", "two"]).exits(0).says("two");
    desk.run(&["sandbox", "ls"]).exits(0).says("keeper, refkv");
    desk.run(&["run", "other.yaml", "--sandbox", "two"])
        .exits(20)
        .says("there is no StatefulSet `kafka`: the manifest has `keeper`, `refkv`");
    let done = desk.run(&["run", "experiment.yaml", "--sandbox", "two", "--seed", "7", "--out", "out"]);
    let done = done.exits(0).says("hint: journal and reports are in").says("; logs stay in ");
    assert!(done.out.starts_with("PASS"), "{}", done.out);
    desk.run(&["revert", "two"]).exits(0);
    desk.run(&["sandbox", "down", "two"]).exits(0);
    assert!(!desk.state().join("sandboxes/two").exists());
}

#[test]
fn an_experiment_that_names_none_of_several_sets_is_refused_with_their_names() {
    let desk = Desk::new();
    desk.write("x.yaml", two_sets().replace("statefulSet: refkv", "statefulSet: kafka"));
    for command in [["validate", "x.yaml"], ["plan", "x.yaml"], ["run", "x.yaml"]] {
        desk.run(&command).exits(20).says(
            "spec.target.statefulSet: there is no StatefulSet `kafka`: the manifest has `keeper`, `refkv`",
        );
    }
}

#[test]
fn a_first_experiment_is_written_for_the_set_that_is_meant() {
    let desk = Desk::new();
    let text = two_sets();
    let (_, sets) = text.split_once("---\n").expect("the experiment is its first document");
    desk.write("sets.yaml", sets);
    desk.run(&["init", "sets.yaml"]).exits(0).says("statefulSet: keeper");
    desk.run(&["init", "sets.yaml", "--set", "refkv"]).exits(0).says("statefulSet: refkv");
    desk.run(&["init", "sets.yaml", "--set", "kafka"])
        .exits(2)
        .says("holds no StatefulSet `kafka`: it has `keeper`, `refkv`");
}

/// A whole run more: `make test-long`.
mod long {
    use super::*;

    #[test]
    fn an_experiment_is_about_the_set_that_it_names_and_the_other_one_runs_beside_it() {
        let desk = Desk::new();
        desk.write("x.yaml", two_sets());
        desk.run(&["validate", "x.yaml"]).exits(0).says("against StatefulSet refkv, beside keeper");
        desk.run(&["plan", "x.yaml"]).exits(0).says("refkv");
        let _seat = Seat::take();
        let done = desk.run(&["run", "x.yaml", "--seed", "7", "--out", "out"]).exits(0);
        assert!(done.out.starts_with("PASS"), "{}", done.out);
        let report = report_in(&desk.path("out"));
        assert_eq!(claim(&report, "quorum")["verdict"], "Pass", "{}", done.out);
        for pod in ["keeper-0", "keeper-1"] {
            let log = std::fs::read_to_string(desk.path("out/logs").join(pod).join("keeper.log"));
            assert!(log.as_ref().is_ok_and(|log| log.contains(&format!("I am {pod}"))), "{log:?}");
        }
        let left = std::fs::read_dir(desk.state().join("sandboxes")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "nothing is left of the sandbox");
    }
}

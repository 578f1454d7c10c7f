//! Steps that act on another StatefulSet or another container.

use super::*;

/// The good one, with a further step.
fn with(step: &str) -> String {
    GOOD.replace("  hypothesis:", &format!("    - {step}\n  hypothesis:"))
}

/// A step that loses ordinal 0 of zookeeper, with `target` as it is written.
fn losing(target: &str) -> String {
    with(&format!(
        "{{name: lost, at: 1m, for: 10s, target: {target}, fault: {{processPause: {{members: {{ordinals: [0]}}}}}}}}"
    ))
}

fn zookeeper() -> TargetFacts {
    let facts = facts();
    TargetFacts {
        name: "zookeeper".into(),
        containers: vec!["zk".into()],
        replicas: 5,
        claims: Vec::new(),
        ..facts
    }
}

fn unfit(text: &str) -> Vec<String> {
    let parsed = document(text);
    let others = [zookeeper(), TargetFacts { name: "web".into(), ..zookeeper() }];
    let found = against_target(&parsed, &experiment(&parsed).unwrap(), &facts(), Some(&others));
    found.err().into_iter().flatten().map(|problem| problem.to_string()).collect()
}

#[track_caller]
fn one(found: &[String], place: &str, words: &str) {
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains(place) && found[0].contains(words), "{}", found[0]);
}

#[test]
fn refuses_names_that_no_set_can_have() {
    let words =
        |name: &str| format!("`{name}` cannot be the name of a StatefulSet: write lower-case letters");
    for name in ["Zoo Keeper/../x", "etcd_0", "-etcd", "etcd-", "a..b", "", &"a".repeat(254)] {
        let own = GOOD.replace("statefulSet: etcd\n", &format!("statefulSet: \"{name}\"\n"));
        one(&problems(&own), "x.yaml:6:18: spec.target.statefulSet: ", &words(name));
    }
    let found = problems(&losing("{statefulSet: Zookeeper}"));
    one(&found, "spec.steps[1].target.statefulSet: ", &words("Zookeeper"));
    assert!(found[0].contains("for example statefulSet: etcd"), "{}", found[0]);
    for name in ["a", "0", "my.etcd-2", &"a".repeat(253)] {
        let own = GOOD.replace("statefulSet: etcd\n", &format!("statefulSet: \"{name}\"\n"));
        assert_eq!(problems(&own), [""; 0], "{name}");
    }
}

#[test]
fn a_step_may_name_a_set_a_container_or_both() {
    for target in [
        "{statefulSet: zookeeper}",
        "{container: etcd}",
        "{statefulSet: zookeeper, container: zk}",
        "{statefulSet: etcd}",
    ] {
        let text = losing(target);
        assert_eq!(problems(&text), [""; 0], "{target}");
        assert_eq!(unfit(&text), [""; 0], "{target}");
        let read = experiment(&document(&text)).unwrap();
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Experiment>(&written).unwrap(), read, "{target}");
    }
    let read = experiment(&document(&losing("{statefulSet: etcd}"))).unwrap();
    assert_eq!(read.other_set(&read.steps[1]), None, "that is its own");
}

#[test]
fn a_step_that_names_nothing_is_told_what_to_write() {
    one(
        &problems(&losing("{}")),
        "x.yaml:14:",
        "names nothing: write statefulSet: NAME, container: NAME or both",
    );
    one(&problems(&losing("{statefulSet: ''}")), "spec.steps[1].target", "names are not empty");
    one(
        &problems(&losing("{statefulset: zookeeper}")),
        "spec.steps[1].target",
        "did you mean `statefulSet`?",
    );
}

#[test]
fn what_there_is_not_is_told_with_what_there_is() {
    one(
        &unfit(&losing("{statefulSet: zookeper}")),
        "x.yaml:14:60: spec.steps[1].target.statefulSet:",
        "there is no StatefulSet `zookeper`: did you mean `zookeeper`? There are `zookeeper`, `web`",
    );
    one(
        &unfit(&losing("{statefulSet: zookeeper, container: zoo}")),
        "spec.steps[1].target.container:",
        "`zookeeper` has no container `zoo`: it has `zk`",
    );
    one(
        &unfit(&losing("{container: proxy}")),
        "spec.steps[1].target.container:",
        "`etcd` has no container `proxy`: it has `etcd`",
    );
}

#[test]
fn ordinals_and_claims_are_those_of_its_own_set() {
    let step = |ordinal: u32| {
        with(&format!(
            "{{name: lost, at: 1m, target: {{statefulSet: zookeeper}}, fault: {{podKill: {{members: {{ordinals: [{ordinal}]}}}}}}}}"
        ))
    };
    assert_eq!(unfit(&step(4)), [""; 0], "the target has three, and it has five");
    one(&unfit(&step(5)), "spec.steps[1].fault:", "ordinal 5 does not exist: `zookeeper` has 0 to 4");
    let claims = with(
        "{name: gone, at: 1m, target: {statefulSet: zookeeper}, action: {takeSnapshot: {claims: [data]}}}",
    );
    let found = unfit(&claims);
    assert!(found[0].contains("`zookeeper` has no claim template `data`"), "{found:#?}");
    let when = with(
        "{name: lost, when: {pod: {ordinal: 5, is: Ready}}, target: {statefulSet: zookeeper}, fault: {podKill: {members: {count: 1}}}}",
    );
    one(&unfit(&when), "spec.steps[1].when", "ordinal 5 does not exist: `zookeeper` has 0 to 4");
}

#[test]
fn nobody_has_a_role_there() {
    let refused =
        "members of `zookeeper` have no roles, which are those of spec.target: select by ordinals or count";
    for fault in [
        "processPause: {members: {role: leader}}",
        "networkPartition: {majorityMinority: {leaderIn: minority}}",
    ] {
        let text = with(&format!(
            "{{name: lost, at: 1m, for: 10s, target: {{statefulSet: zookeeper}}, fault: {{{fault}}}}}"
        ));
        one(&problems(&text), "x.yaml:14:", refused);
        one(&problems(&text), "spec.steps[1].fault", refused);
    }
    let when = with(
        "{name: lost, when: {role: {ordinal: 0, is: leader}}, for: 10s, target: {statefulSet: zookeeper}, fault: {processPause: {members: {count: 1}}}}",
    );
    one(
        &problems(&when),
        "spec.steps[1].when:",
        "wait for one of its pods, for example when: {pod: {ordinal: 0, is: Ready}}",
    );
    // Another container of members who have roles.
    let sidecar = "{name: lost, at: 1m, for: 10s, target: {container: etcd}, fault: {processPause: {members: {role: leader}}}}";
    assert_eq!(problems(&with(sidecar)), [""; 0]);
}

#[test]
fn the_same_ordinal_elsewhere_is_no_contradiction() {
    let pause = |target: &str| {
        GOOD.replace("networkPartition: {isolate: {role: leader}}", "processPause: {members: {ordinals: [0]}}").replace(
            "  hypothesis:",
            &format!("    - {{name: b, at: 2s, for: 5s, {target}fault: {{processPause: {{members: {{ordinals: [0]}}}}}}}}\n  hypothesis:"),
        )
    };
    assert_eq!(problems(&pause("")).len(), 1, "{:#?}", problems(&pause("")));
    assert_eq!(problems(&pause("target: {statefulSet: zookeeper}, ")), [""; 0]);
}

#[test]
fn pods_by_labels_may_have_a_set_beside_them() {
    let pods = "pods: {selector: {matchLabels: {app: kafka}}}";
    let scale =
        "{name: grow, at: 1m, for: 10s, target: {statefulSet: zookeeper}, action: {scale: {replicas: 5}}}";
    let text = with(scale).replace("statefulSet: etcd\n", &format!("{pods}\n"));
    assert_eq!(problems(&text), [""; 0]);
    let own = text.replace("target: {statefulSet: zookeeper}, ", "");
    one(
        &problems(&own),
        "spec.steps[1].action",
        "`scale` needs a StatefulSet: spec.target names pods instead",
    );
}

#[test]
fn snapshots_of_another_set_are_not_what_is_measured() {
    let take = "{name: take, at: 1m, target: {statefulSet: zookeeper}, action: {takeSnapshot: {}}}";
    let text = with(take) + "    - {name: taken, sli: {snapshotSuccess: {}}, during: {min: 100%}}\n";
    one(&problems(&text), "spec.hypothesis[1].sli", "there is none");
}

#[test]
fn snapshots_are_restored_where_they_were_taken() {
    let (there, here) = ("target: {statefulSet: zookeeper}, ", "");
    let restoring = |taken: &str, restored: &str| {
        problems(&with(&format!(
            "{{name: take, at: 1m, {taken}action: {{takeSnapshot: {{}}}}}}\n    - {{name: back, after: take, {restored}action: {{restoreSnapshot: {{from: take}}}}}}"
        )))
    };
    assert_eq!((restoring(here, here), restoring(there, there)), (Vec::new(), Vec::new()));
    let place = "spec.steps[2].action.restoreSnapshot.from";
    one(&restoring(there, here), place, "`take` takes snapshots of `zookeeper`: give this step the same");
    one(&restoring(here, there), place, "`take` takes snapshots of spec.target: leave statefulSet out");
}

#[test]
fn a_sandbox_takes_other_sets_and_containers() {
    let secrets = std::collections::BTreeMap::new();
    for target in ["{statefulSet: zookeeper}", "{container: etcd}"] {
        let parsed = document(&losing(target));
        assert!(against_sandbox(&parsed, &experiment(&parsed).unwrap(), &secrets).is_ok());
    }
}

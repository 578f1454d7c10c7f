//! What does not fit the target.

use super::*;

#[test]
fn refuses_a_target_that_does_not_have_what_is_named() {
    let text = GOOD.replace("statefulSet: etcd", "statefulSet: etcdd\n    container: web");
    let document = document(&text);
    let experiment = experiment(&document).unwrap();
    let found: Vec<_> = against_target(&document, &experiment, &facts(), None).unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].starts_with("x.yaml:6:18: spec.target.statefulSet: there is no StatefulSet `etcdd`"),
        "{}",
        found[0]
    );
    assert!(found[1].contains("has no container `web`: it has `etcd`"), "{}", found[1]);
}

#[test]
fn refuses_ordinals_that_do_not_exist() {
    let text = GOOD.replace("role: leader", "ordinals: [1, 3]");
    let document = document(&text);
    let experiment = experiment(&document).unwrap();
    let found = against_target(&document, &experiment, &facts(), None).unwrap_err();
    assert!(
        found.len() == 1 && found[0].to_string().contains("ordinal 3 does not exist: `etcd` has 0 to 2"),
        "{found:#?}"
    );
}

#[test]
fn refuses_to_measure_volumes_that_there_are_none_of() {
    let text = GOOD.replace(
        "  hypothesis:",
        "  guards: {abortWhen: [{sli: {volumeIops: {claims: [log]}}, below: 5}]}\n  hypothesis:\n    - {name: room, sli: {diskUsage: {claims: [data, wal]}}}",
    );
    let parsed = document(&text);
    let found = against_target(&parsed, &experiment(&parsed).unwrap(), &facts(), None).unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:#?}");
    let room = "spec.hypothesis[0].sli: `etcd` has no claim template `wal`: it has `data`";
    let iops = "spec.guards.abortWhen[0].sli: `etcd` has no claim template `log`: it has `data`";
    assert!(found.iter().any(|text| text.contains(room)), "{found:#?}");
    assert!(found.iter().any(|text| text.contains(iops)), "{found:#?}");
}

#[test]
fn says_that_there_are_no_claim_templates_at_all() {
    let text = GOOD.replace(
        "{networkPartition: {isolate: {role: leader}}}",
        "{diskFill: {members: {role: leader}, claims: [data], to: {percent: 95}}}",
    );
    let text = text.replace("sli: {quorum: {}}", "sli: {diskUsage: {claims: [data]}}");
    let parsed = document(&text.replace("during: {step: cut, longestOutage: 5s}", "always: {max: 90%}"));
    let bare = TargetFacts { claims: Vec::new(), ..facts() };
    let found = against_target(&parsed, &experiment(&parsed).unwrap(), &bare, None).unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    let told = "`etcd` has no claim template `data`: it has none\n";
    assert!(found.len() == 2 && found.iter().all(|text| text.contains(told)), "{found:#?}");
}

#[test]
fn refuses_snapshots_of_nothing_and_restores_of_what_was_not_taken() {
    let steps = |action: &str| {
        GOOD.replace(
            "  hypothesis:",
            &format!("    - {{name: snap, at: 9m, action: {{{action}}}}}\n  hypothesis:"),
        )
    };
    let text = steps("takeSnapshot: {claims: [log], members: {ordinals: [4]}}");
    let parsed = document(&text);
    let found = against_target(&parsed, &experiment(&parsed).unwrap(), &facts(), None).unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("spec.steps[1].action: ordinal 4 does not exist"), "{found:#?}");
    assert!(found[1].contains("has no claim template `log`: it has `data`"), "{found:#?}");
    let found = problems(&steps("restoreSnapshot: {from: snapp}"));
    assert!(
        found.len() == 1 && found[0].contains("there is no step `snapp`: did you mean `snap`?"),
        "{found:#?}"
    );
    let found = problems(&steps("restoreSnapshot: {from: snap}"));
    let told = "`snap` is a step of `restoreSnapshot`: name one of `takeSnapshot`";
    assert!(found.len() == 1 && found[0].contains(told), "{found:#?}");
    assert_eq!(problems(&steps("takeSnapshot: {}")), Vec::<String>::new());
}

#[test]
fn refuses_a_target_that_is_none_of_several_sets() {
    let document = document(GOOD);
    let experiment = experiment(&document).unwrap();
    assert!(against_names(&document, &experiment, &["zoo", "etcd"]).is_ok());
    let found = against_names(&document, &experiment, &["zoo", "kafka"]).unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    let told = "x.yaml:6:18: spec.target.statefulSet: there is no StatefulSet `etcd`: the manifest has `zoo`, `kafka`";
    assert!(found.len() == 1 && found[0].starts_with(told), "{found:#?}");
}

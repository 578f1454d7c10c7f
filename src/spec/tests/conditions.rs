//! What is measured for conditions.

use super::*;

#[test]
fn refuses_conditions_that_nobody_would_measure_as_it_refuses_claims() {
    let waiting = |condition: &str| {
        let text = GOOD.replace("    store: {etcd: {}}\n  workload: {}\n", "");
        let text = text.replace("isolate: {role: leader}", "isolate: {ordinals: [0]}");
        let text = text.replace("at: 1s", &format!("when: {condition}"));
        let (rest, _) = text.split_once("  hypothesis:").unwrap();
        problems(&format!("{rest}  hypothesis: [{{name: up, sli: {{podAvailability: {{}}}}}}]\n"))
    };
    assert_eq!(waiting("{sli: {podAvailability: {}}, below: 1}"), [""; 0]);
    let found = waiting("{sli: {quorum: {}}, for: 5s}");
    let words = "spec.steps[0].when.sli: `quorum` is asked of a store";
    assert!(found.len() == 1 && found[0].contains(words), "{found:#?}");
    let found = waiting("{sli: {commitLatency: {}}, above: 5s}");
    assert!(found.len() == 2 && found[1].contains("add spec.workload: {}"), "{found:#?}");

    let text = GOOD
        .replace("at: 1s", "when: {sli: {attachLatency: {}}, above: 5s}")
        .replace("  hypothesis:", "  guards: {abortWhen: [{sli: {apiErrors: {}}, above: 5}]}\n  hypothesis:");
    let parsed = document(&text);
    let found = against_sandbox(&parsed, &experiment(&parsed).unwrap(), &SecretKeys::new()).unwrap_err();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("spec.guards.abortWhen[0].sli: `apiErrors` asks an API server"), "{found:#?}");
    assert!(found[1].contains("spec.steps[0].when.sli: `attachLatency` asks an API server"), "{found:#?}");

    let pods = "pods: {selector: {matchLabels: {app: db}}, ordinalFrom: nameSuffix}";
    let waits = "when: {sli: {rolloutSuccess: {}}, for: 5s}";
    let found = problems(&GOOD.replace("statefulSet: etcd", pods).replace("at: 1s", waits));
    let words = "spec.steps[0].when.sli: `rolloutSuccess` is told by a StatefulSet's revisions";
    assert!(found.len() == 1 && found[0].contains(words), "{found:#?}");
}

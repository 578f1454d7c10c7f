//! Every mistake a person can make in an Experiment has a test for its text.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use super::*;

mod against_target;
mod conditions;
mod elsewhere;
mod faults;
mod instead;

const GOOD: &str = "\
apiVersion: seatrial.dev/v1alpha1
kind: Experiment
metadata: {name: good}
spec:
  target:
    statefulSet: etcd
    store: {etcd: {}}
  workload: {}
  steps:
    - name: cut
      at: 1s
      for: 10s
      fault: {networkPartition: {isolate: {role: leader}}}
  hypothesis:
    - name: a majority keeps one leader
      sli: {quorum: {}}
      during: {step: cut, longestOutage: 5s}
";

fn document(text: &str) -> Document {
    document::split("x.yaml", text.as_bytes()).unwrap().remove(0)
}

fn problems(text: &str) -> Vec<String> {
    experiment(&document(text)).map_or_else(|p| p.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

fn facts() -> TargetFacts {
    TargetFacts {
        name: "etcd".into(),
        first: 0,
        replicas: 3,
        containers: vec!["etcd".into()],
        claims: vec!["data".into()],
    }
}

/// Replaces `from` in the good document and expects exactly one problem that starts and goes on as told.
fn refused(from: &str, to: &str, place: &str, words: &str) {
    assert!(GOOD.contains(from), "{from}");
    let found = problems(&GOOD.replacen(from, to, 1));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(place) && found[0].contains(words), "{}", found[0]);
}

#[test]
fn accepts_the_good_one_and_fills_in_defaults() {
    let experiment = experiment(&document(GOOD)).unwrap();
    assert_eq!((experiment.name.as_str(), experiment.workload.unwrap().clients), ("good", 8));
}

#[test]
fn says_what_to_write_instead() {
    refused(
        "at: 1s",
        "att: 1s",
        "x.yaml:11:7: spec.steps[0].att:",
        "unknown field `att`: did you mean `at`?",
    );
    refused(
        "for: 10s",
        "for: 10",
        "x.yaml:12:12: spec.steps[0].for:",
        "`10` has no unit: write a number with a unit",
    );
    refused("for: 10s", "for: []", "x.yaml:12:12: spec.steps[0].for:", "a list is not a duration");
    refused(
        "      for: 10s\n",
        "",
        "x.yaml:10:7: spec.steps[0]:",
        "stays until it is taken back: say how long",
    );
    refused(
        "role: leader",
        "role: king",
        "x.yaml:13:50:",
        "`king` is not known here: known are `leader`, `follower`",
    );
    refused("role: leader", "role: leader, ordinals: [0]", "x.yaml:13:43:", "leave `role` and `count` out");
    refused(
        "networkPartition",
        "netPartition",
        "x.yaml:13:15: spec.steps[0].fault.netPartition:",
        "did you mean `networkPartition`? Known are `podKill`",
    );
    refused(
        "step: cut",
        "step: cutt",
        "x.yaml:17:22: spec.hypothesis[0].during.step:",
        "did you mean `cut`?",
    );
    refused(
        "longestOutage: 5s",
        "max: 3",
        "x.yaml:15:7: spec.hypothesis[0]:",
        "bound it by longestOutage or totalOutage",
    );
    refused(
        "workload: {}",
        "workload: {clients: 0}",
        "x.yaml:8:23: spec.workload.clients:",
        "write a number from 1 to 1000",
    );
    refused(
        "workload: {}",
        "workload: {scope: {prefix: /}}",
        "x.yaml:8:21: spec.workload.scope:",
        "could hold keys of others",
    );
    refused("metadata: {name: good}", "metadata: {}", "x.yaml:3:11: metadata:", "`name` is missing");
    refused(
        "spec:\n",
        "spec:\n  name: x\n",
        "x.yaml:5:3: spec.name:",
        "an Experiment's name is metadata.name",
    );
}

#[test]
fn says_what_to_write_in_the_place_of_another_kind_of_value() {
    refused(
        "isolate: {role: leader}",
        "isolate: [0]",
        "x.yaml:13:43: spec.steps[0].fault.networkPartition.isolate:",
        "a list is not a mapping: write {NAME: VALUE}, known are `ordinals`, `role`, `count`",
    );
    refused(
        "during: {step: cut, longestOutage: 5s}",
        "during: 5s",
        "x.yaml:17:15: spec.hypothesis[0].during:",
        "the text `5s` is not a mapping: write {NAME: VALUE}, known are `step`, `min`",
    );
    refused(
        "sli: {quorum: {}}",
        "sli: {quorum: true}",
        "x.yaml:16:21: spec.hypothesis[0].sli.quorum:",
        "`true` is not a mapping: write {}",
    );
    refused(
        "workload: {}",
        "workload: {rate: \"200\"}",
        "x.yaml:8:20: spec.workload.rate:",
        "the text `200` is not a whole number from 0 to 4294967295: leave the quotes out",
    );
    refused(
        "workload: {}",
        "workload: {rate: 200.0}",
        "x.yaml:8:20: spec.workload.rate:",
        "the number 200.0 is not a whole number from 0 to 4294967295: write it without a fraction",
    );
    let large = problems(&GOOD.replacen("workload: {}", "workload: {rate: 100000000000000000000}", 1));
    assert!(large[0].contains("is not a whole number") && !large[0].contains("fraction"), "{large:#?}");
    refused(
        "{networkPartition: {isolate: {role: leader}}}",
        "{diskLatency: {members: {role: leader}, delay: {fixed: 50ms}, percent: 50%}}",
        "x.yaml:13:",
        "the text `50%` is not a whole number from 0 to 255: leave the % out",
    );
    refused(
        "steps:\n    - name: cut",
        "steps:\n      name: cut",
        "x.yaml:10:7: spec.steps:",
        "a mapping is not a list: begin each item with a dash",
    );
    refused(
        "{role: leader}",
        "{ordinals: 0}",
        "x.yaml:13:54: spec.steps[0].fault.networkPartition.isolate.ordinals:",
        "the number 0 is not a list: put it in brackets",
    );
}

#[test]
fn says_how_the_time_between_starts_is_written() {
    let every = |every: &str, place: &str, words: &str| {
        refused("at: 1s", &format!("every: {every}\n      times: 3"), &format!("x.yaml:11:{place}"), words);
    };
    every("soon", "14: spec.steps[0].every:", "`soon` is not a duration: write a number with a unit");
    every(
        "[20s]",
        "14: spec.steps[0].every:",
        "a list is not a duration such as 20s, or {mean: 10m, jitter: exponential}",
    );
    every(
        "{mean: 20s}",
        "14: spec.steps[0].every:",
        "needs both `mean` and `jitter`: write for example {mean: 10m",
    );
    every("{mean: 20, jitter: uniform}", "21: spec.steps[0].every.mean:", "`20` has no unit");
    every("{mean: 20s, jitter: uniformly}", "", "did you mean `uniform`?");
    every("{mean: 20s, jitter: uniform, width: 5s}", "", "unknown field `width`: known are `mean`, `jitter`");
    refused(
        "at: 1s",
        "every: {mean: 5s, jitter: uniform}\n      times: 3",
        "x.yaml:10:7: spec.steps[0]:",
        "`mean` of `every` must be longer than `for`, which is 10s: write for example mean: 20s",
    );
}

#[test]
fn says_how_a_step_is_named() {
    let found = problems(&GOOD.replace("name: cut\n", "name: Cut Off\n"));
    assert!(
        found[0].starts_with("x.yaml:10:13: spec.steps[0].name: `Cut Off` is not a step's name"),
        "{}",
        found[0]
    );
}

#[test]
fn says_how_a_name_and_its_parameters_are_written() {
    refused(
        "sli: {quorum: {}}",
        "sli: quorum",
        "x.yaml:16:12: spec.hypothesis[0].sli:",
        "takes parameters: write {quorum: {}}",
    );
    refused(
        "store: {etcd: {}}",
        "store: 5",
        "x.yaml:7:12: spec.target.store:",
        "write one of `etcd`, `postgres`, `refkv`",
    );
    refused(
        "store: {etcd: {}}",
        "store: {etcd: {port: 70000}}",
        "x.yaml:7:26: spec.target.store.etcd.port:",
        "the number 70000 is not a whole number from 0 to 65535",
    );
    refused(
        "longestOutage: 5s",
        "minSamples: -1",
        "x.yaml:17:39: spec.hypothesis[0].during.minSamples:",
        "the number -1 is not a whole number from 0 on",
    );
    refused(
        "name: good",
        "name: 5",
        "x.yaml:3:18: metadata.name:",
        "the number 5 is not a text: put it in quotes",
    );
    refused("workload: {}", "workload: {}\n  workload: {}", "x.yaml:9:3:", "is not valid YAML: duplicate");
}

#[test]
fn refuses_a_name_that_would_lead_elsewhere() {
    for name in ["../../etc/cron.d/x", "/etc/x", "Good", "-good", "a b"] {
        refused(
            "name: good",
            &format!("name: \"{name}\""),
            "x.yaml:3:18: metadata.name:",
            "is not an experiment's name",
        );
    }
}

#[test]
fn refuses_an_abort_condition_that_could_never_come_true() {
    let guarded = |condition: &str| {
        let text = GOOD.replace("    store: {etcd: {}}\n  workload: {}\n", "");
        let text = text.replace("isolate: {role: leader}", "isolate: {ordinals: [0]}");
        let (rest, _) = text.split_once("  hypothesis:").unwrap();
        problems(&format!(
            "{rest}  hypothesis: [{{name: up, sli: {{podAvailability: {{}}}}}}]\n  guards: {{abortWhen: [{condition}]}}\n"
        ))
    };
    assert_eq!(guarded("{sli: {podAvailability: {}}, below: 0.34}"), [""; 0]);
    let found = guarded("{sli: {quorum: {}}, for: 5s}");
    assert!(
        found.len() == 1 && found[0].contains("spec.guards.abortWhen[0].sli: `quorum` is asked of a store"),
        "{found:#?}"
    );
    let found = guarded("{sli: {podAvailability: {}}, for: 5s}");
    assert!(
        found.len() == 1 && found[0].contains("spec.guards.abortWhen[0]: `podAvailability` needs a bound"),
        "{found:#?}"
    );
    let found = guarded("{sli: {attachSuccess: {}}, below: 99%}");
    assert!(
        found.len() == 1 && found[0].contains("spec.guards.abortWhen[0]: `attachSuccess` counts attempts"),
        "{found:#?}"
    );
    refused(
        "at: 1s",
        "when: {sli: {restoreTime: {}}, above: 1m}",
        "x.yaml:11:13: spec.steps[0].when:",
        "`restoreTime` counts attempts",
    );
}

#[test]
fn refuses_more_steps_than_can_be_compared_with_each_other() {
    let step =
        |number: usize| format!("    - {{name: s{number}, fault: {{podKill: {{members: {{count: 1}}}}}}}}\n");
    let steps: String = (0..2000).map(step).collect();
    let found = problems(&GOOD.replace("  hypothesis:", &format!("{steps}  hypothesis:")));
    assert!(found.len() == 1 && found[0].contains("has 2001 items, at most 200 are read"), "{found:#?}");
}

#[test]
fn says_what_needs_a_store() {
    let found = problems(&GOOD.replace("    store: {etcd: {}}\n  workload: {}\n", ""));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].starts_with("x.yaml:11:14: spec.steps[0].fault: roles are known only from a store"),
        "{}",
        found[0]
    );
    assert!(
        found[1].starts_with("x.yaml:14:12: spec.hypothesis[0].sli: `quorum` is asked of a store"),
        "{}",
        found[1]
    );
}

#[test]
fn reads_the_secrets_of_a_store() {
    let text = GOOD
        .replace("{etcd: {}}", "{etcd: {tls: {secret: etcd-tls, serverName: etcd}, auth: {secret: root}}}");
    let store = experiment(&document(&text)).unwrap().target.store.unwrap();
    let names: Vec<_> = store.secrets().into_iter().map(crate::experiment::SecretName::as_str).collect();
    assert_eq!(names, ["etcd-tls", "root"]);
    assert_eq!(store.tls().unwrap().server_name.as_ref().unwrap().as_str(), "etcd");
}

#[test]
fn says_how_secrets_are_named() {
    let store = |store: &str, words: &str| refused("{etcd: {}}", store, "x.yaml:7:", words);
    store("{etcd: {tls: {}}}", "spec.target.store.etcd.tls: `secret` is missing");
    store(
        "{etcd: {tls: {secret: a, sekret: b}}}",
        "spec.target.store.etcd.tls.sekret: unknown field `sekret`: did you mean `secret`?",
    );
    store(
        "{etcd: {tls: {secret: Etcd_TLS}}}",
        "spec.target.store.etcd.tls.secret: is no name of a Secret: write metadata.name of one",
    );
    store("{etcd: {auth: {secret: a, password: b}}}", "spec.target.store.etcd.auth.password: unknown field");
    store(
        "{etcd: {tls: {secret: a, serverName: 'https://etcd'}}}",
        "spec.target.store.etcd.tls.serverName: `https://etcd` cannot be the name in a certificate",
    );
    store(
        "{postgres: {database: ''}}",
        "spec.target.store.postgres.database: cannot be the name of a database",
    );
    store("{postgres: {databse: app}}", "unknown field `databse`: did you mean `database`?");
    store("{refkv: {tls: {secret: a}}}", "spec.target.store.refkv.tls: unknown field `tls`");
}

#[test]
fn says_which_secret_the_files_lack() {
    let text = GOOD.replace("{etcd: {}}", "{etcd: {tls: {secret: etcd-tls}, auth: {secret: root}}}");
    let document = document(&text);
    let experiment = experiment(&document).unwrap();
    let told = |secrets: &[(&str, &[&str])]| {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let known = secrets.iter().map(|(name, all)| ((*name).to_owned(), keys(all))).collect();
        let found = against_sandbox(&document, &experiment, &known);
        found.map_or_else(|p| p.iter().map(ToString::to_string).collect(), |()| Vec::new())
    };
    let complete: &[_] = &[("etcd-tls", &["ca.crt"][..]), ("root", &["password", "username"])];
    assert_eq!(told(complete), Vec::<String>::new());
    let found = told(&[("etcd-tsl", &["ca.crt"])]);
    let first = "spec.target.store.etcd.tls.secret: there is no Secret `etcd-tls`";
    assert!(found[0].contains(first), "{}", found[0]);
    assert!(found[0].contains("did you mean `etcd-tsl`?"), "{}", found[0]);
    assert!(found[1].contains("`root` in the files: add it as a document"), "{}", found[1]);
    let found = told(&[("etcd-tls", &[]), ("root", &["user", "password"])]);
    assert!(found[0].contains("Secret `etcd-tls` needs `ca.crt`, and it is empty"), "{}", found[0]);
    assert!(
        found[1].contains("Secret `root` needs `username`, and it has `password`, `user`"),
        "{}",
        found[1]
    );
}

#[test]
fn refuses_claims_that_nothing_would_measure() {
    for (sli, words) in [
        (
            "restoreTime",
            "`restoreTime` is measured by steps with the action `restoreSnapshot`: there is none",
        ),
        ("snapshotSuccess", "steps with the action `takeSnapshot`"),
    ] {
        let other = format!("sli: {{{sli}: {{}}}}\n");
        let text = GOOD.replace("sli: {quorum: {}}\n      during: {step: cut, longestOutage: 5s}\n", &other);
        let found = problems(&text);
        assert!(
            found.len() == 1 && found[0].contains("spec.hypothesis[0].sli: ") && found[0].contains(words),
            "{found:#?}"
        );
    }
    for sli in ["attachSuccess", "attachLatency", "claimsReclaimed", "apiErrors"] {
        let other = format!("sli: {{{sli}: {{}}}}\n");
        let text = GOOD.replace("sli: {quorum: {}}\n      during: {step: cut, longestOutage: 5s}\n", &other);
        let document = document(&text);
        let asked = experiment(&document).unwrap();
        let found = against_sandbox(&document, &asked, &std::collections::BTreeMap::new()).unwrap_err();
        let words = format!("`{sli}` asks an API server, which a sandbox does not have");
        assert!(found.iter().any(|found| found.to_string().contains(&words)), "{sli}");
    }
}

#[test]
fn refuses_an_empty_hypothesis() {
    let text = format!("{}  hypothesis: []\n", GOOD.split("  hypothesis").next().unwrap());
    let found = problems(&text);
    assert!(found.len() == 1 && found[0].contains("claims nothing"), "{found:#?}");
}

#[test]
fn finds_all_problems_at_once() {
    let text = GOOD
        .replace("at: 1s", "at: 1")
        .replace("for: 10s", "for: soon")
        .replace("role: leader", "role: king")
        .replace("workload: {}", "workload: {rat: 5, clients: many}")
        .replace("longestOutage: 5s", "longestOutage: 5");
    let found = problems(&text);
    assert_eq!(found.len(), 6, "{found:#?}");
}

#[test]
fn finds_the_problems_of_every_item_of_a_list() {
    let (before, _) = GOOD.split_once("    - name: a majority").unwrap();
    let slis = ["{latency: {}}", "quorum", "{quorum: {}, durability: {}}", "{quorum: {nothing: 1}}"];
    let claims: Vec<String> =
        slis.iter().enumerate().map(|(n, sli)| format!("    - {{name: n{n}, sli: {sli}}}\n")).collect();
    let found = problems(&format!("{before}{}", claims.concat()));
    assert_eq!(found.len(), slis.len(), "{found:#?}");
    for (n, problem) in found.iter().enumerate() {
        assert!(problem.contains(&format!("spec.hypothesis[{n}].sli")), "{found:#?}");
    }
}

#[test]
fn refuses_names_used_twice_and_steps_that_wait_for_themselves() {
    let second = "    - name: cut\n      after: cut\n      for: 1s\n      fault: {networkPartition: {halves: {}}}\n  hypothesis:";
    let found = problems(&GOOD.replace("  hypothesis:", second));
    assert!(found.iter().any(|text| text.contains("`cut` is used twice")), "{found:#?}");
    let alone = GOOD.replace("at: 1s", "after: cut");
    assert!(problems(&alone)[0].contains("would wait for itself"));
}

#[test]
fn survives_bombs_and_junk() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![below; 9].join(", ")));
    }
    assert!(!problems(&bomb).is_empty());
    let deep = format!("apiVersion: {}1{}", "[".repeat(50_000), "]".repeat(50_000));
    assert!(!problems(&deep).is_empty());
    assert!(!problems("\t:\n- ]{").is_empty());
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "[ -~\n]{0,200}", at in 0usize..400) {
        if let Ok(documents) = document::split("x.yaml", text.as_bytes()) {
            for document in documents {
                let _ = experiment(&document);
            }
        }
        let mut mutated = GOOD.to_owned();
        let at = at.min(mutated.len());
        mutated.insert_str(at, &text);
        if let Ok(documents) = document::split("x.yaml", mutated.as_bytes()) {
            for document in documents {
                let _ = experiment(&document);
            }
        }
    }
}

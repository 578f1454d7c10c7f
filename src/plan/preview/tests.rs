//! What a plan says before anything is done.

use super::*;
use crate::api::{Pod, PodPhase};

fn experiment(steps: &str, guards: &str) -> Experiment {
    let text = format!(
        r#"{{"name":"etcd-leader-cut","target":{{"statefulSet":"etcd","store":{{"etcd":{{}}}}}},"workload":{{}},
            "steps":{steps},"guards":{guards},
            "hypothesis":[{{"name":"a majority keeps one leader","sli":{{"quorum":{{}}}},
                "during":{{"step":"cut","longestOutage":"5s"}},"recoverWithin":"15s"}}]}}"#
    );
    serde_json::from_str(&text).expect("a valid experiment")
}

fn snapshot(replicas: u32) -> Snapshot {
    Snapshot {
        name: "etcd".into(),
        namespace: "default".into(),
        replicas,
        first_ordinal: 0,
        numbered: None,
        rollout: None,
        pods: Vec::new(),
        ..Snapshot::default()
    }
}

/// Three pods, each on a node of its own: `NODE-0` to `NODE-2`.
fn placed(name: &str, node: &str) -> Snapshot {
    let pod = |ordinal| Pod {
        name: format!("{name}-{ordinal}"),
        ordinal,
        uid: String::new(),
        ip: None,
        node: format!("{node}-{ordinal}"),
        phase: PodPhase::Running,
        ready: true,
        revision: None,
        containers: Vec::new(),
    };
    Snapshot { name: name.into(), pods: (0..3).map(pod).collect(), ..snapshot(3) }
}

const CUT: &str = r#"[
    {"name":"cut","at":"10s","for":"20s","fault":{"networkPartition":{"isolate":{"role":"leader"}}}},
    {"name":"kill","after":"cut","every":"20s","times":2,"fault":{"podKill":{"members":{"count":1}}}}]"#;

#[test]
fn a_plan_is_readable_at_eighty_columns() {
    let plan = preview(&experiment(CUT, "{}"), &snapshot(3), &[], None, 42);
    let text = plan.to_string();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn the_same_seed_gives_the_same_plan_and_the_plan_reads_what_it_writes() {
    let plan = |seed| preview(&experiment(CUT, "{}"), &snapshot(5), &[], None, seed);
    assert_eq!(plan(1), plan(1));
    assert!((2..20).any(|seed| plan(seed).occurrences != plan(1).occurrences));
    let written = serde_json::to_string(&plan(1)).expect("serialises");
    assert_eq!(serde_json::from_str::<Plan>(&written).expect("reads"), plan(1));
}

#[test]
fn what_overlaps_is_judged_together() {
    let steps = r#"[
        {"name":"a","for":"10s","fault":{"processPause":{"members":{"ordinals":[0]}}}},
        {"name":"b","at":"5s","for":"1s","fault":{"processPause":{"members":{"ordinals":[1]}}}},
        {"name":"c","at":"10s","for":"1s","fault":{"processPause":{"members":{"ordinals":[2]}}}}]"#;
    let plan = preview(&experiment(steps, "{}"), &snapshot(3), &[], None, 1);
    let holds: Vec<_> = plan
        .occurrences
        .iter()
        .map(|planned| planned.guard.as_ref().is_some_and(|ruling| ruling.holds))
        .collect();
    assert_eq!(holds, [true, false, true], "the third one starts when the first one ends");
    assert_eq!(plan.refusals.len(), 1);
    assert!(plan.refusals[0].starts_with("step b: 3 voters, 1 held down by this run (etcd-0)"));
    let allowed = experiment(steps, r#"{"allowQuorumLoss":true}"#);
    assert!(preview(&allowed, &snapshot(3), &[], None, 1).refusals.is_empty());
}

#[test]
fn a_step_that_waits_is_told_what_it_must_not_meet() {
    const PAUSE: &str = r#"{"name":"pause","when":{"pod":{"any":{},"is":"Terminating"},"within":"60s"},"for":"5s",
        "fault":{"processPause":{"members":{"ordinals":[0]}}}}"#;
    let plan = |other: &str, replicas, guards: &str| {
        preview(&experiment(&format!("[{PAUSE},{other}]"), guards), &snapshot(replicas), &[], None, 1)
    };
    let told = |plan: &Plan| plan.notes.iter().filter(|note| note.contains("should it come")).count();
    let restart = r#"{"name":"roll","at":"5s","for":"5m","action":{"rolloutRestart":{}}}"#;
    let three = plan(restart, 3, "{}");
    assert!(three.refusals.is_empty(), "{:?}", three.refusals);
    let note = "step pause waits: should it come while roll is in force, a guard refuses it: 3 voters, 1 at a time taken by \
                this run, this takes 1 (etcd-0): 1 of 3 left";
    assert!(three.notes.iter().any(|found| found.starts_with(note)), "{:?}", three.notes);
    assert_eq!(told(&plan(restart, 5, "{}")), 0);
    assert_eq!(told(&plan(restart, 3, r#"{"allowQuorumLoss":true}"#)), 0);
    let later = r#"{"name":"later","after":"pause","for":"5s",
        "fault":{"processPause":{"members":{"ordinals":[1]}}}}"#;
    assert_eq!(told(&plan(later, 3, "{}")), 0);
}

#[test]
fn a_step_that_waits_is_told_of_an_action_that_stays() {
    let steps = r#"[
        {"name":"less","at":"20s","action":{"scale":{"replicas":2}}},
        {"name":"pause","when":{"pod":{"any":{},"is":"Terminating"}},"for":"1s",
         "fault":{"processPause":{"members":{"ordinals":[0]}}}}]"#;
    let plan = preview(&experiment(steps, "{}"), &snapshot(3), &[], None, 1);
    assert_eq!(plan.refusals, [""; 0]);
    let told = "step pause waits: should it come while less is in force, a guard refuses it: 3 voters";
    assert!(plan.notes.iter().any(|note| note.starts_with(told)), "{:?}", plan.notes);
}

#[test]
fn a_step_that_waits_is_told_of_data_that_is_destroyed() {
    let steps = r#"[
        {"name":"lost","at":"20s","fault":{"claimDelete":{"members":{"ordinals":[1]},"destroysData":true}}},
        {"name":"pause","when":{"pod":{"any":{},"is":"Terminating"}},"for":"1s",
         "fault":{"processPause":{"members":{"ordinals":[0]}}}}]"#;
    let plan = preview(&experiment(steps, "{}"), &snapshot(3), &[], None, 1);
    assert_eq!(plan.refusals, [""; 0]);
    let told = "step pause waits: should it come after lost, a guard refuses it: 3 voters";
    assert!(plan.notes.iter().any(|note| note.starts_with(told)), "{:?}", plan.notes);
}

#[test]
fn a_step_that_waits_is_told_once_of_all_occurrences_that_must_not_meet() {
    let waits = r#""when":{"pod":{"any":{},"is":"Terminating"}}"#;
    let fixed = r#""fault":{"processPause":{"members":{"ordinals":[0]}}}"#;
    let drawn = r#""every":"20s","times":20,"fault":{"processPause":{"members":{"count":1}}}"#;
    for (waiting, other) in [(fixed, drawn), (drawn, fixed)] {
        let steps = format!(
            r#"[{{"name":"pause",{waits},"for":"5s",{waiting}}},{{"name":"other","at":"9m","for":"5s",{other}}}]"#
        );
        let plan = |seed| preview(&experiment(&steps, "{}"), &snapshot(3), &[], None, seed);
        // Two first occurrences that take the same member may meet.
        let may_meet = |plan: &Plan| {
            let mut first = plan.occurrences.iter().filter(|planned| planned.occurrence == 0);
            first.all(|planned| planned.hits == Ok(BTreeSet::from([0])))
        };
        let plan = (1..100).map(plan).find(may_meet).expect("one of three members is the first now and then");
        assert_eq!(plan.refusals, [""; 0]);
        let told: Vec<_> = plan.notes.iter().filter(|note| note.contains("should it come")).collect();
        let meets = "step pause waits: should it come while other is in force, a guard refuses it: 3 voters";
        assert!(told.len() == 1 && told[0].starts_with(meets), "{told:?}");
    }
}

#[test]
fn a_step_that_waits_is_told_what_the_node_that_it_takes_must_not_meet() {
    let steps = r#"[
        {"name":"own","at":"20s","for":"30s","fault":{"processPause":{"members":{"ordinals":[0]}}}},
        {"name":"node","target":{"statefulSet":"zookeeper"},"when":{"pod":{"any":{},"is":"Terminating"}},"for":"5s",
         "fault":{"nodeDown":{"members":{"ordinals":[1]}}}}]"#;
    let told = |node| {
        let plan =
            preview(&experiment(steps, "{}"), &placed("etcd", node), &[placed("zookeeper", "node")], None, 1);
        assert_eq!(plan.refusals, [""; 0]);
        plan.notes.into_iter().filter(|note| note.contains("should it come")).collect::<Vec<_>>()
    };
    let found = told("node");
    let meets = "step node waits: should it come while own is in force, a guard refuses it: 3 voters, 1 held down by this run \
                 (etcd-0), this takes 1 (etcd-1): 1 of 3 left";
    assert!(found.len() == 1 && found[0].starts_with(meets), "{found:?}");
    // Not where they are on nodes of their own.
    assert_eq!(told("elsewhere"), [""; 0]);
}

#[test]
fn a_selector_that_matches_nobody_is_refused_with_its_reason() {
    let steps = r#"[{"name":"p","for":"1s","fault":{"processPause":{"members":{"ordinals":[9]}}}}]"#;
    let plan = preview(&experiment(steps, "{}"), &snapshot(3), &[], None, 1);
    assert_eq!(plan.refusals, ["step p: there is no ordinal 9: write 0 to 2"]);
    assert!(plan.to_string().contains("nobody: there is no ordinal 9"));
}

#[test]
fn warns_of_what_destroys_data_and_relies_no_more_on_whom_it_hits() {
    let steps = r#"[
        {"name":"a","fault":{"claimDelete":{"members":{"ordinals":[0]},"destroysData":true}}},
        {"name":"b","at":"5m","fault":{"claimDelete":{"members":{"ordinals":[1]},"destroysData":true}}}]"#;
    let plan = preview(&experiment(steps, "{}"), &snapshot(3), &[], None, 1);
    assert!(plan.notes.iter().any(|told| told.starts_with("step b destroys data")), "{:?}", plan.notes);
    assert!(plan.refusals.len() == 1 && plan.refusals[0].starts_with("step b: "), "{:?}", plan.refusals);
}

#[test]
fn tells_the_drivers_that_nodes_choose_from_and_no_named_one() {
    let steps = r#"[
        {"name":"slow","for":"1s","fault":{"diskLatency":{"members":{"ordinals":[0]},"delay":{"fixed":"200ms"}}}},
        {"name":"named","at":"5m","for":"1s","fault":{"diskError":{"members":{"ordinals":[0]},"error":"EIO",
            "operations":["sync","write"],"driver":"dmError"}}}]"#;
    let plan = preview(&experiment(steps, "{}"), &snapshot(3), &[], None, 1);
    let drivers: Vec<_> = plan.settings.iter().filter(|(field, _)| field.ends_with(".driver")).collect();
    assert_eq!(drivers, [&("slow.driver".to_owned(), "dmDelay, else syscall".to_owned())]);
    assert!(
        plan.notes.iter().any(|told| told.contains("read-only until they are mounted anew")),
        "{:?}",
        plan.notes
    );
}

#[test]
fn counts_members_that_are_down_where_the_target_runs() {
    let mut running = snapshot(3);
    running.pods = (0..3)
        .map(|ordinal| Pod {
            name: format!("etcd-{ordinal}"),
            ordinal,
            uid: String::new(),
            ip: None,
            node: String::new(),
            phase: PodPhase::Running,
            ready: true,
            revision: None,
            containers: Vec::new(),
        })
        .collect();
    let answer = |role| MemberSample::Answer {
        role,
        term: 1,
        leader: Some(1),
        position: 0,
        heartbeat: None,
        voter: true,
        writes_need: None,
    };
    let members = Members {
        members: [answer(Role::Follower), answer(Role::Leader), MemberSample::Unreachable("gone".into())]
            .into_iter()
            .zip(0..)
            .map(|(sample, ordinal)| Member { ordinal, sample })
            .collect(),
    };
    let steps = r#"[{"name":"p","for":"1s","fault":{"processPause":{"members":{"role":"leader"}}}}]"#;
    let plan = preview(&experiment(steps, "{}"), &running, &[], Some(&members), 1);
    assert_eq!(plan.occurrences[0].hits, Ok(BTreeSet::from([1])));
    assert!(plan.notes.is_empty());
    assert!(plan.refusals[0].contains("1 already down (etcd-2: unreachable), this takes 1 (etcd-1)"));
}

const SOAK: &str = r#"[{"name":"soak","every":"20s","times":6,"for":"4s","oneOf":[
    {"weight":2,"fault":{"processPause":{"members":{"count":1}}}},
    {"fault":{"podKill":{"members":{"role":"leader"}}}}]}]"#;

#[test]
fn what_each_occurrence_will_be_is_planned_by_the_seed() {
    let plan = |seed| preview(&experiment(SOAK, "{}"), &snapshot(3), &[], None, seed);
    let faults = |seed| plan(seed).occurrences.into_iter().map(|one| one.fault).collect::<Vec<_>>();
    assert_eq!(faults(1), faults(1));
    assert!((2..20).any(|seed| faults(seed) != faults(1)));
    assert!(faults(1).contains(&"processPause".to_owned()) && faults(1).contains(&"podKill".to_owned()));
    let told = ("soak.oneOf, by weight".to_owned(), "processPause (2), podKill (1)".to_owned());
    assert!(plan(1).settings.contains(&told), "{:?}", plan(1).settings);
}

#[test]
fn an_alternative_that_a_guard_refuses_is_refused_whatever_the_seed_chooses() {
    let steps = r#"[{"name":"soak","for":"4s","oneOf":[
        {"weight":1000,"fault":{"processPause":{"members":{"count":1}}}},
        {"fault":{"podKill":{"members":{"count":"majority"}}}}]}]"#;
    let refusals = |guards| preview(&experiment(steps, guards), &snapshot(3), &[], None, 1).refusals;
    let found = refusals("{}");
    assert!(found.len() == 1 && found[0].starts_with("step soak, where it chooses podKill: "), "{found:?}");
    assert_eq!(refusals(r#"{"allowQuorumLoss":true}"#), [""; 0]);
}

#[test]
fn starts_that_are_drawn_are_planned_and_a_run_that_would_be_too_long_is_told() {
    let steps = r#"[{"name":"soak","at":"2s","every":{"mean":"1m","jitter":"exponential"},"times":20,"recoverBetween":"30s",
        "fault":{"podKill":{"members":{"count":1}}}}]"#;
    let experiment = experiment(steps, "{}");
    let plan = preview(&experiment, &snapshot(3), &[], None, 5);
    let mut due = std::time::Duration::from_secs(2);
    for planned in &plan.occurrences {
        if planned.occurrence > 0 {
            due += crate::plan::draw::gap(&experiment.steps[0], 5, planned.occurrence);
        }
        assert_eq!(planned.start, due);
    }
    let told = ("soak.every".to_owned(), "1m in the mean, exponential, drawn by the seed".to_owned());
    assert!(plan.settings.contains(&told), "{:?}", plan.settings);
    let told = ("soak.recoverBetween".to_owned(), "30s at most, then nothing more is broken".to_owned());
    assert!(plan.settings.contains(&told), "{:?}", plan.settings);
    assert!(plan.notes.iter().any(|note| note.contains("aborted after 10m: spec.guards.maxDuration")));
}

#[test]
fn claims_are_told_with_what_holds_where_nothing_is_written() {
    let told = |claim: &str| {
        let mut experiment = experiment("[]", "{}");
        experiment.hypothesis = vec![serde_json::from_str(claim).expect("a valid hypothesis")];
        preview(&experiment, &snapshot(3), &[], None, 1).claims.swap_remove(0)
    };
    for (claim, words) in [
        (r#"{"name":"c","sli":{"commitLatency":{}}}"#, "c (commitLatency quantile 0.99): after max 50ms"),
        (r#"{"name":"q","sli":{"quorum":{}}}"#, "q (quorum): before all good; after all good"),
        (
            r#"{"name":"c","sli":{"commitLatency":{}},"during":{"longestOutage":"5s"},"recoverWithin":"10s"}"#,
            "c (commitLatency quantile 0.99): during longestOutage 5s; recoverWithin 10s; good is max 50ms",
        ),
        (
            r#"{"name":"lag","sli":{"replicationLag":{}},"after":{"stableFor":"5s"}}"#,
            "lag (replicationLag): after max 200ms, stableFor 5s",
        ),
        (
            r#"{"name":"up","sli":{"podAvailability":{}},"during":{"min":"60%"}}"#,
            "up (podAvailability): during min 60%",
        ),
        (r#"{"name":"d","sli":{"durability":{}}}"#, "d (durability)"),
    ] {
        assert_eq!(told(claim), words);
    }
}

#[test]
fn times_have_a_column_that_holds_them_and_those_of_a_wait_count_from_its_end() {
    let steps = r#"[
        {"name":"a","at":"1m2s345ms","for":"4s5ms","fault":{"processPause":{"members":{"ordinals":[0]}}}},
        {"name":"b","when":{"pod":{"any":{},"is":"Terminating"}},"for":"2s","every":"10s","times":2,
         "fault":{"processPause":{"members":{"ordinals":[1]}}}},
        {"name":"c","after":"b","for":"1s","fault":{"processPause":{"members":{"ordinals":[2]}}}}]"#;
    let text = preview(&experiment(steps, "{}"), &snapshot(3), &[], None, 1).to_string();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for line in [
        "\n  +1m2s345ms to +1m6s350ms a (processPause)\n                           hits   etcd-0\n",
        "\n  when, +0s to +2s         b (processPause, 1 of 2)\n                           when   any pod is Terminating\n",
        "\n  when, +10s to +12s       b (processPause, 2 of 2)\n",
        "\n  when, +12s to +13s       c (processPause)\n",
        " when   any pod is Terminating, which b waits for\n",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn what_stays_to_the_end_does_not_look_like_what_happens_once() {
    let steps = r#"[
        {"name":"kill","at":"1s","fault":{"podKill":{"members":{"ordinals":[0]}}}},
        {"name":"less","at":"20s","action":{"scale":{"replicas":2}}}]"#;
    let text = preview(&experiment(steps, "{}"), &snapshot(3), &[], None, 1).to_string();
    for line in ["\n  +1s                kill (podKill)\n", "\n  +20s to the end    less (scale)\n"] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    let waits =
        r#"[{"name":"less","when":{"pod":{"any":{},"is":"Terminating"}},"action":{"scale":{"replicas":2}}}]"#;
    let text = preview(&experiment(waits, "{}"), &snapshot(3), &[], None, 1).to_string();
    assert!(text.contains("\n  when, to the end   less (scale)\n"), "{text}");
}

#[test]
fn a_step_elsewhere_is_planned_on_the_pods_there() {
    let steps = r#"[
        {"name":"own","for":"10s","fault":{"processPause":{"members":{"ordinals":[0]}}}},
        {"name":"other","target":{"statefulSet":"zookeeper"},"at":"5s","for":"1s",
         "fault":{"processPause":{"members":{"ordinals":[4]}}}}]"#;
    let zookeeper = Snapshot { name: "zookeeper".into(), ..snapshot(5) };
    let plan = preview(&experiment(steps, "{}"), &snapshot(3), &[zookeeper], None, 1);
    assert_eq!(plan.refusals, [""; 0]);
    let other = &plan.occurrences[1];
    assert_eq!((other.set.as_deref(), &other.hits), (Some("zookeeper"), &Ok([4].into())));
    let ruling = other.guard.as_ref().expect("it hits somebody");
    assert!(ruling.arithmetic.starts_with("5 voters, this takes 1 (zookeeper-4): 4 of 5 left"), "{ruling:?}");
    let text = plan.to_string();
    assert!(text.contains("hits   zookeeper-4"), "{text}");
    assert!(text.contains("StatefulSet zookeeper, all containers"), "{text}");
    let alone = preview(&experiment(steps, "{}"), &snapshot(3), &[], None, 1);
    assert_eq!(alone.refusals, ["step other: there is no StatefulSet zookeeper"]);
}

#[test]
fn a_node_that_goes_takes_members_of_other_sets_along() {
    let steps = r#"[
        {"name":"own","for":"30s","fault":{"processPause":{"members":{"ordinals":[0]}}}},
        {"name":"node","target":{"statefulSet":"zookeeper"},"at":"5s","for":"5s",
         "fault":{"nodeDown":{"members":{"ordinals":[1]}}}}]"#;
    let planned = |node| {
        let zookeeper = placed("zookeeper", "node");
        preview(&experiment(steps, "{}"), &placed("etcd", node), &[zookeeper], None, 1)
    };
    let plan = planned("node");
    let told = "step node: 3 voters, 1 held down by this run (etcd-0), this takes 1 (etcd-1): 1 of 3 left";
    assert!(plan.refusals.len() == 1 && plan.refusals[0].starts_with(told), "{:?}", plan.refusals);
    assert!(plan.occurrences[1].guard.as_ref().is_some_and(|ruling| !ruling.holds));
    // Not where they are on nodes of their own.
    let plan = planned("elsewhere");
    assert_eq!(plan.refusals, [""; 0]);
    assert!(plan.occurrences[1].guard.as_ref().is_some_and(|ruling| ruling.holds));
}

#[test]
fn what_an_action_takes_that_stays_is_held_to_the_end() {
    let steps = |lasting: &str| {
        let scale = format!(r#"{{"name":"less","at":"1s",{lasting}"action":{{"scale":{{"replicas":2}}}}}}"#);
        format!(
            r#"[{scale},{{"name":"pause","at":"20s","for":"1s","fault":{{"processPause":{{"members":{{"ordinals":[0]}}}}}}}}]"#
        )
    };
    let planned = |lasting: &str| preview(&experiment(&steps(lasting), "{}"), &snapshot(3), &[], None, 1);
    assert_eq!(planned(r#""for":"10s","#).refusals, [""; 0]);
    let refusals = planned("").refusals;
    let told = "step pause: 3 voters, 1 held down by this run (etcd-2), this takes 1 (etcd-0): 1 of 3 left";
    assert!(refusals.len() == 1 && refusals[0].starts_with(told), "{refusals:?}");
}

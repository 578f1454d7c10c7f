//! Each lint sees what it is for and nothing else.

use std::path::{Path, PathBuf};

use super::super::{TargetFacts, document, experiment};
use super::{LINTS, Warning, lint};
use crate::draft::Found;

/// Nothing is to be said about this one.
const CLEAN: &str = "\
apiVersion: seatrial.dev/v1alpha1
kind: Experiment
metadata: {name: clean}
spec:
  target:
    statefulSet: etcd
    store: {etcd: {}}
  workload: {rate: 200}
  steps:
    - name: cut
      at: 1s
      for: 10s
      fault: {networkPartition: {isolate: {role: leader}}}
  hypothesis:
    - name: a majority keeps one leader
      sli: {quorum: {}}
      during: {step: cut, longestOutage: 5s}
      recoverWithin: 30s
    - name: commits are quick again
      sli: {commitLatency: {quantile: 0.9}}
      after: {max: 1s}
    - name: no acknowledged write is lost
      sli: {durability: {}}
    - name: reads see the newest acknowledged write
      sli: {linearizability: {}}
  guards:
    abortWhen: [{sli: {podAvailability: {}}, below: 34%, for: 30s}]
";

const CUT: &str = "networkPartition: {isolate: {role: leader}}";

fn target() -> TargetFacts {
    TargetFacts {
        name: "etcd".into(),
        first: 0,
        replicas: 3,
        containers: vec!["etcd".into()],
        claims: vec!["data".into()],
    }
}

fn warnings_of(text: &str, target: Option<&TargetFacts>) -> Vec<Warning> {
    let document = document::split("x.yaml", text.as_bytes()).expect("text").remove(0);
    let experiment = experiment(&document).expect(text);
    lint(&document, &experiment, target)
}

/// The clean one with these changes.
fn changed(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(CLEAN.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

/// Expects one warning, of this lint, that begins and goes on as told.
#[track_caller]
fn warned(changes: &[(&str, &str)], name: &str, place: &str, words: &str) {
    let found: Vec<String> =
        warnings_of(&changed(changes), Some(&target())).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with(&format!("warning: x.yaml:{place}: ")), "{}", found[0]);
    assert!(found[0].contains(words) && found[0].contains(&format!(" [{name}]")), "{}", found[0]);
}

#[track_caller]
fn silent(changes: &[(&str, &str)]) {
    let found: Vec<String> =
        warnings_of(&changed(changes), Some(&target())).iter().map(ToString::to_string).collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn says_nothing_about_a_clean_experiment() {
    silent(&[]);
    assert_eq!(warnings_of(CLEAN, None), Vec::new());
}

#[test]
fn a_run_needs_a_condition_that_ends_it() {
    warned(
        &[("  guards:\n    abortWhen: [{sli: {podAvailability: {}}, below: 34%, for: 30s}]\n", "")],
        "no-abort-condition",
        "5:3: spec.guards",
        "write for example abortWhen: [{sli: {podAvailability: {}}, below: 66%, for: 60s}]",
    );
    silent(&[("{sli: {podAvailability: {}}, below: 34%, for: 30s}", "{sli: {quorum: {}}, for: 30s}")]);
}

#[test]
fn a_store_is_asked_for_its_data() {
    let durability = "    - name: no acknowledged write is lost\n      sli: {durability: {}}\n";
    let reads = "    - name: reads see the newest acknowledged write\n      sli: {linearizability: {}}\n";
    warned(
        &[(durability, ""), (reads, "")],
        "no-claim-about-data",
        "15:5: spec.hypothesis",
        "sli: {durability: {}}}",
    );
    silent(&[(durability, "")]);
}

#[test]
fn a_claim_is_about_what_can_be_measured() {
    warned(
        &[("workload: {rate: 200}", "workload: {reads: local}")],
        "not-measured",
        "25:12: spec.hypothesis[3].sli",
        "write reads: linearizable, or sli: {replicationLag: {}}",
    );
    let room = ("sli: {linearizability: {}}", "sli: {diskUsage: {}}");
    silent(&[room]);
    let folder = TargetFacts { claims: Vec::new(), ..target() };
    let found = warnings_of(&changed(&[room]), Some(&folder));
    assert_eq!(found.iter().map(|warning| warning.lint).collect::<Vec<_>>(), ["not-measured"]);
}

#[test]
fn a_quantile_has_more_values_than_parts() {
    // 200 a second for two seconds, of which 60 in 100 write, and 10 heartbeats a second: 260.
    silent(&[("quantile: 0.9", "quantile: 0.99")]);
    warned(
        &[("quantile: 0.9", "quantile: 0.999")],
        "too-few-samples",
        "21:14: spec.hypothesis[1].after",
        "in 2s there are 260 commits at most (rate 200, of which 60 in 100 write, and 20 heartbeats), and the quantile \
         0.999 needs 1000",
    );
    let slow = |rate| {
        [
            ("rate: 200", rate),
            ("after: {max: 1s}", "during: {max: 1s}"),
            ("0.9}", "0.99}"),
            ("for: 10s", "for: 6s"),
        ]
    };
    warned(
        &slow("rate: 11"),
        "too-few-samples",
        "21:15: spec.hypothesis[1].during",
        "write rate: 12 or more, or quantile: 0.5",
    );
    // Of the 103 commits, 60 are heartbeats.
    silent(&slow("rate: 12"));
    silent(&[("quantile: 0.9", "quantile: 1"), ("rate: 200", "rate: 10")]);
    // All that is looked at at a time is a window.
    let window = |bounds| ("after: {max: 1s}", bounds);
    silent(&[window("always: {max: 1s, window: 1s}"), ("0.9}", "0.99}")]);
    warned(
        &[window("always: {max: 1s, window: 1s}"), ("0.9}", "0.995}")],
        "too-few-samples",
        "21:15: spec.hypothesis[1].always",
        "in 1s there are 130 commits at most",
    );
    silent(&[window("during: {max: 1s, minSamples: 1300}")]);
    warned(
        &[window("during: {max: 1s, minSamples: 1301}")],
        "too-few-samples",
        "21:15: spec.hypothesis[1].during",
        "with fewer than 1301 the claim is Inconclusive: write rate: 201 or more, or a smaller minSamples",
    );
    warned(
        &[window("during: {max: 1s, minSamples: 131, window: 1s}")],
        "too-few-samples",
        "21:15: spec.hypothesis[1].during",
        "in 1s there are 130 commits at most",
    );
}

#[test]
fn a_bound_is_not_kept_by_every_value() {
    warned(
        &[("after: {max: 1s}", "after: {max: 1s, min: 0ms}")],
        "never-broken",
        "21:29: spec.hypothesis[1].after.min",
        "cannot be broken: every value keeps it",
    );
    let up = ("sli: {linearizability: {}}", "sli: {podAvailability: {}}\n      always: {max: 100%}");
    warned(&[up], "never-broken", "26:21: spec.hypothesis[3].always.max", "every value keeps it");
    warned(
        &[("below: 34%", "below: 0")],
        "never-broken",
        "27:53: spec.guards.abortWhen[0].below",
        "never aborts: no value is below that",
    );
}

#[test]
fn a_bound_is_shorter_than_what_it_is_about() {
    warned(
        &[("longestOutage: 5s", "longestOutage: 10s")],
        "never-broken",
        "17:42: spec.hypothesis[0].during.longestOutage",
        "an outage of 10s is allowed while the fault is there, which is 10s",
    );
    warned(
        &[
            ("longestOutage: 5s", "totalOutage: 25s"),
            ("for: 10s", "for: 10s\n      every: 20s\n      times: 2"),
        ],
        "never-broken",
        "19:40: spec.hypothesis[0].during.totalOutage",
        "which is 20s",
    );
    // What happens once is felt for as long as the target takes to recover.
    silent(&[("      for: 10s\n", ""), (CUT, "podKill: {members: {role: leader}}"), ("5s}", "60s}")]);
    warned(
        &[("after: {max: 1s}", "after: {max: 1s, stableFor: 40s}")],
        "never-broken",
        "21:35: spec.hypothesis[1].after.stableFor",
        "write a shorter one, or recovery: 1m20s",
    );
    silent(&[("after: {max: 1s}", "after: {max: 1s, stableFor: 20s}")]);
    warned(
        &[("below: 34%, for: 30s", "below: 34%, for: 10m")],
        "never-broken",
        "27:63: spec.guards.abortWhen[0].for",
        "maxDuration ends the run after 10m anyway",
    );
}

#[test]
fn a_freeze_hides_a_missing_fsync() {
    let stall = (CUT, "diskStall: {members: {role: leader}}");
    warned(
        &[stall],
        "freeze-hides-fsync",
        "23:12: spec.hypothesis[2].sli",
        "`diskStall` of step cut writes out what is dirty first",
    );
    silent(&[stall, ("    - name: no acknowledged write is lost\n      sli: {durability: {}}\n", "")]);
    let cut = "  steps:\n    - {name: power, at: 30s, fault: {powerLoss: {members: {ordinals: [1]}}}}\n";
    silent(&[stall, ("  steps:\n", cut)]);
    // What is written out elsewhere is not what the claim is about.
    silent(&[(CUT, "diskStall: {members: {ordinals: [0]}}}\n      target: {statefulSet: zookeeper")]);
}

#[test]
fn recovery_is_not_quicker_than_the_back_off() {
    let kill = (CUT, "podKill: {members: {ordinals: [0]}, mode: sigkill}");
    let often = ("      for: 10s\n", "      every: 20s\n      times: 4\n");
    warned(
        &[kill, often],
        "back-off-takes-longer",
        "19:22: spec.hypothesis[0].recoverWithin",
        "30s is less than the 40s for which the kubelet may still wait after `podKill` of step cut",
    );
    silent(&[kill, ("      for: 10s\n", "")]);
    silent(&[kill, often, ("recoverWithin: 30s", "recoverWithin: 60s")]);
    let elsewhere =
        "podKill: {members: {ordinals: [0]}, mode: sigkill}}\n      target: {statefulSet: zookeeper";
    silent(&[(CUT, elsewhere), often]);
    let attach = (CUT, "volumeAttachBlock: {members: {ordinals: [0]}}");
    silent(&[attach]);
    warned(
        &[attach, ("for: 10s", "for: 5m")],
        "back-off-takes-longer",
        "18:22: spec.hypothesis[0].recoverWithin",
        "write recoverWithin: 2m33s or more",
    );
}

#[test]
fn a_fault_is_there_until_somebody_has_seen_it() {
    let short = ("longestOutage: 5s", "longestOutage: 400ms");
    warned(
        &[("for: 10s", "for: 500ms"), short],
        "too-short-to-prove",
        "12:12: spec.steps[0].for",
        "500ms is too short for `networkPartition`: its proof is renewed once a second; write for: 2s or more",
    );
    let stop = (CUT, "kubeletStop: {members: {role: leader}}");
    warned(&[stop], "too-short-to-prove", "12:12: spec.steps[0].for", "a grace period of 50s");
    silent(&[stop, ("for: 10s", "for: 60s")]);
}

#[test]
fn a_run_is_as_long_as_its_steps() {
    let late = ("at: 1s", "at: 20m");
    warned(
        &[late],
        "run-too-short",
        "10:7: spec.steps[0]",
        "step cut ends 20m10s after the baseline at the earliest, and the run is aborted after 10m; write \
         guards.maxDuration: 30m15s or more",
    );
    silent(&[late, ("  guards:\n", "  guards:\n    maxDuration: 1h\n")]);
    let often = |times: &'static str| [("at: 1s", times)];
    silent(&often("at: 1s\n      every: 1m\n      times: 10"));
    warned(
        &often("at: 1s\n      every: 1m\n      times: 12"),
        "run-too-short",
        "10:7: spec.steps[0]",
        "step cut ends 11m11s after",
    );
    silent(&often("at: 1s\n      every: {mean: 1m, jitter: exponential}\n      times: 12"));
}

#[test]
fn what_is_meant_is_accepted_by_name() {
    let stall = (CUT, "diskStall: {members: {role: leader}}");
    let accept = |names: &'static str| ("{name: clean}", names);
    silent(&[stall, accept("{name: clean, annotations: {seatrial.dev/accept: freeze-hides-fsync}}")]);
    silent(&[
        stall,
        ("for: 10s", "for: 500ms"),
        ("longestOutage: 5s", "longestOutage: 400ms"),
        accept("{name: clean, annotations: {seatrial.dev/accept: 'too-short-to-prove, freeze-hides-fsync'}}"),
    ]);
    warned(
        &[accept("{name: clean, annotations: {seatrial.dev/accept: freeze-hides-sync}}")],
        "unknown-lint",
        "3:60: metadata.annotations.seatrial.dev/accept",
        "accepts `freeze-hides-sync`, which is no lint: did you mean `freeze-hides-fsync`?",
    );
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there").flatten();
    let found = entries
        .map(|entry| entry.path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

#[test]
fn shipped_experiments_have_no_warnings() {
    let files = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments"));
    assert!(files.len() > 40, "{files:?}");
    let mut told = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file).expect("it can be read");
        let documents = document::split(&file.display().to_string(), &bytes).expect("it has documents");
        let set = documents.iter().find(|document| document.text.contains("kind: StatefulSet"));
        let target = Found::read(set.expect("it has one")).expect("it can be read").facts();
        let experiment = experiment(&documents[0]).expect("it is valid");
        told.extend(lint(&documents[0], &experiment, Some(&target)).iter().map(ToString::to_string));
    }
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn names_are_written_as_names_of_lints_are() {
    for lint in &LINTS {
        assert!(lint.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", lint.name);
    }
}

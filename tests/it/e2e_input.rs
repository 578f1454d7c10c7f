//! What a person can get wrong before anything starts: each has its text, its place and its exit code.
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

use std::process::Stdio;

use crate::e2e_fixture::{Desk, Done, experiments_in, quickstart_with, shipped, text_of};

/// Changes the quickstart and expects `validate` to refuse it with exit 20. Each expectation is a text of the line that
/// is blamed, and the column with what is said.
fn refused(changes: &[(&str, &str)], expected: &[(&str, &str)]) {
    let desk = Desk::new();
    let text = quickstart_with(changes);
    desk.write("x.yaml", &text);
    let mut done = desk.run(&["validate", "x.yaml"]).exits(20);
    for (blamed, words) in expected {
        done = done.says(&format!("x.yaml:{}:{words}", line_of(&text, blamed)));
    }
    assert_eq!(done.out, "", "data is for what is valid");
    // A run tells the same before it starts anything.
    let run = desk.run(&["run", "x.yaml", "--out", "out"]).exits(20);
    assert_eq!(run.err, done.err);
    assert!(!desk.path("out").exists());
}

/// The number of the first line that holds this, from 1.
fn line_of(text: &str, part: &str) -> usize {
    let found = text.lines().position(|line| line.contains(part));
    1 + found.unwrap_or_else(|| panic!("no line has `{part}`"))
}

/// Shipped experiments that a sandbox cannot run, each with how many of its steps are done through an API server, and how
/// many of its claims are measured by one.
const IN_CLUSTERS: [(&str, usize, usize); 10] = [
    ("experiments/etcd/attach-block.yaml", 0, 2),
    ("experiments/etcd/node-lost.yaml", 2, 2),
    ("experiments/etcd/rolling-attach-block.yaml", 0, 2),
    ("experiments/etcd/scheduling-block.yaml", 1, 0),
    ("experiments/etcd/snapshot-block.yaml", 3, 2),
    ("experiments/postgres/node-lost.yaml", 2, 2),
    ("experiments/workers/claim-lost.yaml", 1, 2),
    ("experiments/workers/detach-stuck.yaml", 2, 2),
    ("experiments/workers/node-off.yaml", 1, 2),
    ("experiments/workers/provision-block.yaml", 1, 0),
];

#[test]
fn every_shipped_experiment_is_valid_and_can_be_planned() {
    let desk = Desk::new();
    let files = experiments_in("experiments");
    assert!(files.len() >= 7, "{files:?}");
    for file in files {
        if let Some((_, steps, claims)) = IN_CLUSTERS.iter().find(|(name, ..)| file.ends_with(name)) {
            // That it is not for a sandbox is the only thing against it.
            let told = desk.run(&["validate".as_ref(), file.as_os_str()]).exits(20);
            let everything = format!("{} {}", told.out, told.err);
            let apart = |what: &str| {
                let words = format!(
                    "{what} an API server, which a sandbox does not have: run it with --on kubernetes"
                );
                everything.matches(&words).count()
            };
            let counted = (apart("is done through"), apart("asks"));
            assert_eq!(counted, (*steps, *claims), "{}: {everything}", file.display());
            let all = steps + claims;
            told.says(if all == 1 { "1 problem found" } else { "problems found" });
            assert!(everything.contains(&format!("{all} problem")), "{everything}");
            continue;
        }
        desk.run(&["validate".as_ref(), file.as_os_str()]).exits(0).says("is valid against StatefulSet");
        let plan = desk.run(&["plan".as_ref(), file.as_os_str()]).exits(0);
        let widest = plan.out.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{}: {}", file.display(), plan.out);
    }
}

#[test]
fn tells_every_mistake_with_its_place_and_what_to_write_instead() {
    refused(
        &[("      at: 1s\n", "      att: 1s\n")],
        &[("att: 1s", "7: spec.steps[0].att: unknown field `att`: did you mean `at`?")],
    );
    refused(
        &[("clients: 8", "clients: many")],
        &[("clients: many", "14: spec.workload.clients: the text `many` is not a whole number")],
    );
    refused(
        &[("isolate: {role: leader}", "isolate: {ordinals: [3]}")],
        &[("isolate:", "14: spec.steps[0].fault: ordinal 3 does not exist: `refkv` has 0 to 2")],
    );
    refused(
        &[("for: 8s", "for: 8")],
        &[("for: 8", "12: spec.steps[0].for: `8` has no unit: write a number with a unit")],
    );
    refused(
        &[("    store: {refkv: {}}\n", "")],
        &[
            ("isolate:", "14: spec.steps[0].fault: roles are known only from a store"),
            ("sli: {quorum: {}}", "12: spec.hypothesis[0].sli: `quorum` is asked of a store"),
            ("clients: 8", "5: spec.workload: clients need a store to speak to"),
        ],
    );
    refused(
        &[("sli: {quorum: {}}", "sli: {quorumm: {}}")],
        &[(
            "quorumm",
            "13: spec.hypothesis[0].sli.quorumm: `quorumm` is not known here: did you mean `quorum`?",
        )],
    );
}

#[test]
fn tells_what_steps_do_to_each_other() {
    let twice =
        "  steps:\n    - {name: cut-leader, at: 30s, for: 1s, fault: {networkPartition: {halves: {}}}}\n";
    refused(
        &[("  steps:\n", twice)],
        &[(
            "- name: cut-leader",
            "13: spec.steps[1].name: `cut-leader` is used twice: give each one a name of its own",
        )],
    );
    let both = "  steps:
    - {name: pause, at: 1s, for: 9s, fault: {processPause: {members: {ordinals: [1]}}}}
    - {name: kill, at: 2s, fault: {podKill: {members: {ordinals: [1, 2]}}}}\n";
    refused(
        &[("  steps:\n", both)],
        &[(
            "name: kill",
            "35: spec.steps[1].fault: contradicts step `pause`, which hits ordinal 1 at the same time",
        )],
    );
}

#[test]
fn an_experiment_that_claims_or_does_nothing_is_refused() {
    let text = quickstart_with(&[]);
    let (before, rest) = text.split_once("  hypothesis:\n").expect("it has hypotheses");
    let (_, after) = rest.split_once("---\n").expect("it has manifests");
    let desk = Desk::new();
    let claimless = format!("{before}  hypothesis: []\n---\n{after}");
    desk.write("x.yaml", &claimless);
    let line = line_of(&claimless, "hypothesis: []");
    desk.run(&["validate", "x.yaml"])
        .exits(20)
        .says(&format!("x.yaml:{line}:15: spec.hypothesis: claims nothing, so nothing could be judged"));

    let (before, rest) = text.split_once("  steps:\n").expect("it has steps");
    let (_, after) = rest.split_once("  hypothesis:\n").expect("it has hypotheses");
    let idle = format!("{before}  steps: []\n  hypothesis:\n{after}");
    desk.write("x.yaml", &idle);
    let line = line_of(&idle, "steps: []");
    desk.run(&["validate", "x.yaml"])
        .exits(20)
        .says(&format!("x.yaml:{line}:10: spec.steps: breaks nothing, so nothing would be tried"));
}

#[test]
fn all_problems_of_all_files_are_told_at_once() {
    let desk = Desk::new();
    let text = quickstart_with(&[
        ("clients: 8", "clients: eight"),
        ("for: 8s", "for: soon"),
        ("longestOutage: 5s", "longestOutage: 5"),
        ("  replicas: 3\n", "  replicaz: 3\n"),
    ]);
    desk.write("x.yaml", &text);
    desk.write("y.yaml", "kind: [\n");
    let done = desk.run(&["validate", "x.yaml", "y.yaml", "z.yaml"]).exits(20);
    let places = [
        ("clients: eight", "14: spec.workload.clients: the text `eight`"),
        ("for: soon", "12: spec.steps[0].for: `soon`"),
        ("longestOutage: 5", "31: spec.hypothesis[0].during.longestOutage: `5`"),
        ("replicaz: 3", "3: spec.replicaz: "),
    ];
    let places = places.map(|(blamed, words)| format!("x.yaml:{}:{words}", line_of(&text, blamed)));
    for place in places.iter().map(String::as_str).chain([
        "y.yaml:1:7: is not valid YAML: unclosed bracket",
        "z.yaml: cannot be read: No such file or directory",
    ]) {
        assert!(done.err.contains(place), "no {place} in\n{}", done.err);
    }
    assert!(done.err.contains("error: 6 problems found, nothing was started"));
    let order = ["x.yaml:", "y.yaml:", "z.yaml:"].map(|file| done.err.find(file));
    assert!(order.is_sorted(), "in the order of the command line: {}", done.err);
}

#[test]
fn refuses_files_that_are_something_else() {
    let desk = Desk::new();
    let junk: Vec<u8> = (0..100_000_u32).map(|n| (n * 37 % 251) as u8).collect();
    desk.write("junk.yaml", junk);
    desk.write("control.yaml", "kind: \u{1}\n");
    desk.write("large.yaml", "# a comment\n".repeat(10 << 20 >> 3));
    desk.write("empty.yaml", "# nothing\n---\n");
    desk.write("list.yaml", "- 1\n- 2\n");
    std::fs::create_dir(desk.path("folder")).expect("a folder can be made");
    for (file, words) in [
        ("junk.yaml", "junk.yaml: is not UTF-8 text"),
        ("control.yaml", "has the control character U+0001 on line 1"),
        ("large.yaml", "large.yaml: is larger than 1 MiB"),
        ("empty.yaml", "empty.yaml: has no YAML document in it"),
        ("list.yaml", "list.yaml:1:1: apiVersion: `apiVersion` is missing"),
        ("folder", "folder: cannot be read: Is a directory"),
        ("none.yaml", "none.yaml: cannot be read: No such file or directory"),
    ] {
        desk.run(&["validate", file]).exits(20).says(words);
        desk.run(&["run", file]).exits(20).says(words);
    }
}

#[test]
fn refuses_text_that_nobody_wrote_in_good_faith() {
    let desk = Desk::new();
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    desk.write("bomb.yaml", bomb);
    desk.run(&["validate", "bomb.yaml"]).exits(20).says("bomb.yaml:");
    for levels in [25, 64, 200, 100_000] {
        let texts = [
            format!("apiVersion: {}1{}", "[".repeat(levels), "]".repeat(levels)),
            format!("apiVersion: {}1", "{a: ".repeat(levels)),
            format!("apiVersion:\n{}1", "- ".repeat(levels)),
        ];
        for text in texts {
            desk.write("deep.yaml", text);
            desk.run(&["validate", "deep.yaml"])
                .exits(20)
                .says("deep.yaml:")
                .says("is nested deeper than 24 levels");
        }
    }
}

#[test]
fn what_does_not_fit_together_is_a_mistake_of_the_command_line() {
    let desk = Desk::new();
    let text = text_of(&shipped("experiments/quickstart.yaml"));
    let (experiment, manifest) = text.split_once("---\n").expect("it has manifests");
    desk.write("experiment.yaml", experiment);
    desk.write("manifest.yaml", manifest);
    desk.run(&["run", "experiment.yaml"])
        .exits(2)
        .says("the files hold an Experiment but no StatefulSet to break")
        .says("hint: give the manifest as well: seatrial run experiment.yaml statefulset.yaml");
    desk.run(&["run", "manifest.yaml"]).exits(2).says("the files hold no Experiment");
    desk.run(&["run", "experiment.yaml", "manifest.yaml", "experiment.yaml"])
        .exits(20)
        .says("experiment.yaml:")
        .says("is a second Experiment beside the one in experiment.yaml");
    for (line, word, right) in [
        ("kind: Experiment", "Experimnt", "Experiment"),
        ("apiVersion: seatrial.dev/v1alpha1", "seatrial.dev/v1", "seatrial.dev/v1alpha1"),
    ] {
        let (field, _) = line.split_once(": ").expect("a field and its value");
        desk.write("another.yaml", experiment.replace(line, &format!("{field}: {word}")));
        let place = format!("{}:{}", line_of(experiment, line), field.len() + 3);
        desk.run(&["validate", "another.yaml"]).exits(20).says(&format!(
            "another.yaml:{place}: {field}: `{word}` is nothing that this version runs: write `{right}`"
        ));
    }
    desk.run(&["run", "experiment.yaml", "--sandbox", "none"]).exits(22).says("none");
    desk.run(&["run", "experiment.yaml", "--sead", "7"]).exits(2);
    std::fs::create_dir(desk.path("empty")).expect("a folder can be made");
    for command in ["judge", "report"] {
        for (run, journal) in [("nowhere", "nowhere"), ("empty", "empty/journal.jsonl")] {
            desk.run(&[command, run])
                .exits(2)
                .says(&format!("cannot read the journal {journal}: it is not there"))
                .says("hint: give a run's folder, for example runs/");
        }
    }
    assert!(!desk.path("nowhere").exists(), "nothing is made where nothing is told");
    // What writes nothing takes no folder to write to.
    desk.run(&["judge", "nowhere", "--out", "x"]).exits(2).says("unexpected argument '--out'");
    desk.write("torn.jsonl", "");
    desk.run(&["judge", "torn.jsonl"]).exits(1).says("this is no journal");
}

#[test]
fn standard_input_is_a_file_as_well() {
    use std::io::Write;
    let desk = Desk::new();
    let mut command = desk.command(&["validate", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let text = quickstart_with(&[("at: 1s", "at: 1")]);
    child.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("the program reads");
    let output = child.wait_with_output().expect("the program ends");
    Done::of(output)
        .exits(20)
        .says(&format!("<stdin>:{}:11: spec.steps[0].at: `1` has no unit", line_of(&text, "at: 1")));
}

//! What helps people write experiments: the catalogue, schemas, first experiments, warnings and the manual.

use std::io::Write;
use std::process::Stdio;

use crate::e2e_fixture::{Desk, Done, quickstart_with, shipped, text_of};

/// A shipped file, cut into its experiment and its manifest.
fn manifest_of(path: &str) -> String {
    let text = text_of(&shipped(path));
    let (_, manifest) = text.split_once("---\n").expect("it has manifests");
    manifest.to_owned()
}

#[test]
fn the_catalogue_lists_and_explains() {
    let desk = Desk::new();
    let faults = desk.run(&["faults"]).exits(0).says("hint: seatrial faults NAME");
    assert!(faults.out.starts_with("podKill            anywhere  delete a pod"), "{}", faults.out);
    assert!(faults.out.contains("\nclaimDelete        cluster   "), "{}", faults.out);
    desk.run(&["slis"]).exits(0).says("commitLatency");
    desk.run(&["stores"]).exits(0).says("PostgreSQL 11 and later");
    for (arguments, words) in [
        (["faults", "diskStall"], "Where it works\n  sandbox, cluster\n"),
        (["faults", "diskStall"], "How its effect is proven\n  Another freeze is answered EBUSY"),
        (
            ["faults", "diskStall"],
            "  members: mapping, required\n      Whose.\n      count: number, percentage,",
        ),
        (
            ["faults", "diskStall"],
            "      for: 20s\n      fault:\n        diskStall:\n          members: {role: leader}\n",
        ),
        (
            ["slis", "commitLatency"],
            "  quantile: quantile, as 0.5 or 0.99\n      Which quantile. Default 0.99.\n",
        ),
        (["stores", "postgres"], "  port: number from 0 to 65535, default 5432\n      The port.\n"),
    ] {
        desk.run(&arguments).exits(0).says(words);
    }
}

#[test]
fn programs_read_the_catalogue() {
    let desk = Desk::new();
    let all = desk.run(&["faults", "-o", "json"]).exits(0);
    assert_eq!(all.err, "");
    let all: serde_json::Value = serde_json::from_str(&all.out).expect("it is JSON");
    let names: Vec<_> = all.as_array().expect("a list").iter().map(|entry| &entry["name"]).collect();
    assert!(names.len() > 20 && names.contains(&&"volumeAttachBlock".into()), "{names:?}");
    let one = desk.run(&["faults", "podKill", "-o", "yaml"]).exits(0);
    let one: serde_json::Value = serde_yaml::from_str(&one.out).expect("it is YAML");
    assert_eq!(one["works"], serde_json::json!(["sandbox", "cluster"]));
    assert_eq!(one["parameters"][0]["name"], "members");
    desk.run(&["stores", "-o", "json"]).exits(0).says("\"name\": \"etcd\"");
}

#[test]
fn a_slip_of_the_finger_is_told_what_was_meant() {
    let desk = Desk::new();
    for (arguments, meant) in [
        (["faults", "diskStal"], "diskStall"),
        (["slis", "comitLatency"], "commitLatency"),
        (["stores", "postgress"], "postgres"),
        (["schema", "experimnt"], "experiment"),
    ] {
        desk.run(&arguments).exits(2).says(&format!("a similar value exists: '{meant}'"));
    }
}

#[test]
fn schemas_are_those_that_are_checked_in() {
    let desk = Desk::new();
    for (arguments, file) in [
        (&["schema"][..], "deploy/experiment.schema.json"),
        (&["schema", "experiment"], "deploy/experiment.schema.json"),
        (&["schema", "report"], "deploy/report.schema.json"),
    ] {
        assert_eq!(desk.run(arguments).exits(0).out, text_of(&shipped(file)));
    }
}

#[test]
fn a_first_experiment_can_be_planned_as_it_is() {
    let desk = Desk::new();
    for (path, says) in [
        ("experiments/quickstart.yaml", "networkPartition"),
        ("experiments/etcd/leader-cut.yaml", "etcd, because its image is"),
        ("experiments/postgres/slow-fsync.yaml", "processPause"),
        ("experiments/workers/detach-stuck.yaml", "podKill"),
    ] {
        desk.write("set.yaml", manifest_of(path));
        let done = desk.run(&["init", "set.yaml", "-o", "first.yaml", "--force"]).exits(0);
        assert_eq!(done.out, "");
        let text = text_of(&desk.path("first.yaml"));
        assert!(text.contains(says), "{says}: {text}");
        desk.run(&["validate", "--strict", "first.yaml", "set.yaml"]).exits(0).says("is valid against");
        desk.run(&["plan", "first.yaml", "set.yaml"]).exits(0);
        assert_eq!(
            desk.run(&["init", "set.yaml"]).exits(0).out,
            text,
            "it is printed where no file is named"
        );
    }
}

#[test]
fn what_is_named_is_taken_and_what_cannot_be_is_refused() {
    let desk = Desk::new();
    desk.write("set.yaml", manifest_of("experiments/etcd/leader-cut.yaml"));
    let named = ["init", "set.yaml", "--fault", "diskLatency", "--store", "none", "--name", "mine"];
    let text = desk.run(&named).exits(0).out;
    assert!(
        text.contains("  name: mine\n") && text.contains("diskLatency:") && !text.contains("store: {"),
        "{text}"
    );
    desk.write("there.yaml", "precious");
    desk.run(&["init", "set.yaml", "-o", "there.yaml"])
        .exits(2)
        .says("there.yaml is there already")
        .says("--force");
    assert_eq!(text_of(&desk.path("there.yaml")), "precious");
    desk.run(&["init", "set.yaml", "--container", "etce"]).exits(2).says("it has `etcd`");
    desk.run(&["init", "set.yaml", "--fault", "podKil"]).exits(2).says("'podKill'");
    for name in ["Foo Bar", "x-", ""] {
        let told = format!("`{name}` is not an experiment's name: write lower-case letters");
        let done = desk.run(&["init", "set.yaml", "--name", name]).exits(2).says(&told);
        assert!(!done.err.contains("hint:") && !done.err.contains("draft:"), "{}", done.err);
    }
    desk.run(&["init", "nowhere.yaml"]).exits(20).says("nowhere.yaml: cannot be read");
    desk.write("none.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n");
    desk.run(&["init", "none.yaml"]).exits(2).says("none.yaml holds no StatefulSet");
    desk.write("list.yaml", "apiVersion: v1\nkind: List\nitems: []\n");
    desk.run(&["init", "list.yaml"]).exits(2).says("list.yaml holds no StatefulSet");
    let wrong = manifest_of("experiments/etcd/leader-cut.yaml").replace("replicas: 3", "replicas: three");
    desk.write("wrong.yaml", wrong);
    desk.run(&["init", "wrong.yaml"])
        .exits(20)
        .says("wrong.yaml:19:13: spec.replicas: the text `three` is not a whole number");
    let bare = manifest_of("experiments/etcd/leader-cut.yaml");
    let (bare, _) = bare.split_once("  volumeClaimTemplates:").expect("it has claims");
    desk.write("bare.yaml", bare);
    desk.run(&["init", "bare.yaml", "--fault", "diskStall"]).exits(2).says("StatefulSet etcd has none");
}

#[test]
fn a_list_is_read_as_its_items_are() {
    let desk = Desk::new();
    let documents = manifest_of("experiments/etcd/leader-cut.yaml");
    desk.write("set.yaml", &documents);
    let drafted = desk.run(&["init", "set.yaml", "-o", "x.yaml"]).exits(0);
    assert_eq!(drafted.out, "");
    let item = |document: &str| format!("- {}\n", document.trim_end().replace('\n', "\n  "));
    let items = documents.split("---\n").map(item).collect::<Vec<_>>().concat();
    let list = format!("apiVersion: v1\nitems:\n{items}kind: List\nmetadata:\n  resourceVersion: \"\"\n");
    desk.write("set.yaml", &list);
    assert_eq!(desk.run(&["init", "set.yaml"]).exits(0).out, text_of(&desk.path("x.yaml")));
    desk.run(&["validate", "x.yaml", "set.yaml"]).exits(0).says("is valid against StatefulSet etcd");
    let broken = list.replace("replicas: 3", "replicas: three");
    let line = 1 + broken.lines().position(|line| line == "    replicas: three").expect("it is there");
    desk.write("set.yaml", broken);
    desk.run(&["validate", "x.yaml", "set.yaml"])
        .exits(20)
        .says(&format!("set.yaml:{line}:15: spec.replicas: must be a whole number"))
        .says(&format!("{line:>5} |     replicas: three\n"));
}

#[test]
fn whoever_sits_at_a_terminal_is_asked() {
    let desk = Desk::new();
    desk.write("set.yaml", manifest_of("experiments/etcd/leader-cut.yaml"));
    let seatrial = env!("CARGO_BIN_EXE_seatrial");
    // It gives the program a terminal, and is on every Debian (bsdutils).
    let mut command = std::process::Command::new("script");
    command
        .args(["-qec", &format!("{seatrial} init set.yaml -o asked.yaml"), "/dev/null"])
        .current_dir(desk.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("script is there");
    let mut answers = child.stdin.take().expect("it is piped");
    answers.write_all(b"podKil\npodKill\n").expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    drop(answers);
    let done = Done::of(output).exits(0).says("did you mean `podKill`?");
    assert!(
        done.out.contains("What is to be broken?") && done.out.contains("[networkPartition]"),
        "{}",
        done.out
    );
    assert!(text_of(&desk.path("asked.yaml")).contains("podKill:"));
}

#[test]
fn warnings_change_no_exit_code_unless_they_shall() {
    let desk = Desk::new();
    desk.write("x.yaml", quickstart_with(&[("longestOutage: 5s", "longestOutage: 8s")]));
    let warned = desk.run(&["validate", "x.yaml"]).exits(0).says("is valid against");
    let line = "x.yaml:26:31: spec.hypothesis[0].during.longestOutage: cannot be broken";
    assert!(
        warned.err.contains(&format!("warning: {line}")) && warned.err.contains("[never-broken]"),
        "{}",
        warned.err
    );
    assert!(warned.err.contains("hint: what is meant is accepted by its name"), "{}", warned.err);
    assert_eq!(desk.run(&["validate", "--strict", "x.yaml"]).exits(20).out, "");
    desk.run(&["plan", "x.yaml"]).exits(0).says("[never-broken]");
    let accepting =
        ("  name: quickstart\n", "  name: quickstart\n  annotations: {seatrial.dev/accept: never-broken}\n");
    desk.write("y.yaml", quickstart_with(&[("longestOutage: 5s", "longestOutage: 8s"), accepting]));
    let accepted = desk.run(&["validate", "--strict", "y.yaml"]).exits(0);
    assert!(!accepted.err.contains("warning"), "{}", accepted.err);
}

#[test]
fn there_is_a_page_of_the_manual_for_every_command_and_every_command_is_completed() {
    let desk = Desk::new();
    desk.run(&["man", "pages"]).exits(0);
    let help = desk.run(&["--help"]).exits(0).out;
    let (_, rest) = help.split_once("Commands:\n").expect("commands");
    let (commands, _) = rest.split_once("\n\n").expect("options");
    let commands: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 20 && commands.contains(&"init"), "{commands:?}");
    let completions = desk.run(&["completions", "bash"]).exits(0).out;
    for command in commands.into_iter().filter(|command| *command != "help") {
        let page = text_of(&desk.path(&format!("pages/seatrial-{command}.1")));
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
        assert!(completions.contains(&format!("seatrial,{command})")), "{command} is not completed");
    }
    assert!(completions.contains("networkPartition"), "names of faults are completed");
    for hidden in ["agent", "runner", "controller"] {
        assert!(
            !desk.path(&format!("pages/seatrial-{hidden}.1")).exists(),
            "{hidden} is not typed by people"
        );
    }
    desk.run(&["man"]).exits(0).says(".TH");
}

//! What a run leaves and shows: for people, for continuous integration, for programs.

use std::process::{Command, Stdio};

use crate::e2e_fixture::{Desk, Done, Seat, patient_quickstart_with, quickstart_with, shipped, text_of};
use crate::e2e_recorded::recorded;

#[test]
fn the_report_says_what_the_person_was_told() {
    let run = recorded();
    let report = run.report();
    assert_eq!(report["verdict"], "Pass");
    assert_eq!(report["seed"], 7);
    let told = run.done.out.as_str();
    assert!(told.starts_with("PASS  quickstart  "), "{told}");
    let mut expected = vec![report["headline"].clone()];
    for claim in report["claims"].as_array().expect("claims") {
        expected.extend([claim["name"].clone(), claim["sentence"].clone()]);
    }
    for text in expected {
        let text = text.as_str().expect("a text");
        assert!(told.contains(text), "`{text}` is not in\n{told}");
    }
    assert_eq!(report["steps"][0]["step"], "cut-leader");
    let proof = report["steps"][0]["proof"].as_str().expect("a proof");
    assert!(told.contains(proof) && proof.contains("EPERM"), "{told}");
}

#[test]
fn the_report_is_as_its_schema_says() {
    let schema = text_of(&shipped("deploy/report.schema.json"));
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    let schema = serde_json::from_str(&schema).expect("a schema is JSON");
    compiler.add_resource("report.schema.json", schema).expect("a schema is a resource");
    let index = compiler.compile("report.schema.json", &mut schemas).expect("it is a schema");
    let report = recorded().report();
    if let Err(error) = schemas.validate(&report, index) {
        panic!("{error:#}");
    }
}

#[test]
fn junit_has_a_case_for_each_hypothesis_and_step() {
    let run = recorded();
    let parsed = quick_junit::Report::deserialize_from_str(&run.text("junit.xml")).expect("it is JUnit XML");
    assert_eq!(parsed.test_suites.len(), 1);
    let suite = &parsed.test_suites[0];
    assert_eq!(suite.name.as_str(), "quickstart");
    let cases: Vec<_> = suite.test_cases.iter().map(|case| case.name.as_str()).collect();
    let report = run.report();
    let claims = report["claims"].as_array().expect("claims");
    let names = claims.iter().filter_map(|claim| claim["name"].as_str());
    assert_eq!(cases, names.chain(["cut-leader"]).collect::<Vec<_>>());
    assert_eq!((parsed.failures, parsed.errors), (0, 0));
}

#[test]
fn the_page_says_the_verdict_first_and_shows_the_run() {
    let run = recorded();
    let page = run.text("report.html");
    let (header, rest) = page.split_once("</header>").expect("the page has a header");
    let report = run.report();
    let headline = report["headline"].as_str().expect("a headline");
    assert!(
        header.contains("refkv kept all 4 of its promises while networkPartition hit member "),
        "{header}"
    );
    assert!(header.contains(headline), "{header}");
    // The first election need not be the one that somebody wins.
    let journal = run.text("journal.jsonl");
    let (before, _) = journal.split_once("\"effect\":{\"began\"").expect("the leader was cut off");
    let (_, leads) = before.rsplit_once("\"role\":\"leader\",\"term\":").expect("somebody led before");
    let (term, _) = leads.split_once(',').expect("a number");
    let leads = format!("leads term {term}");
    for words in ["cut-leader: networkPartition on member ", &leads, "EPERM", "--seed 7", "rejoined"] {
        assert!(rest.contains(words), "no `{words}` in the page");
    }
    assert!(run.done.err.contains("report.html in a browser"), "{}", run.done.err);
}

#[test]
fn reports_are_the_same_whenever_they_are_written() {
    let run = recorded();
    let desk = Desk::new();
    let done =
        desk.run(&["report".as_ref(), run.folder.as_os_str(), "--out".as_ref(), "again".as_ref()]).exits(0);
    assert_eq!(done.out, run.done.out);
    for name in ["report.html", "report.json", "junit.xml", "summary.md"] {
        let again = crate::e2e_fixture::text_of(&desk.path("again").join(name));
        assert!(again == run.text(name), "{name} differs");
    }
    let quiet = desk.run(&["judge".as_ref(), run.folder.as_os_str(), "--quiet".as_ref()]).exits(0);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("Pass\n", ""));
}

#[test]
fn without_a_terminal_there_are_plain_lines() {
    let run = recorded();
    assert!(!run.done.err.contains('\u{1b}') && !run.done.out.contains('\u{1b}'));
    for words in [
        "quickstart with seed 7",
        "preflight: waiting for the target to be healthy",
        "baseline: the steady state must hold",
        "cut-leader: injecting on",
        "cut-leader: in force, proven",
        "cut-leader: reverted, verified",
        "settling: reading the ledger",
        "hint: journal, reports and logs are in",
    ] {
        assert!(run.done.err.contains(words), "no `{words}` in\n{}", run.done.err);
    }
}

#[test]
fn the_containers_logs_are_kept() {
    for ordinal in 0..3 {
        let log = recorded().folder.join(format!("logs/refkv-{ordinal}/refkv.log"));
        assert!(log.is_file(), "{}", log.display());
    }
}

#[test]
fn the_folder_holds_what_repeats_the_run() {
    let run = recorded();
    let command = "seatrial run experiment.yaml statefulset.yaml --seed 7";
    assert!(run.text("report.html").contains(command));
    // The command, short of running it.
    let output = Command::new(env!("CARGO_BIN_EXE_seatrial"))
        .args(["plan", "experiment.yaml", "statefulset.yaml", "--seed", "7"])
        .current_dir(&run.folder)
        .output()
        .expect("the program starts");
    let done = Done::of(output).exits(0);
    assert!(done.out.contains("cut-leader"), "{}", done.out);
    assert!(run.text("statefulset.yaml").contains("kind: StatefulSet"));
}

#[test]
fn a_folder_that_holds_a_run_is_not_written_into() {
    let run = recorded();
    let desk = Desk::new();
    desk.write("x.yaml", quickstart_with(&[]));
    let before = run.text("journal.jsonl");
    desk.run(&["run".as_ref(), "x.yaml".as_ref(), "--out".as_ref(), run.folder.as_os_str()])
        .exits(2)
        .says("holds a run already: choose another --out");
    assert!(run.text("journal.jsonl") == before);
    let none = std::fs::read_dir(desk.state().join("sandboxes"));
    assert!(none.is_err(), "nothing was started");
}

#[test]
fn a_terminal_of_eighty_columns_is_enough() {
    let _seat = Seat::take();
    let desk = Desk::new();
    desk.write("x.yaml", short());
    let on_a_terminal = |arguments: &str, variables: &[(&str, &str)]| {
        let program = env!("CARGO_BIN_EXE_seatrial");
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command"])
            .arg(format!("stty cols 80 rows 40; exec {program} {arguments}"))
            .arg("/dev/null")
            .current_dir(desk.path(""))
            .env("SEATRIAL_STATE", desk.state())
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("script is installed");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{shown}");
        shown
    };
    let coloured = on_a_terminal("run x.yaml --seed 7 --out out", &[]);
    assert!(coloured.contains("\u{1b}[32mPASS\u{1b}[0m  quickstart"), "{coloured}");
    let judged = on_a_terminal("judge out", &[("NO_COLOR", "1")]);
    assert!(judged.contains("PASS  quickstart") && !judged.contains('\u{1b}'), "{judged}");
    let shown = plain(&coloured);
    for line in shown.split(['\n', '\r']) {
        assert!(line.chars().count() <= 80, "{} wide: {line}", line.chars().count());
    }
    for words in
        ["faulting", "fault   pause on member 2", "refkv-0", "leader (term", "load ", "PASS  quickstart"]
    {
        assert!(shown.contains(words), "no `{words}` in\n{shown}");
    }
}

#[test]
fn a_step_summary_gets_the_verdict_and_the_command_that_repeats_it() {
    let run = recorded();
    let summary = run.text("summary.md");
    assert!(summary.starts_with("## Seatrial: quickstart\n\n**PASS** all 4 claims held "), "{summary}");
    assert!(summary.contains("| Pass | no acknowledged write is lost | durability: all "), "{summary}");
    let command = "seatrial run experiment.yaml statefulset.yaml --seed 7";
    assert!(summary.ends_with(&format!("```sh\n{command}\n```\n")), "{summary}");
    let _seat = Seat::take();
    let desk = Desk::new();
    let hostile = "a | b `c` <b>d</b> **e** @f";
    desk.write("it's.yaml", short().replace("no acknowledged write is lost", &format!("'{hostile}'")));
    desk.write("steps.md", "what came before");
    let output = desk
        .command(&["run", "it's.yaml", "--quiet", "--seed", "7", "--out", "out"])
        .env("GITHUB_STEP_SUMMARY", "steps.md")
        .output()
        .expect("the program starts");
    Done::of(output).exits(0);
    let text = text_of(&desk.path("steps.md"));
    let written = text.strip_prefix("what came before\n\n## Seatrial: quickstart\n").expect("it is appended");
    assert!(written.contains("| Pass | a &#124; b &#96;c&#96; &#60;b&#62;d&#60;/b&#62; "), "{written}");
    assert!(written.ends_with("```sh\nseatrial run 'it'\\''s.yaml' --seed 7\n```\n"), "{written}");
}

#[test]
fn quiet_prints_the_verdict_only() {
    let _seat = Seat::take();
    let desk = Desk::new();
    desk.write("x.yaml", short());
    let done = desk.run(&["run", "x.yaml", "--quiet", "--seed", "7", "--out", "out"]).exits(0);
    assert_eq!((done.out.as_str(), done.err.as_str()), ("Pass\n", ""));
}

/// The quickstart with a short pause of one member in place of its cut.
fn short() -> String {
    patient_quickstart_with(&[
        ("  name: quickstart\n", "  name: quickstart\n  annotations: {seatrial.dev/accept: never-broken}\n"),
        ("      for: 8s\n", "      for: 2s\n"),
        ("- name: cut-leader", "- name: pause"),
        ("networkPartition: {isolate: {role: leader}}", "processPause: {members: {ordinals: [2]}}"),
    ])
}

/// A text without what moves the cursor and colours.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        let end = after.find(|c: char| c.is_ascii_alphabetic()).map_or(after.len(), |end| end + 1);
        rest = &after[end..];
    }
    plain + rest
}

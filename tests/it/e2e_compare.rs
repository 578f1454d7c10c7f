//! Two recorded runs side by side. The second is the first with something else on record.

use serde_json::Value;

use crate::e2e_fixture::{Desk, text_of};
use crate::e2e_recorded::{numbered_anew, recorded};

#[test]
fn a_run_is_the_same_as_itself() {
    let run = recorded();
    let desk = Desk::new();
    let journal = run.folder.join("journal.jsonl");
    // A folder and a journal are the same run.
    let done = desk
        .run(&[
            "compare".as_ref(),
            run.folder.as_os_str(),
            journal.as_os_str(),
            "--fail-on-regression".as_ref(),
        ])
        .exits(0)
        .says("SAME  quickstart  nothing got worse or better")
        .says("longest outage");
    assert_eq!(done.err, "");
    assert!(!done.out.contains("not comparable"), "{}", done.out);
}

#[test]
fn what_got_worse_is_told_and_fails_only_where_it_was_asked_for() {
    let run = recorded();
    let desk = Desk::new();
    // The same on a smaller machine, and whoever made the fault never said that it had an effect.
    let mut worse: Vec<String> = run.lines();
    let environment = "\"environment\":\"sandbox, Linux 0.9, 1 CPUs, as root\"";
    let from = worse[0].find("\"environment\"").expect("a header tells of its environment");
    let to = from + worse[0][from..].find("\",\"").expect("more follows") + 1;
    worse[0].replace_range(from..to, environment);
    let held = worse.iter().filter(|line| line.contains("\"holds\":true")).count();
    assert!(held > 0, "the fault was proven");
    worse.retain(|line| !line.contains("\"holds\":true"));
    desk.write("worse.jsonl", numbered_anew(&worse));
    let arguments = |more: &'static [&'static str]| {
        let mut all = vec!["compare".into(), run.folder.clone().into_os_string(), "worse.jsonl".into()];
        all.extend(more.iter().map(Into::into));
        all
    };
    let told = desk
        .run(&arguments(&[]))
        .exits(0)
        .says("quickstart: Inconclusive instead of Pass")
        .says("not comparable: another kernel: Linux ")
        .says("not comparable: another number of processors: ");
    assert!(told.out.starts_with("INCONCLUSIVE  quickstart  "), "{}", told.out);
    desk.run(&arguments(&["--fail-on-regression"])).exits(11).says("the second run is Inconclusive");
    let json = desk.run(&arguments(&["-o", "json"])).exits(0);
    let json: Value = serde_json::from_str(&json.out).expect("it is JSON");
    let yaml = desk.run(&arguments(&["-o", "yaml"])).exits(0);
    let yaml: Value = serde_yaml::from_str(&yaml.out).expect("it is YAML");
    assert_eq!(json, yaml);
    assert_eq!(json["second"]["verdict"], "Inconclusive");
    assert_eq!(json["worse"][0], "quickstart: Inconclusive instead of Pass");
    assert_eq!(json["claims"].as_array().map(Vec::len), Some(4));
    // A ledger of which every member holds nothing in the end.
    let mut lost: Vec<String> = run.lines();
    for line in lost.iter_mut().filter(|line| line.contains("{\"finalRead\":")) {
        let (from, to) = (line.find("\"values\":{"), line.find('}'));
        let (from, to) = from.zip(to).expect("every member was read");
        line.replace_range(from..=to, "\"values\":{}");
    }
    desk.write("worse.jsonl", lost.join("\n") + "\n");
    desk.run(&arguments(&["--fail-on-regression"])).exits(10).says("quickstart: Fail instead of Pass");
}

#[test]
fn what_cannot_be_read_is_told_as_by_judge() {
    let run = recorded();
    let desk = Desk::new();
    desk.run(&["judge", "nowhere"]).exits(2).says("cannot read the journal nowhere");
    desk.run(&["compare".as_ref(), run.folder.as_os_str(), "nowhere".as_ref()])
        .exits(2)
        .says("cannot read the journal nowhere");
    desk.run(&["compare".as_ref(), run.folder.as_os_str()]).exits(2);
    assert!(
        text_of(&run.folder.join("report.json")).contains("\"verdict\": \"Pass\""),
        "nothing was changed"
    );
}

//! One real run of the quickstart, made once and read by every test that needs a recorded run.
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use crate::e2e_fixture::{Desk, Done, Seat, shipped};

/// The run that tests share.
pub struct Recorded {
    /// Its folder.
    pub folder: PathBuf,
    /// What the command said when it was made.
    pub done: Done,
}

/// The shared run. The test that comes first makes it.
pub fn recorded() -> &'static Recorded {
    static RUN: OnceLock<Recorded> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("quickstart");
        if folder.exists() {
            std::fs::remove_dir_all(&folder).expect("an earlier run can be removed");
        }
        let _seat = Seat::take();
        let desk = Desk::new();
        let done = desk.run(&[
            "run".as_ref(),
            shipped("experiments/quickstart.yaml").as_os_str(),
            "--seed".as_ref(),
            "7".as_ref(),
            "--out".as_ref(),
            folder.as_os_str(),
        ]);
        Recorded { folder, done: done.exits(0) }
    })
}

impl Recorded {
    /// A file of it.
    pub fn text(&self, name: &str) -> String {
        crate::e2e_fixture::text_of(&self.folder.join(name))
    }

    /// The journal's lines.
    pub fn lines(&self) -> Vec<String> {
        self.text("journal.jsonl").lines().map(str::to_owned).collect()
    }

    /// Its report.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.text("report.json")).expect("the report is JSON")
    }
}

/// A journal of these lines, numbered anew, as whoever changes a record on purpose has to.
pub fn numbered_anew(lines: &[String]) -> String {
    let line = |(number, line): (usize, &String)| {
        let (before, after) = line.split_once("\"index\":").expect("every line has its number");
        format!("{before}\"index\":{number}{}\n", after.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    (1..).zip(lines).map(line).collect()
}

/// The report in a folder.
pub fn report_in(folder: &Path) -> Value {
    let text = crate::e2e_fixture::text_of(&folder.join("report.json"));
    serde_json::from_str(&text).expect("the report is JSON")
}

/// The last state that each Injection of a run is on record with.
pub fn last_states(folder: &Path) -> Vec<(String, String)> {
    let mut states: Vec<(String, String)> = Vec::new();
    for line in crate::e2e_fixture::text_of(&folder.join("journal.jsonl")).lines() {
        let line: Value = serde_json::from_str(line).expect("every line is JSON");
        let told = &line["entry"]["input"]["injection"];
        let (Some(name), Some(state)) = (told["name"].as_str(), told["status"]["state"].as_str()) else {
            continue;
        };
        match states.iter_mut().find(|(known, _)| known == name) {
            Some((_, last)) => state.clone_into(last),
            None => states.push((name.to_owned(), state.to_owned())),
        }
    }
    states
}

/// Fails unless something was injected and all of it is verified to be taken back.
#[track_caller]
pub fn all_reverted(folder: &Path) {
    let states = last_states(folder);
    assert!(!states.is_empty() && states.iter().all(|(_, state)| state == "Reverted"), "{states:?}");
}

/// A claim of a report, by its SLI.
pub fn claim<'a>(report: &'a Value, sli: &str) -> &'a Value {
    let claims = report["claims"].as_array().expect("a report has claims");
    let found = claims.iter().find(|claim| claim["sli"] == sli);
    found.unwrap_or_else(|| panic!("no claim about {sli} in {report:#}"))
}

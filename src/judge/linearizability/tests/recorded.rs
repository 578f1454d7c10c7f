//! The histories that porcupine-rs ships: 102 that Jepsen recorded on etcd 0.4, and 6 of an appending store.
//!
//! They are read from the crate's own folder, which cargo names, so that nothing of them is copied here.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use super::porcupine::{self, Asked, Recorded};
use super::*;
use crate::judge::linearizability::wgl::{Answer, Interval, Sequential};

/// The etcd histories that are linearizable, by porcupine's own tests; the cluster of number 95 did not start.
const CORRECT: [u32; 23] =
    [2, 5, 7, 18, 25, 31, 38, 45, 48, 49, 51, 53, 56, 67, 75, 76, 80, 87, 92, 98, 100, 101, 102];

#[test]
fn the_search_knows_the_verdicts_of_the_key_value_histories() {
    for (name, expected) in [
        ("c01-ok", true),
        ("c01-bad", false),
        ("c10-ok", true),
        ("c10-bad", false),
        ("c50-ok", true),
        ("c50-bad", false),
    ] {
        let keys = appends(&recorded(&format!("kv/{name}.txt")));
        // Some keys of the wrong histories take long; looking a little at each finds the wrong one first.
        let found = (10..24).find_map(|power| {
            let answers: Vec<Answer> =
                keys.values().map(|history| search_texts(history, 1 << power)).collect();
            let all = |wanted| answers.iter().all(|&answer| answer == wanted);
            let wrong = answers.contains(&Answer::NotLinearizable);
            (wrong || all(Answer::Linearizable)).then_some(!wrong)
        });
        assert_eq!(found, Some(expected), "{name}");
    }
}

fn recorded(name: &str) -> String {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(folder);
    std::fs::read_to_string(FOLDER.join("test_data").join(name)).unwrap()
}

/// Where cargo keeps porcupine-rs.
fn folder() -> PathBuf {
    let version = cargo(&["--version", "--verbose"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    // Only for this platform: a machine has downloaded what it builds, and offline cargo finds nothing else.
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let asked = ["metadata", "--format-version=1", "--offline", "--filter-platform", host];
    let told = cargo(&[asked.as_slice(), &["--manifest-path", manifest]].concat());
    let metadata: serde_json::Value = serde_json::from_str(&told).unwrap();
    let package = metadata["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == "porcupine-rs"));
    let manifest = package.and_then(|package| package["manifest_path"].as_str()).unwrap();
    PathBuf::from(manifest).parent().unwrap().to_owned()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `INFO  jepsen.util - 3  :invoke  :cas  [1 4]`; the time is the line.
fn etcd(log: &str) -> Vec<Recorded> {
    let mut history: Vec<Recorded> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for (time, line) in (0..).zip(log.lines()) {
        let Some((_, entry)) = line.split_once("jepsen.util - ") else {
            continue;
        };
        let words: Vec<&str> = entry.split_whitespace().collect();
        let [process, stage, _, ..] = words[..] else {
            continue;
        };
        let numbers: Vec<u64> =
            words[3..].iter().filter_map(|word| word.trim_matches(['[', ']']).parse().ok()).collect();
        match (stage, words[2], &numbers[..]) {
            (":invoke", function, numbers) => {
                let asked = match (function, numbers) {
                    (":read", _) => Asked::Read(None),
                    (":write", &[value]) => Asked::Write(value),
                    (":cas", &[expect, value]) => Asked::Swap { expect: Some(expect), value, known: false },
                    _ => panic!("{line}"),
                };
                open.insert(process, history.len());
                history.push((time, None, asked));
            }
            (":ok" | ":fail", function, numbers) => {
                let place = open.remove(process).unwrap();
                let (_, ret, asked) = &mut history[place];
                match (stage, function, numbers) {
                    // A read that failed stays without a return, and is taken out below.
                    (":fail", ":read", _) => continue,
                    (":ok", ":read", _) => *asked = Asked::Read(numbers.first().copied()),
                    (":ok", ":write", _) => {}
                    (":ok", ":cas", &[expect, value]) => {
                        *asked = Asked::Swap { expect: Some(expect), value, known: true };
                    }
                    (":fail", ":cas", &[expect, _]) => *asked = Asked::NotSeen(Some(expect)),
                    _ => panic!("{line}"),
                }
                *ret = Some(time);
            }
            _ => {}
        }
    }
    history.retain(|(_, ret, asked)| ret.is_some() || !matches!(asked, Asked::Read(_)));
    history
}

struct EtcdRegister<'a>(&'a [Recorded]);

impl Sequential for EtcdRegister<'_> {
    type State = Option<u64>;

    fn initial(&self) -> Option<u64> {
        None
    }

    fn apply(&self, operation: usize, state: &Option<u64>) -> Option<Option<u64>> {
        match self.0[operation].2 {
            Asked::Read(value) => (value == *state).then_some(*state),
            Asked::Write(value) => Some(Some(value)),
            Asked::Swap { expect, value, .. } => (expect == *state).then_some(Some(value)),
            Asked::NotSeen(value) => (value != *state).then_some(*state),
        }
    }
}

fn search(history: &[Recorded]) -> bool {
    let intervals: Vec<Interval> = history
        .iter()
        .map(|&(call, ret, _)| Interval { call, ret: ret.unwrap_or(u64::MAX), optional: ret.is_none() })
        .collect();
    match wgl::search(&EtcdRegister(history), &intervals, 2_000_000) {
        Answer::Linearizable => true,
        Answer::NotLinearizable => false,
        Answer::GaveUp => panic!("the search gave up"),
    }
}

fn ours((&(call, ret, asked), index): (&Recorded, u64)) -> Operation {
    let kind = match asked {
        Asked::Read(value) => Kind::Read { value },
        Asked::Write(value) => Kind::Write { value },
        Asked::Swap { expect, value, known } => {
            let outcome = if known { CasOutcome::Swapped } else { CasOutcome::Unknown };
            Kind::Cas { expect, value, outcome }
        }
        Asked::NotSeen(_) => panic!("it was filtered out"),
    };
    operation(index, call, ret, kind)
}

fn search_texts(history: &Texts, limit: usize) -> Answer {
    let intervals: Vec<Interval> = history
        .iter()
        .map(|&(call, ret, _)| Interval { call, ret: ret.unwrap_or(u64::MAX), optional: ret.is_none() })
        .collect();
    wgl::search(&Appending(history), &intervals, limit)
}

/// An append, or a get with what it saw.
enum Text {
    Append(String),
    Get(String),
    Put(String),
}

type Texts = Vec<(u64, Option<u64>, Text)>;

struct Appending<'a>(&'a Texts);

impl Sequential for Appending<'_> {
    type State = String;

    fn initial(&self) -> String {
        String::new()
    }

    fn apply(&self, operation: usize, state: &String) -> Option<String> {
        match &self.0[operation].2 {
            Text::Append(more) => Some(format!("{state}{more}")),
            Text::Put(text) => Some(text.clone()),
            Text::Get(seen) => (seen == state).then(|| state.clone()),
        }
    }
}

/// `{:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}`; the time is the line.
fn appends(log: &str) -> HashMap<String, Texts> {
    let mut keys: HashMap<String, Texts> = HashMap::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for (time, line) in (0..).zip(log.lines()) {
        let after = |name: &str| line.split_once(name).map_or("", |(_, rest)| rest);
        let process = after(":process ").split(',').next().unwrap();
        let function = after(":f :").split(',').next().unwrap();
        let key = after(":key \"").split('"').next().unwrap();
        let value = after(":value ").trim_end_matches('}').trim_matches('"').to_owned();
        let history = keys.entry(key.to_owned()).or_default();
        if line.contains(":type :invoke") {
            open.insert(process, history.len());
            let text = match function {
                "append" => Text::Append(value),
                "put" => Text::Put(value),
                "get" => Text::Get(String::new()),
                _ => panic!("{line}"),
            };
            history.push((time, None, text));
        } else {
            let (_, ret, text) = &mut history[open.remove(process).unwrap()];
            *ret = Some(time);
            if let Text::Get(seen) = text {
                *seen = value;
            }
        }
    }
    for history in keys.values_mut() {
        history.retain(|(_, ret, text)| ret.is_some() || !matches!(text, Text::Get(_)));
    }
    keys
}

/// Most of a minute of a processor: `make test-long`.
mod long {
    use super::*;

    #[test]
    fn agrees_with_porcupine_on_the_recorded_etcd_histories() {
        let mut judged = 0;
        for number in (0..=102).filter(|&number| number != 95) {
            let history = etcd(&recorded(&format!("jepsen/etcd_{number:03}.log")));
            let expected = CORRECT.contains(&number);
            assert_eq!(porcupine::is_linearizable(&history), expected, "porcupine on history {number}");
            assert_eq!(search(&history), expected, "the search on history {number}");

            // A refusal that does not tell the value is not in our histories.
            let told: Vec<Recorded> =
                history.into_iter().filter(|(_, _, asked)| !matches!(asked, Asked::NotSeen(_))).collect();
            let found = register::check(&told.iter().zip(0..).map(ours).collect::<Vec<_>>());
            match (found, porcupine::is_linearizable(&told)) {
                (Finding::Linearizable, true) => {}
                (Finding::Wrong(witness), false) => {
                    let theirs: Vec<Recorded> =
                        witness.operations.iter().map(|operation| told[operation.index as usize]).collect();
                    assert!(!porcupine::is_linearizable(&theirs), "history {number}: {witness:#?}");
                }
                (Finding::Undecided(reason), _) => panic!("history {number}: {reason}"),
                (Finding::Linearizable | Finding::Wrong(_), theirs) => {
                    panic!("history {number}: porcupine says {theirs}")
                }
            }
            judged += 1;
        }
        assert_eq!(judged, 102);
    }
}

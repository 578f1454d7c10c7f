//! A run of three members, told second by second, that a test changes in one place.
//!
//! The story: ready at once, baseline from 1 s, workload from 1 s, faulting from 6 s, `pause` hits member 0 from 7 s to
//! 11 s (proven every second), recovering from 11 s, settling from 16 s, the end at 17 s. Everything is sampled every
//! 100 ms. Writes begin every 10 ms and take 5 ms; reads see them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::{Member, MemberSample, Members, Nanos, Ordinal, Role};
use crate::journal::entry::SCHEMA;
use crate::journal::op;
use crate::journal::read::Journal;
use crate::judge::{Judgement, judge};

pub(crate) const MS: Nanos = 1_000_000;
pub(crate) const S: Nanos = 1_000 * MS;

/// What a write does when it begins at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Ok(Nanos),
    Unknown(Nanos),
    Fail(Nanos),
}

pub(crate) struct Story {
    pub(crate) hypothesis: Value,
    pub(crate) steps: Value,
    pub(crate) guards: Value,
    pub(crate) members: fn(Nanos) -> Members,
    pub(crate) writes: fn(Nanos) -> Answer,
    /// When how many pods are ready.
    pub(crate) ready: Vec<(Nanos, u32)>,
    /// Whatever else the run hears.
    pub(crate) heard: Vec<(Nanos, Value)>,
    /// Which of the step's alternatives it is, where it has some.
    pub(crate) picked: Value,
    /// The further StatefulSet that the step acts on, if not the target.
    pub(crate) set: Option<&'static str>,
    /// What the group loses by the fault.
    pub(crate) damage: Value,
    /// Members that go along with a node of a further StatefulSet.
    pub(crate) along: Vec<u32>,
    pub(crate) injects: bool,
    /// Whether the pod is deleted instead of an Injection that is made.
    pub(crate) deletes: bool,
    pub(crate) proofs: Vec<Nanos>,
}

/// All three answer, member 0 leads term 1, and nobody is late.
pub(crate) fn healthy(now: Nanos) -> Members {
    led_by(0, 1, now)
}

pub(crate) fn led_by(leader: Ordinal, term: u64, now: Nanos) -> Members {
    Members { members: (0..3).map(|ordinal| member(ordinal, leader, term, now)).collect() }
}

pub(crate) fn member(ordinal: Ordinal, leader: Ordinal, term: u64, heartbeat: Nanos) -> Member {
    let role = if ordinal == leader { Role::Leader } else { Role::Follower };
    Member {
        ordinal,
        sample: MemberSample::Answer {
            role,
            term,
            leader: Some(leader),
            position: 1,
            heartbeat: Some(heartbeat),
            voter: true,
            writes_need: None,
        },
    }
}

pub(crate) fn silent(ordinal: Ordinal) -> Member {
    Member { ordinal, sample: MemberSample::Unreachable("timed out".into()) }
}

impl Story {
    /// With one hypothesis, written as in a document.
    #[expect(clippy::needless_pass_by_value, reason = "it reads better with `json!` in place")]
    pub(crate) fn claiming(hypothesis: Value) -> Self {
        Self {
            hypothesis: json!([hypothesis]),
            steps: json!([{"name": "pause", "at": "1s", "for": "4s",
                           "fault": {"processPause": {"members": {"ordinals": [0]}}}}]),
            guards: json!({}),
            members: healthy,
            writes: |_| Answer::Ok(5 * MS),
            ready: Vec::new(),
            heard: Vec::new(),
            picked: Value::Null,
            set: None,
            damage: json!({"down": [0], "cut": []}),
            along: Vec::new(),
            injects: true,
            deletes: false,
            proofs: vec![7100 * MS, 8100 * MS, 9100 * MS, 10_100 * MS],
        }
    }

    pub(crate) fn judged(&self) -> Judgement {
        judge(&read(&self.lines()))
    }

    /// The record, line by line, which [`text`] numbers.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut told: Vec<(Nanos, Value)> = Vec::new();
        let mut effect = |time, effect: Value| {
            told.push((time, json!({"effect": {"id": 1, "effect": effect}})));
        };
        effect(0, json!({"phase": "preflight"}));
        effect(S, json!({"phase": "baseline"}));
        effect(S, json!({"startWorkload": {}}));
        effect(6 * S, json!({"phase": "faulting"}));
        if self.injects {
            effect(
                7 * S,
                json!({"chosen": {"step": "pause", "occurrence": 0, "picked": self.picked, "set": self.set,
                                  "members": [0], "damage": self.damage, "along": self.along}}),
            );
            effect(7 * S, self.deed("Injected"));
            effect(7100 * MS, json!({"began": {"step": "pause", "occurrence": 0}}));
            if !self.deletes {
                effect(11 * S, self.deed("Reverted"));
            }
            effect(11_050 * MS, json!({"ended": {"step": "pause", "occurrence": 0, "unproven": null}}));
        }
        effect(11_050 * MS, json!({"phase": "recovering"}));
        effect(16 * S, json!({"stopWorkload": {}}));
        effect(16 * S, json!({"phase": "settling"}));
        effect(17 * S, json!({"phase": "judged"}));
        effect(17 * S, json!({"finish": {}}));
        if self.injects {
            for &at in &self.proofs {
                told.push((at, status("Injected", at, at - 7100 * MS)));
            }
            told.push((11_050 * MS, status("Reverted", 11 * S, 3900 * MS)));
        }
        for &(at, ready) in &self.ready {
            told.push((at, json!({"input": {"pods": snapshot(ready)}})));
        }
        told.extend(self.heard.iter().map(|(at, input)| (*at, json!({"input": input}))));
        for at in (500 * MS..16_500 * MS).step_by(100 * MS as usize) {
            told.push((at, json!({"input": {"members": (self.members)(at)}})));
        }
        for member in 0..3 {
            let held = BTreeMap::from([("ledger/1".to_owned(), 1), ("ledger/2".to_owned(), 2)]);
            told.push((16_500 * MS, json!({"finalRead": {"member": member, "held": {"values": held}}})));
        }
        let mut lines: Vec<(Nanos, u8, String)> = told
            .into_iter()
            .map(|(at, entry)| (at, 1, json_line(&[("time", json!(at)), ("entry", entry)])))
            .collect();
        lines.extend(self.operations());
        // What is proven at a moment is heard before the engine draws its conclusion.
        lines.sort_by_key(|(at, rank, line)| (*at, *rank, !line.contains("\"proof\"")));
        let body = lines.into_iter().map(|(_, _, line)| line);
        let header = json_line(&[("time", json!(0)), ("entry", json!({"header": self.header()}))]);
        with_ids(std::iter::once(header).chain(body))
    }

    fn header(&self) -> Value {
        json!({
            "schema": SCHEMA, "version": "0.1.0", "run": "run-1", "startedAt": "2026-01-01T00:00:00Z",
            "experiment": {
                "name": "story",
                "target": {"statefulSet": "db", "store": {"refkv": {}}},
                "workload": {},
                "steps": self.steps,
                "hypothesis": self.hypothesis,
                "guards": self.guards,
            },
            "seed": 7, "environment": "a test", "target": snapshot(3),
            "others": self.set.into_iter().map(|set| snapshot_of(set, 3)).collect::<Vec<_>>(),
        })
    }

    fn deed(&self, desired: &str) -> Value {
        if self.deletes {
            return json!({"deletePod": {"set": self.set, "ordinal": 0, "grace": null}});
        }
        json!({"apply": {
            "name": "run-1.pause.0.0", "run": "run-1", "step": "pause", "occurrence": 0,
            "pod": {"name": format!("{}-0", self.set.unwrap_or("db")), "ordinal": 0, "uid": "uid-0", "node": "here"},
            "container": null, "fault": {"pause": {}}, "desired": desired,
            "deadline": {"at": "2026-01-01T00:01:00Z", "within": "10s"}, "follow": false,
        }})
    }

    fn operations(&self) -> Vec<(Nanos, u8, String)> {
        let mut lines = Vec::new();
        let mut tell = |process: u32,
                        at: Nanos,
                        f: &str,
                        key: &str,
                        value: Value,
                        answer: Answer,
                        seen: Value| {
            let member = process % 3;
            let line = |time: Nanos, stage: &str, value: &Value| {
                format!(
                    "{{\"index\":0,\"time\":{time},\"process\":{process},\"type\":\"{stage}\",\"f\":\"{f}\",\
                     \"key\":\"seatrial/{key}\",\"value\":{value},\"member\":{member},\"intended\":{at}}}"
                )
            };
            lines.push((at, 2, line(at, "invoke", &value)));
            let (took, stage) = match answer {
                Answer::Ok(took) => (took, "ok"),
                Answer::Unknown(took) => (took, "info"),
                Answer::Fail(took) => (took, "fail"),
            };
            let value = if stage == "ok" { &seen } else { &value };
            lines.push((at + took, 0, line(at + took, stage, value)));
        };
        for (number, at) in (S..16 * S).step_by(10 * MS as usize).enumerate() {
            let answer = (self.writes)(at);
            // A client has one operation in flight: slow ones are spread over many clients.
            let writer = 10 + number as u32 % 1000;
            let value = json!(number as u64 + 100);
            tell(writer, at, "write", "r/1", value.clone(), answer, value.clone());
            if answer == Answer::Ok(5 * MS) && (self.writes)(at.saturating_sub(10 * MS)) == answer {
                tell(5, at + 6 * MS, "read", "r/1", Value::Null, Answer::Ok(2 * MS), value);
            }
            if number % 10 == 0 {
                let answer = match answer {
                    Answer::Ok(_) | Answer::Unknown(_) => Answer::Ok(3 * MS),
                    Answer::Fail(_) => answer,
                };
                tell(6, at, "write", "heartbeat", json!(at), answer, json!(at));
            }
        }
        for number in 1..=2u64 {
            let at = number * 2 * S;
            let answer = (self.writes)(at);
            tell(7, at, "write", &format!("ledger/{number}"), json!(number), answer, json!(number));
        }
        lines
    }
}

/// An object with its fields in this order, as a run writes them.
fn json_line(fields: &[(&str, Value)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

pub(crate) fn status(state: &str, at: Nanos, effective: Nanos) -> Value {
    let when = format!("2026-01-01T00:00:{:02}.{:09}Z", at / S, at % S);
    json!({"input": {"injection": {"name": "run-1.pause.0.0", "status": {
        "state": state, "since": when,
        "proof": {"at": when, "holds": state == "Injected", "observed": "frozen, cpu time stands still"},
        "effectiveFor": format!("{effective}ns"),
        "error": null,
    }}}})
}

pub(crate) fn snapshot(ready: u32) -> Value {
    snapshot_of("db", ready)
}

pub(crate) fn snapshot_of(set: &str, ready: u32) -> Value {
    let pods: Vec<Value> = (0..3)
        .map(|ordinal| {
            json!({"name": format!("{set}-{ordinal}"), "ordinal": ordinal, "uid": format!("uid-{ordinal}"),
                   "ip": null, "node": "here", "phase": "running", "ready": ordinal < ready, "containers": []})
        })
        .collect();
    json!({"name": set, "namespace": "default", "replicas": 3, "first_ordinal": 0, "pods": pods})
}

/// All pods, of which those of some members are not ready.
pub(crate) fn not_ready(at: Nanos, members: &[Ordinal]) -> (Nanos, Value) {
    let mut snapshot = snapshot(3);
    for member in members {
        snapshot["pods"][*member as usize]["ready"] = json!(false);
    }
    (at, json!({"pods": snapshot}))
}

/// All pods, of which the one of member 0 is in a phase.
pub(crate) fn pods(phase: &str) -> Value {
    let mut snapshot = snapshot(3);
    snapshot["pods"][0]["phase"] = json!(phase);
    json!({"pods": snapshot})
}

/// Numbers the effects in the order of the lines.
pub(crate) fn with_ids(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut next = 0..;
    let mut with_id = |line: String| match line.rsplit_once("\"id\":") {
        Some((before, after)) if line.contains("\"entry\":{\"effect\"") => {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{before}\"id\":{}{rest}", next.next().unwrap_or(0))
        }
        Some(_) | None => line,
    };
    lines.into_iter().map(&mut with_id).collect()
}

/// A record as it is written: every line has its number.
pub(crate) fn text(lines: &[String]) -> String {
    (1..).zip(lines).map(|(number, line)| numbered(number, line) + "\n").collect()
}

fn numbered(number: usize, line: &str) -> String {
    match line.strip_prefix(op::PREFIX).and_then(|rest| rest.split_once(',')) {
        Some((_, rest)) => format!("{}{number},{rest}", op::PREFIX),
        None => line.replacen("\"entry\":", &format!("\"index\":{number},\"entry\":"), 1),
    }
}

/// Reads a record as a run's.
pub(crate) fn read(lines: &[String]) -> Journal {
    Journal::parse(text(lines).as_bytes()).expect("the story is a whole journal")
}

//! Pages of whole stories, read as a browser reads them.

mod dom;

use serde_json::{Value, json};

use self::dom::Page;
use super::render;
use crate::api::{Members, Nanos};
use crate::experiment::Verdict;
use crate::journal::read::Journal;
use crate::judge::judge;
use crate::judge::judgement::{Reason, StepOutcome};
use crate::judge::tests::story::{
    Answer, MS, S, Story, healthy, member, not_ready, read, silent, snapshot_of, with_ids,
};

fn quorum() -> Value {
    json!({"name": "a majority leads", "sli": {"quorum": {}}, "during": {"longestOutage": "1s"}, "recoverWithin": "3s"})
}

fn linearizable() -> Story {
    Story::claiming(json!({"name": "reads are fresh", "sli": {"linearizability": {}}}))
}

fn rendered(lines: &[String]) -> String {
    let journal = read(lines);
    render(&journal, &judge(&journal))
}

fn page(lines: &[String]) -> Page {
    Page::parse(&rendered(lines))
}

/// A story in which one late read brings the first value that was ever written.
fn stale() -> Vec<String> {
    let mut lines = linearizable().lines();
    let is_read = |line: &&mut String| line.contains("\"type\":\"ok\",\"f\":\"read\"");
    let last = lines.iter_mut().rev().find(is_read).expect("there are reads");
    let (before, after) = last.split_once("\"value\":").expect("a read has a value");
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    *last = format!("{before}\"value\":100{rest}");
    lines
}

/// A story in which somebody stops the run while the fault is there.
fn aborted() -> Vec<String> {
    let mut lines = Story::claiming(quorum()).lines();
    let abort = json!({"effect": {"id": 1, "effect": {"abort": {"reason": "a person asked to stop"}}}});
    let place = lines.iter().position(|line| line.contains("\"recovering\"")).expect("it recovers");
    lines.insert(place, format!("{{\"time\":{},\"entry\":{abort}}}", 11_050 * MS));
    with_ids(lines)
}

fn every_story() -> Vec<(&'static str, Vec<String>)> {
    let mut broken = Story::claiming(quorum());
    broken.members = |now| {
        let mut members = healthy(now);
        if (8 * S..10 * S).contains(&now) {
            members.members[0] = silent(0);
            members.members[1] = silent(1);
        }
        members
    };
    broken.ready = vec![(8 * S, 2), (12 * S, 3)];
    let mut unproven = Story::claiming(quorum());
    unproven.proofs.clear();
    let mut idle = Story::claiming(quorum());
    idle.injects = false;
    let torn = |part: usize| {
        let mut lines = Story::claiming(quorum()).lines();
        lines.truncate(lines.len() / part);
        lines
    };
    let only_header = Story::claiming(quorum()).lines().into_iter().take(1).collect();
    vec![
        ("Pass", Story::claiming(quorum()).lines()),
        ("Fail", broken.lines()),
        ("Fail", stale()),
        ("Inconclusive", unproven.lines()),
        ("Inconclusive", idle.lines()),
        ("Inconclusive", torn(2)),
        ("Inconclusive", only_header),
        ("Aborted", aborted()),
    ]
}

#[test]
fn every_page_is_whole_and_says_the_verdict_first() {
    for (verdict, lines) in every_story() {
        let page = page(&lines);
        assert_eq!(page.errors, [""; 0], "{verdict}");
        page.holds_together();
        assert!(page.text_of("title").starts_with(&format!("{verdict}: story")), "{}", page.text_of("title"));
        let headings = page.headings();
        assert_eq!(headings.iter().filter(|(level, _)| *level == 1).count(), 1);
        assert_eq!(headings[0].0, 1, "{headings:?}");
        assert!(headings.windows(2).all(|pair| pair[1].0 <= pair[0].0 + 1), "{headings:?}");
        let headline = judge(&read(&lines)).headline;
        assert!(page.text_of("header").contains(&headline), "{headline}");
    }
}

#[test]
fn the_same_journal_gives_the_same_bytes() {
    for (_, lines) in every_story() {
        assert!(rendered(&lines) == rendered(&lines));
    }
}

#[test]
fn nothing_is_fetched_and_nothing_else_may_run() {
    for (_, lines) in every_story() {
        let page = page(&lines);
        for name in ["img", "link", "iframe", "object", "embed", "image", "base", "form"] {
            assert_eq!(page.count(name), 0, "{name}");
        }
        assert_eq!((page.count("script"), page.count("style")), (1, 1));
        for (_, name, value) in page.attributes() {
            assert!(name != "src" && name != "style" && !name.starts_with("on"), "{name}={value}");
            assert!(name != "href" || value.starts_with('#'), "{value}");
            assert!(!value.contains("url(") || value.contains("url(#"), "{value}");
        }
        let policy = super::policy();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(page.attributes().iter().any(|(_, name, value)| name == "content" && *value == policy));
        // What is hashed is what stands there.
        assert_eq!(page.text_of("script"), super::SCRIPT);
        assert_eq!(page.text_of("style"), super::STYLE);
    }
}

#[test]
fn what_comes_from_the_journal_is_text() {
    const HOSTILE: &str = "</title><script>alert(1)</script><!-- \"'&lt; ]]>";
    let mut story =
        Story::claiming(json!({"name": HOSTILE, "sli": {"quorum": {}}, "during": {"longestOutage": "1s"}}));
    story.steps[0]["name"] = json!(HOSTILE);
    let hostile = serde_json::to_string(HOSTILE).expect("it is text");
    let lines: Vec<String> = story
        .lines()
        .into_iter()
        .map(|line| {
            line.replace("\"step\":\"pause\"", &format!("\"step\":{hostile}"))
                .replace("\"a test\"", &hostile)
                .replace("\"frozen, cpu time stands still\"", &hostile)
                .replace("\"run-1\"", &hostile)
                .replace("\"db-0\"", &hostile)
        })
        .collect();
    let page = page(&lines);
    assert_eq!(page.errors, [""; 0]);
    page.holds_together();
    assert_eq!((page.count("script"), page.count("title")), (1, 1 + page.count_in_drawings("title")));
    for place in ["header", "main", "h3", "pre"] {
        assert!(page.text_of(place).contains("<script>alert(1)</script>"), "{place}");
    }
}

#[test]
fn a_contradiction_is_drawn_and_listed() {
    let judgement = judge(&read(&stale()));
    assert_eq!(judgement.claims[0].violations.len(), 1, "{:#?}", judgement.claims);
    let page = page(&stale());
    assert!(page.headings().iter().any(|(_, text)| text == "The proof that data is wrong"));
    let text = page.text_of("main");
    assert!(text.contains("read 100 at member 2") && text.contains("wrote 100"), "{text}");
    assert!(
        page.attributes()
            .iter()
            .any(|(element, name, value)| { element == "line" && name == "class" && value == "wrong" })
    );
}

#[test]
fn a_second_leader_of_a_term_is_marked() {
    let mut story =
        Story::claiming(json!({"name": "one leader", "sli": {"leaderElections": {}}, "during": {"max": 9}}));
    story.members = |now| {
        let mut members = healthy(now);
        if now >= 9 * S {
            members.members[2] = member(2, 2, 1, now);
        }
        members
    };
    let marked = "member 2 leads term 1, which member 0 led, at 9.0 s";
    assert!(page(&story.lines()).text_of("title").contains(marked));
    story.members = healthy;
    assert!(!page(&story.lines()).text_of("title").contains("which member"));
}

#[test]
fn each_part_of_the_run_stands_beside_its_budget() {
    let page = page(&Story::claiming(quorum()).lines());
    let text = page.text_of("main");
    for words in [
        "bad for 1 s at a time",
        "good within 3 s",
        "held 100 % of the time",
        "pause: processPause on member 0",
        "every member answered and named the same leader in the same term",
        "seatrial run experiment.yaml --on kubernetes --context CONTEXT --namespace default --seed 7",
        "apiVersion: seatrial.dev/v1alpha1",
        "leads term 1",
    ] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
}

#[test]
fn numbers_that_are_not_those_of_the_verdict_say_so() {
    let hypothesis = json!({"name": "a majority leads", "sli": {"quorum": {}},
                            "during": {"step": "pause", "longestOutage": "1s"}, "always": {"totalOutage": "2s"}});
    let page = page(&Story::claiming(hypothesis).lines());
    let text = page.text_of("table");
    assert!(text.contains("held 100 % of the time (with all faults)"), "{text}");
    let always = text.split_once("the whole run").expect("it is judged").1;
    let row = always.chars().take(120).collect::<String>();
    assert!(row.contains("held 100 % of the time"), "{text}");
    let mut story = Story::claiming(json!({"name": "up", "sli": {"podAvailability": {}},
        "during": {"min": "100%", "excludeFaulted": true}, "always": {"min": "50%", "window": "2s"}}));
    story.heard = vec![not_ready(7_500 * MS, &[0]), not_ready(10 * S, &[])];
    let judgement = judge(&read(&story.lines()));
    assert_eq!(judgement.verdict, Verdict::Pass, "{:#?}", judgement.claims);
    let text = self::page(&story.lines()).text_of("table");
    assert!(text.contains(" % (of all members)") && text.contains(" % (over all of it)"), "{text}");
}

#[test]
fn what_is_bad_is_told_where_no_part_is_bounded_by_it() {
    let caption = |hypothesis| page(&Story::claiming(hypothesis).lines()).text_of("caption");
    let lag = caption(json!({"name": "lag", "sli": {"replicationLag": {}}, "during": {"max": "5s"}}));
    assert!(lag.contains("replicationLag by part of the run; good means at most 200 ms"), "{lag}");
    let quorum = caption(quorum());
    assert!(quorum.contains("quorum by part of the run") && !quorum.contains("good means"), "{quorum}");
}

#[test]
fn what_is_allowed_is_told_in_the_units_of_what_was_measured() {
    let hypothesis = json!({"name": "lag", "sli": {"replicationLag": {}}, "during": {"max": "3m"},
                            "after": {"max": "1s250ms", "stableFor": "1s500ms"}, "recoverWithin": "1m30s"});
    let text = page(&Story::claiming(hypothesis).lines()).text_of("table");
    for words in ["at most 180 s", "at most 1.25 s, good for 1.5 s without", "good within 90 s"] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
}

#[test]
fn who_was_not_asked_is_not_said_to_have_been_seen() {
    let mut story = Story::claiming(json!({"name": "up", "sli": {"podAvailability": {}}}));
    story.members = |_| Members { members: Vec::new() };
    let text = page(&story.lines()).text_of("main");
    for words in ["no member was asked who leads", "members agree no member was asked"] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
    assert!(!text.contains("no change of the leader"), "{text}");
}

#[test]
fn a_fault_without_an_end_is_not_every_fault() {
    let mut lines = Story::claiming(quorum()).lines();
    lines.retain(|line| !line.contains("\"ended\""));
    let text = page(&with_ids(lines)).text_of("main");
    assert!(text.contains("Not every fault is on record with its end"), "{text}");
}

#[test]
fn a_fault_on_a_further_set_has_a_lane_named_after_its_pod() {
    let mut story = Story::claiming(quorum());
    story.steps[0]["target"] = json!({"statefulSet": "zookeeper"});
    story.set = Some("zookeeper");
    story.heard = vec![
        (8 * S, json!({"otherPods": snapshot_of("zookeeper", 0)})),
        (12 * S, json!({"otherPods": snapshot_of("zookeeper", 3)})),
    ];
    let page = page(&story.lines());
    assert_eq!(page.errors, [""; 0]);
    page.holds_together();
    let rows: Vec<_> = page
        .attributes()
        .into_iter()
        .filter_map(|(_, name, value)| (name == "data-name").then_some(value))
        .collect();
    let lanes: Vec<&str> =
        rows.iter().map(String::as_str).filter(|row| row.contains("member") || row.contains('-')).collect();
    assert_eq!(lanes, ["member 0", "member 1", "member 2", "zookeeper-0"], "{rows:?}");
    let text = page.text_of("main");
    assert!(text.contains("pause: processPause on zookeeper-0"), "{text}");
    assert!(text.contains("pod not Ready, at 8.0 s to 12.0 s"), "{text}");
    assert!(!text.contains("processPause on member"), "{text}");
    assert!(text.contains("pods of zookeeper Ready 950 ms after the last revert"), "{text}");
    assert!(text.contains("every pod of zookeeper was Ready at 12.0 s."), "{text}");
    story.heard.truncate(1);
    let text = self::page(&story.lines()).text_of("main");
    assert!(text.contains("pods of zookeeper Ready not seen"), "{text}");
    assert!(text.contains("not every pod of zookeeper was seen to be Ready again"), "{text}");
    let warning = "Warning: only 0 of 3 pods of zookeeper were Ready when the record ended.";
    assert!(text.contains(warning), "{text}");
}

#[test]
fn a_run_without_data_says_so() {
    let page = page(&Story::claiming(quorum()).lines()[..1]);
    let text = page.text_of("main");
    for words in ["Nothing was broken.", "No client read or wrote", "no recovery to take apart"] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
}

#[test]
fn a_long_run_gives_a_small_page() {
    let mut story = linearizable();
    story.writes = |at| if at % (70 * MS) == 0 { Answer::Fail(at % 13 * MS) } else { Answer::Ok(5 * MS) };
    let mut lines = story.lines();
    let ops = 200_000u64;
    // Answered by a member that gets slower and slower, all at once and for hours.
    for number in 0..ops {
        let at: Nanos = 17 * S + number * 50 * MS;
        let took = MS + number * 7919 % 100_000 * 1_000;
        for (stage, time) in [("invoke", at), ("ok", at + took)] {
            lines.push(format!(
                "{{\"index\":0,\"time\":{time},\"process\":9,\"type\":\"{stage}\",\"f\":\"write\",\"key\":\"r/9\",\
                 \"value\":{}}}",
                number + 1_000_000
            ));
        }
    }
    let journal: Journal = read(&lines);
    let mut judgement = judge(&read(&story.lines()));
    judgement.lasted = journal.end();
    let text = render(&journal, &judgement);
    assert!(text.len() < 1 << 20, "{} bytes", text.len());
    assert!(text.contains("answered operations are not drawn"));
    assert_eq!(Page::parse(&text).errors, [""; 0]);
}

#[test]
fn very_many_faults_and_doubts_give_a_small_page() {
    let journal = read(&Story::claiming(quorum()).lines());
    let mut judgement = judge(&journal);
    let step = judgement.steps[0].clone();
    judgement.steps = (0..10_000)
        .map(|number| StepOutcome {
            occurrence: number,
            unproven: Some(format!("lost {number}")),
            ..step.clone()
        })
        .collect();
    let doubt = |number| Reason { verdict: Verdict::Inconclusive, at: None, text: format!("doubt {number}") };
    judgement.reasons = (0..10_000).map(doubt).collect();
    let text = render(&journal, &judgement);
    assert!(text.len() < 1 << 19, "{} bytes", text.len());
    let page = Page::parse(&text);
    assert!(page.text_of("desc").contains("And 9988 more faults."), "{}", page.text_of("desc"));
    assert!(page.text_of("main").contains("9900 more are in report.json."));
}

//! The verdict for a terminal: what was broken, what was claimed, what came of it. Readable without colour.

use std::fmt::Write as _;

use crate::api::{Nanos, counted};
use crate::experiment::Verdict;
use crate::judge::judgement::{Claim, Judgement, StepOutcome};
use crate::judge::words;

/// The whole text, ending in a line break.
pub fn render(judgement: &Judgement) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}  {}  {}", mark(judgement), judgement.experiment, judgement.headline);
    for step in &judgement.steps {
        step_lines(&mut text, step);
    }
    for claim in &judgement.claims {
        claim_lines(&mut text, claim);
    }
    for reason in &judgement.reasons {
        let at = reason.at.map(|at| format!(" ({})", words::at(at))).unwrap_or_default();
        let _ = writeln!(text, "  {:<13} {}{at}", reason.verdict, reason.text);
    }
    for failed in &judgement.revert_failed {
        let _ = writeln!(text, "  REVERT FAILED: {failed}");
    }
    for missing in &judgement.not_back {
        let _ = writeln!(text, "  {:<13} {missing}", "warning");
    }
    let load = &judgement.workload;
    if load.ok + load.failed + load.unknown > 0 {
        let _ = writeln!(
            text,
            "  {}: {} ok, {} refused or failed, {} unknown, {} per second",
            counted(load.ok + load.failed + load.unknown, "operation"),
            load.ok,
            load.failed,
            load.unknown,
            words::rate(load.rate)
        );
    }
    let _ = writeln!(
        text,
        "  seed {}, {}, {}",
        judgement.seed,
        words::time(judgement.lasted),
        judgement.environment
    );
    text
}

/// How it ended, as the text begins. A run that a guard refused before its first step was not even tried.
pub(super) fn mark(judgement: &Judgement) -> &'static str {
    if judgement.was_refused() {
        return "REFUSED";
    }
    match judgement.verdict {
        Verdict::Pass => "PASS",
        Verdict::Inconclusive => "INCONCLUSIVE",
        Verdict::Aborted => "ABORTED",
        Verdict::Fail => "FAIL",
    }
}

fn step_lines(text: &mut String, step: &StepOutcome) {
    let name = step.name();
    let span = |from: Option<Nanos>, to: Option<Nanos>| match (from, to) {
        (Some(from), Some(to)) => format!("{} to {}", words::at(from), words::moment(to)),
        (Some(from), None) => format!("{} on", words::at(from)),
        (None, _) => "never in force".into(),
    };
    let whom = step.whom().map(|whom| format!(" on {whom}")).unwrap_or_default();
    let _ = writeln!(text, "  step          {name}: {}{whom}, {}", step.fault, span(step.began, step.ended));
    match (&step.unproven, &step.proof) {
        (Some(why), _) => {
            let _ = writeln!(text, "                not proven: {why}");
        }
        (None, Some(proof)) => {
            let _ = writeln!(text, "                proof: {proof}");
        }
        (None, None) => {}
    }
}

fn claim_lines(text: &mut String, claim: &Claim) {
    let _ = writeln!(text, "  {:<13} {}", claim.verdict, claim.name);
    let _ = writeln!(text, "                {}", claim.sentence);
    if claim.verdict != Verdict::Pass {
        for finding in
            claim.findings.iter().filter(|f| f.verdict != Verdict::Pass && f.sentence != claim.sentence)
        {
            let _ = writeln!(text, "                {}", finding.sentence);
        }
    }
    if let Some(recovered) = claim
        .recovery
        .as_ref()
        .and_then(|recovery| recovery.recovered.map(|moment| moment.saturating_sub(recovery.from)))
    {
        let _ = writeln!(text, "                good again {} after the last revert", words::time(recovered));
    }
    for operation in &claim.witness {
        let member = operation.member.map(|member| format!(" on member {member}")).unwrap_or_default();
        let until = operation.ret.map_or_else(|| "no answer".into(), words::moment);
        let _ = writeln!(
            text,
            "                client {:>3}{member}: {:<24} {} to {until}  (operation {})",
            operation.process,
            operation.what,
            words::at(operation.call),
            operation.index
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judge::judge;
    use crate::judge::tests::story::{Story, read};
    use crate::report::fixture::{claim, judgement};
    use crate::report::{html, junit};

    #[test]
    fn pods_that_did_not_come_back_are_a_warning_and_no_failure() {
        let mut run = judgement(vec![claim("no write is lost", "durability", "Pass")]);
        run.not_back.push("only 2 of 3 pods of keeper were Ready".into());
        let text = render(&run);
        assert!(text.starts_with("PASS  "), "{text}");
        assert!(text.contains("\n  warning       only 2 of 3 pods of keeper were Ready\n"), "{text}");
        let xml = junit::render(&run).expect("it is XML");
        assert!(xml.contains("<skipped message=\"only 2 of 3 pods of keeper were Ready\""), "{xml}");
        assert!(!xml.contains("<failure") && !xml.contains("<error"), "{xml}");
    }

    #[test]
    fn nothing_that_a_kernel_or_a_store_says_moves_a_cursor_or_forges_a_line() {
        let hostile = "gone\u{1b}[2J\u{1b}]0;title\u{7}\n  Pass          forged\r\u{0}\u{fffe}\u{9b}1m]]>";
        let story = Story::claiming(json!({"name": hostile, "sli": {"quorum": {}}}));
        let proof = json!(hostile).to_string();
        let told = |line: String| line.replace("\"frozen, cpu time stands still\"", &proof);
        let journal = read(&story.lines().into_iter().map(told).collect::<Vec<_>>());
        let judgement = judge(&journal);
        assert_eq!(judgement.steps[0].proof.as_deref(), Some(crate::judge::words::plain(hostile).as_str()));
        let text = render(&judgement);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains("\n  Pass          forged"), "{text}");
        let xml = junit::render(&judgement).expect("it is XML");
        assert!(!xml.contains('\u{fffe}'), "XML has no place for it: {xml}");
        let page = html::render(&journal, &judgement);
        assert!(page.chars().all(|c| c == '\n' || !words::is_no_text(c)));
        // The claim and its hypothesis still belong together.
        assert!(page.contains("good all the time"), "its table is there");
    }
}

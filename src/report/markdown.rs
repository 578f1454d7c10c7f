//! The verdict as Markdown, for the summary of a step in continuous integration.
//!
//! Names and sentences come from experiments and from what stores and kernels said. Whatever they hold, they stay in their
//! cell as plain text: line breaks become spaces, and everything that Markdown, HTML or GitHub could read as something
//! else is written as a character reference.

use std::fmt::Write as _;

use super::command::shell;
use super::summary::mark;
use crate::api::are;
use crate::judge::judgement::{Claim, Judgement, Reason, StepOutcome};
use crate::judge::words;

/// The summary. `command` is how the run is repeated, word by word.
pub fn render(judgement: &Judgement, command: &[String]) -> String {
    let mut text = format!("## Seatrial: {}\n\n", plain(&judgement.experiment));
    let _ = writeln!(text, "**{}** {}\n", mark(judgement), plain(&judgement.headline));
    table(&mut text, ["verdict", "claim", "what was found"], judgement.claims.iter().map(of_claim));
    table(&mut text, ["step", "what it did", "proof"], judgement.steps.iter().map(of_step));
    let reasons = judgement.reasons.iter().map(of_reason);
    let left = judgement.revert_failed.iter().map(|failed| ["REVERT FAILED".into(), failed.clone()]);
    let missing = judgement.not_back.iter().map(|missing| ["warning".into(), missing.clone()]);
    table(&mut text, ["verdict", "beside the claims"], reasons.chain(left).chain(missing));
    let lasted = words::time(judgement.lasted);
    let environment = plain(&judgement.environment);
    let _ = writeln!(text, "Seed {}, {lasted}, {environment}. To repeat it:\n", judgement.seed);
    fenced(&mut text, &shell(command));
    text
}

fn of_claim(claim: &Claim) -> [String; 3] {
    [claim.verdict.to_string(), claim.name.clone(), claim.sentence.clone()]
}

fn of_step(step: &StepOutcome) -> [String; 3] {
    let when = match (step.began, step.ended) {
        (Some(from), Some(to)) => format!("{} to {}", words::at(from), words::moment(to)),
        (Some(from), None) => format!("{} on", words::at(from)),
        (None, _) => "never in force".into(),
    };
    let proof = match (&step.unproven, &step.proof) {
        (Some(why), _) => format!("not proven: {why}"),
        (None, proof) => proof.clone().unwrap_or_default(),
    };
    let whom = step.whom().map(|whom| format!(" on {whom}")).unwrap_or_default();
    [step.name(), format!("{}{whom}, {when}", step.fault), proof]
}

fn of_reason(reason: &Reason) -> [String; 2] {
    let at = reason.at.map(|at| format!(" ({})", words::at(at))).unwrap_or_default();
    [reason.verdict.to_string(), format!("{}{at}", reason.text)]
}

/// The most rows of a table: GitHub shows no summary that is larger than 1 MiB.
const MOST: usize = 100;

/// A table, where there is anything to show.
fn table<const N: usize>(text: &mut String, heads: [&str; N], rows: impl Iterator<Item = [String; N]>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "| {} |\n|{}", heads.join(" | "), " --- |".repeat(N));
    for row in rows.by_ref().take(MOST) {
        let _ = writeln!(text, "| {} |", row.map(|cell| plain(&cell)).join(" | "));
    }
    text.push('\n');
    let more = rows.count();
    if more > 0 {
        let _ = writeln!(text, "{more} more {} in report.json.\n", are(more));
    }
}

/// Text that is nothing but text. Character references never are markup (CommonMark 0.31, 2.5), and what splits the cells
/// of a table does not see a pipe in one.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if words::is_no_text(c) => plain.push(' '),
            '&' | '<' | '>' | '|' | '`' | '\\' | '*' | '_' | '~' | '[' | ']' | '#' | '@' | '$' | '!' => {
                let _ = write!(plain, "&#{};", u32::from(c));
            }
            c => plain.push(c),
        }
    }
    plain
}

/// A block of code, whose fence is longer than any that the code could hold.
fn fenced(text: &mut String, code: &str) {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(text, "{fence}sh\n{code}\n{fence}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Verdict;
    use crate::report::command;
    use crate::report::fixture::{claim, judgement};

    fn repeated(judgement: &Judgement) -> String {
        render(judgement, &command::of(judgement))
    }

    #[test]
    fn says_verdict_claims_steps_and_how_to_repeat_it() {
        let mut run = judgement(vec![claim("no write is lost", "durability", "Pass")]);
        run.reasons.push(Reason {
            verdict: Verdict::Aborted,
            at: Some(1_500_000_000),
            text: "it stopped".into(),
        });
        run.revert_failed.push("cut-leader on db-0".into());
        run.not_back.push("only 2 of 3 pods of db were Ready".into());
        let expected = "\
## Seatrial: leader-cut

**PASS** all claims held while cut-leader hit member 0

| verdict | claim | what was found |
| --- | --- | --- |
| Pass | no write is lost | durability: measured |

| step | what it did | proof |
| --- | --- | --- |
| cut-leader | networkPartition on member 0, at 8.0 s to 16.0 s | 260 packets dropped |

| verdict | beside the claims |
| --- | --- |
| Aborted | it stopped (at 1.5 s) |
| REVERT FAILED | cut-leader on db-0 |
| warning | only 2 of 3 pods of db were Ready |

Seed 7, 41 s, sandbox, Linux 6.1.0, 2 CPUs, as root. To repeat it:

```sh
seatrial run experiment.yaml statefulset.yaml --seed 7
```
";
        assert_eq!(repeated(&run), expected);
    }

    #[test]
    fn a_fault_that_takes_nobody_away_is_told_by_where_it_is() {
        let mut run = judgement(Vec::new());
        run.steps[0].affected.clear();
        assert!(repeated(&run).contains("| networkPartition on members 0, 1 and 2, at "));
        run.steps[0].members.clear();
        assert!(repeated(&run).contains("| networkPartition, at "), "{}", repeated(&run));
    }

    #[test]
    fn a_long_run_has_a_small_summary() {
        let mut run = judgement(Vec::new());
        let step = run.steps[0].clone();
        run.steps = vec![step; 10_000];
        let reason =
            |n| Reason { verdict: Verdict::Inconclusive, at: None, text: format!("not proven {n} times") };
        run.reasons = (0..5_000).map(reason).collect();
        let text = repeated(&run);
        assert!(text.len() < 100_000, "{} bytes", text.len());
        assert!(
            text.contains("\n\n9900 more are in report.json.\n\n| verdict | beside the claims |"),
            "{text}"
        );
        assert!(text.contains("\n\n4900 more are in report.json.\n\nSeed 7"), "{text}");
    }

    #[test]
    fn nothing_that_an_experiment_says_breaks_a_table() {
        for hostile in [
            "a | b",
            "a \\| b",
            "a \\",
            "a\n| Pass | forged |",
            "a\r\n\r\n## forged",
            "`a | b`",
            "```\nforged\n```",
            "<script>alert(1)</script>",
            "<!-- gone",
            "</table><img src=x onerror=y>",
            "[a](javascript:b) ![c](d)",
            "**a** __b__ ~~c~~ $d$ @somebody #1",
            "&#124; &lt;b&gt;",
            "a\u{2028}b\u{0}c\u{7}",
        ] {
            let mut run = judgement(vec![claim(hostile, "durability", "Fail")]);
            run.experiment = hostile.into();
            run.headline = hostile.into();
            run.environment = format!("sandbox, {hostile}");
            run.claims[0].sentence = hostile.into();
            run.steps[0].step = hostile.into();
            run.steps[0].proof = Some(hostile.into());
            run.revert_failed.push(hostile.into());
            let text = repeated(&run);
            let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
            assert_eq!(rows.len(), 9, "{text}");
            let cells: Vec<usize> = rows.iter().map(|row| row.matches('|').count() - 1).collect();
            assert_eq!(cells, [3, 3, 3, 3, 3, 3, 2, 2, 2], "{text}");
            let (above, code) = text.split_once("```sh\n").expect("there is the command");
            assert_eq!(code, "seatrial run experiment.yaml statefulset.yaml --seed 7\n```\n");
            assert_eq!(above.matches("## ").count(), 1, "{text}");
            assert!(!above.contains(['<', '>', '`', '\\', '[', ']', '@', '$']), "{text}");
            assert!(above.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        }
    }

    #[test]
    fn no_command_ends_its_block() {
        let command = ["seatrial", "run", "```\n`````.yaml"].map(str::to_owned);
        let text = render(&judgement(Vec::new()), &command);
        assert!(text.contains("\n``````sh\nseatrial run") && text.ends_with("'\n``````\n"), "{text}");
    }
}

//! JUnit XML: one test case for each hypothesis and each step, so that continuous integration shows which one broke.
//!
//! A claim that failed is a `failure`; one that could not be judged, a step that was not proven and a revert that did
//! not succeed are an `error`. That pods did not come back, which is no claim, is a case that is `skipped`.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::experiment::Verdict;
use crate::judge::judgement::{Claim, Judgement, StepOutcome};

/// The report as XML.
pub fn render(judgement: &Judgement) -> Result<String, quick_junit::SerializeError> {
    let mut suite = TestSuite::new(judgement.experiment.clone());
    suite.set_time(Duration::from_nanos(judgement.lasted));
    suite.add_property(("seed", judgement.seed.to_string().as_str()));
    suite.add_property(("target", judgement.target.as_str()));
    suite.add_property(("verdict", judgement.verdict.to_string().as_str()));
    for claim in &judgement.claims {
        suite.add_test_case(of_claim(claim));
    }
    for step in &judgement.steps {
        suite.add_test_case(of_step(step));
    }
    for reason in &judgement.reasons {
        suite.add_test_case(case("run", &reason.text, broken(reason.verdict), &reason.text));
    }
    for failed in &judgement.revert_failed {
        suite.add_test_case(case("revert", failed, Some(NonSuccessKind::Error), failed));
    }
    for missing in &judgement.not_back {
        let mut status = TestCaseStatus::skipped();
        status.set_message(missing.as_str());
        suite.add_test_case(titled("pods", missing, status));
    }
    let mut report = Report::new("seatrial");
    report.add_test_suite(suite);
    report.to_string()
}

/// How a verdict that is not Pass is shown.
fn broken(verdict: Verdict) -> Option<NonSuccessKind> {
    match verdict {
        Verdict::Pass => None,
        Verdict::Inconclusive | Verdict::Aborted => Some(NonSuccessKind::Error),
        Verdict::Fail => Some(NonSuccessKind::Failure),
    }
}

fn case(class: &str, name: &str, broken: Option<NonSuccessKind>, message: &str) -> TestCase {
    let status = match broken {
        None => TestCaseStatus::success(),
        Some(kind) => {
            let mut status = TestCaseStatus::non_success(kind);
            status.set_message(message);
            status
        }
    };
    titled(class, name, status)
}

fn titled(class: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    // What is about the whole run has no time of its own; some readers take a case without one for broken.
    case.set_time(Duration::ZERO);
    case
}

fn of_claim(claim: &Claim) -> TestCase {
    let mut shown =
        case(&format!("hypothesis.{}", claim.sli), &claim.name, broken(claim.verdict), &claim.sentence);
    let lines: Vec<_> =
        claim.findings.iter().map(|finding| format!("{}: {}", finding.verdict, finding.sentence)).collect();
    if !lines.is_empty() {
        shown.set_system_out(lines.join("\n"));
    }
    shown
}

fn of_step(step: &StepOutcome) -> TestCase {
    let unproven = step.unproven.as_deref();
    let mut shown = case(
        &format!("step.{}", step.fault),
        &step.name(),
        unproven.map(|_| NonSuccessKind::Error),
        unproven.unwrap_or_default(),
    );
    if let (Some(began), Some(ended)) = (step.began, step.ended) {
        shown.set_time(Duration::from_nanos(ended.saturating_sub(began)));
    }
    if let Some(proof) = &step.proof {
        shown.set_system_out(proof.clone());
    }
    shown
}

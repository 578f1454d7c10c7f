//! Two recorded runs side by side: what got worse from the first to the second, what got better, and whether their
//! numbers can be held against each other at all.
//!
//! Guarantees: a comparison is made from two judgements alone, so that it says the same a year later. Claims meet by
//! their name and their SLI; one that has no counterpart is said and never counted. Only Pass and Fail are answers: a
//! claim that does not pass any more got worse, one that fails no more because nobody can tell did not get better, and
//! of a run that is no answer nothing can be concluded. A number got worse or better when a budget bounds it, and when
//! it differs by more than the tolerance and by more than a run can tell; see [`measure`].

mod alike;
pub mod measure;
mod text;

use serde::Serialize;

pub use self::alike::Unlike;
use self::measure::Measure;
use crate::experiment::{Sli, Unit, Verdict};
use crate::judge::judgement::{Claim, Judgement};

/// Two runs side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The run that the other one is held against.
    pub first: Side,
    /// The other one.
    pub second: Side,
    /// What is so different that the numbers say little about each other; the runs are comparable where it is empty.
    pub unlike: Vec<Unlike>,
    /// Every claim that both have, in the order of the first.
    pub claims: Vec<Pair>,
    /// Claims that only the first run has.
    pub only_first: Vec<Lone>,
    /// Claims that only the second run has.
    pub only_second: Vec<Lone>,
    /// Why nothing can be concluded from what got worse and what got better, in a sentence each.
    pub inconclusive: Vec<String>,
    /// What got worse, in a sentence each.
    pub worse: Vec<String>,
    /// What got better, in a sentence each.
    pub better: Vec<String>,
}

/// Which run it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// The experiment's name.
    pub experiment: String,
    /// The run's name.
    pub run: String,
    /// `NAMESPACE/NAME` of the StatefulSet.
    pub target: String,
    /// Every random choice came from this.
    pub seed: u64,
    /// The version that wrote the journal.
    pub version: String,
    /// Where it ran.
    pub environment: String,
    /// What it says in the end.
    pub verdict: Verdict,
    /// One sentence that says why.
    pub headline: String,
    /// StatefulSets that were broken and did not come back, in a sentence each: said beside the verdict, and not counted.
    pub not_back: Vec<String>,
}

/// A claim that both runs have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pair {
    /// In the words of the experiment.
    pub name: String,
    /// The SLI's name in documents.
    pub sli: String,
    /// What became of it in the first run.
    pub first: Verdict,
    /// What became of it in the second run.
    pub second: Verdict,
    /// What the first run says about it.
    pub first_sentence: String,
    /// What the second run says about it.
    pub second_sentence: String,
    /// Whether the verdict got worse or better.
    pub trend: Trend,
    /// Its numbers that either run has.
    pub measures: Vec<Measure>,
}

/// A claim that only one run has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lone {
    /// In the words of the experiment.
    pub name: String,
    /// The SLI's name in documents.
    pub sli: String,
    /// What became of it.
    pub verdict: Verdict,
}

/// How the second run stands to the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Trend {
    /// As far as a run can tell.
    Same,
    /// It got better.
    Better,
    /// It got worse.
    Worse,
    /// Another number that no budget bounds, of which nobody knows what is better, or that only one run has; or another
    /// verdict of which one is no answer.
    Different,
}

/// Compares two runs. A number that differs by at most `tolerance` percent of the first run's is the same.
pub fn compare(first: &Judgement, second: &Judgement, tolerance: u32) -> Comparison {
    let mut comparison = Comparison {
        first: Side::of(first),
        second: Side::of(second),
        unlike: alike::unlike(first, second),
        claims: Vec::new(),
        only_first: Vec::new(),
        only_second: lone(second, first),
        inconclusive: Vec::new(),
        worse: Vec::new(),
        better: Vec::new(),
    };
    comparison.tell(&first.experiment, first.verdict, second.verdict);
    let (left_before, left_now) = (first.revert_failed.len(), second.revert_failed.len());
    let reverts = format!("faults that could not be taken back: {left_now} instead of {left_before}");
    comparison.count(measure::trend_of(left_before, left_now), reverts);
    for claim in &first.claims {
        let Some(counterpart) = second.claims.iter().find(|other| is_same(claim, other)) else {
            comparison.only_first.push(Lone::of(claim));
            continue;
        };
        comparison.pair(claim, counterpart, tolerance);
    }
    comparison.inconclusive = comparison.obstacles();
    comparison
}

/// Whether a verdict says something about the target.
pub(super) fn is_answer(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Pass | Verdict::Fail => true,
        Verdict::Inconclusive | Verdict::Aborted => false,
    }
}

fn is_same(claim: &Claim, other: &Claim) -> bool {
    claim.name == other.name && claim.sli == other.sli
}

fn lone(of: &Judgement, beside: &Judgement) -> Vec<Lone> {
    let known = |claim: &&Claim| !beside.claims.iter().any(|other| is_same(claim, other));
    of.claims.iter().filter(known).map(Lone::of).collect()
}

impl Comparison {
    /// Whether the second run is worse in anything.
    pub fn is_regression(&self) -> bool {
        !self.worse.is_empty()
    }

    fn pair(&mut self, first: &Claim, second: &Claim, tolerance: u32) {
        let trend = self.tell(&first.name, first.verdict, second.verdict);
        // A journal's claim is of an SLI that this version knows, or the journal could not be read.
        let unit = Sli::unit_of(&first.sli).unwrap_or(Unit::Property);
        let measures = measure::of_claims(unit, first, second, tolerance);
        for measure in &measures {
            self.count(measure.trend, format!("{}: {}", first.name, measure.words()));
        }
        self.claims.push(Pair {
            name: first.name.clone(),
            sli: first.sli.clone(),
            first: first.verdict,
            second: second.verdict,
            first_sentence: first.sentence.clone(),
            second_sentence: second.sentence.clone(),
            trend,
            measures,
        });
    }

    /// Why nothing can be concluded from the two.
    fn obstacles(&self) -> Vec<String> {
        let unlike = self.unlike.iter().filter(|unlike| unlike.is_decisive()).map(Unlike::words);
        let sides = [("first", &self.first), ("second", &self.second)];
        let no_answer = sides
            .into_iter()
            .filter(|(_, side)| !is_answer(side.verdict))
            .map(|(which, side)| format!("the {which} run is {}", side.verdict));
        let gone = self.only_first.iter().map(|lone| format!("the second run does not claim: {}", lone.name));
        let nothing = self.claims.is_empty().then(|| "the runs have no claim in common".to_owned());
        unlike.chain(no_answer).chain(gone).chain(nothing).collect()
    }

    /// Counts a verdict.
    fn tell(&mut self, whose: &str, first: Verdict, second: Verdict) -> Trend {
        let trend = match (first, second) {
            (Verdict::Fail, Verdict::Pass) => Trend::Better,
            (Verdict::Pass, Verdict::Inconclusive | Verdict::Aborted | Verdict::Fail) => Trend::Worse,
            (first, second) if first == second => Trend::Same,
            (Verdict::Pass | Verdict::Inconclusive | Verdict::Aborted | Verdict::Fail, _) => Trend::Different,
        };
        self.count(trend, format!("{whose}: {second} instead of {first}"));
        trend
    }

    fn count(&mut self, trend: Trend, sentence: String) {
        match trend {
            Trend::Worse => self.worse.push(sentence),
            Trend::Better => self.better.push(sentence),
            Trend::Same | Trend::Different => {}
        }
    }
}

impl Side {
    fn of(judgement: &Judgement) -> Self {
        Self {
            experiment: judgement.experiment.clone(),
            run: judgement.run.clone(),
            target: judgement.target.clone(),
            seed: judgement.seed,
            version: judgement.version.clone(),
            environment: judgement.environment.clone(),
            verdict: judgement.verdict,
            headline: judgement.headline.clone(),
            not_back: judgement.not_back.clone(),
        }
    }
}

impl Lone {
    fn of(claim: &Claim) -> Self {
        Self { name: claim.name.clone(), sli: claim.sli.clone(), verdict: claim.verdict }
    }
}

#[cfg(test)]
mod tests;

//! A comparison for a terminal. Readable without colour.

use std::fmt;

use super::{Comparison, Lone, Pair, Side, Trend};

/// How far numbers stand from the left.
const INDENT: usize = 16;

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, counts) = self.outcome();
        writeln!(f, "{mark}  {}  {counts}", self.second.experiment)?;
        for (which, side) in [("first", &self.first), ("second", &self.second)] {
            writeln!(f, "  {which:<13} {}", words_of(side))?;
            for missing in &side.not_back {
                writeln!(f, "  {:<13} the {which} run: {missing}", "warning")?;
            }
        }
        for why in &self.inconclusive {
            writeln!(f, "  inconclusive  {why}")?;
        }
        for unlike in self.unlike.iter().filter(|unlike| !unlike.is_decisive()) {
            writeln!(f, "  warning       {}", unlike.words())?;
        }
        let widths = Widths::of(&self.claims);
        for pair in &self.claims {
            claim_lines(f, pair, &widths)?;
        }
        for (which, lone) in [("first", &self.only_first), ("second", &self.only_second)] {
            for Lone { name, verdict, .. } in lone {
                writeln!(f, "  {verdict:<13} {name}")?;
                writeln!(f, "{:INDENT$}only in the {which} run, not compared", "")?;
            }
        }
        for (word, sentences) in [("worse", &self.worse), ("better", &self.better)] {
            for sentence in sentences {
                writeln!(f, "  {word:<13} {sentence}")?;
            }
        }
        Ok(())
    }
}

impl Comparison {
    fn outcome(&self) -> (&'static str, String) {
        let (mark, counts) = match (self.worse.len(), self.better.len()) {
            (0, 0) => ("SAME", "nothing got worse or better".into()),
            (worse, 0) => ("WORSE", format!("{worse} got worse, none better")),
            (0, better) => ("BETTER", format!("{better} got better, none worse")),
            (worse, better) => ("MIXED", format!("{worse} got worse, {better} better")),
        };
        (if self.inconclusive.is_empty() { mark } else { "INCONCLUSIVE" }, counts)
    }
}

fn words_of(side: &Side) -> String {
    let Side { run, target, seed, version, environment, verdict, .. } = side;
    format!("{run}: {verdict}, {target}, seed {seed}, seatrial {version}, {environment}")
}

/// How wide the columns of numbers are, so that they stand under each other in all claims.
struct Widths {
    what: usize,
    first: usize,
    second: usize,
}

impl Widths {
    fn of(claims: &[Pair]) -> Self {
        let widest = |of: fn(&super::Measure) -> &str| {
            let all = claims.iter().flat_map(|pair| &pair.measures);
            all.map(|measure| of(measure).chars().count()).max().unwrap_or(0)
        };
        Self {
            what: widest(|measure| measure.what.name()),
            first: widest(|measure| &measure.first_shown),
            second: widest(|measure| &measure.second_shown),
        }
    }
}

fn claim_lines(f: &mut fmt::Formatter<'_>, pair: &Pair, widths: &Widths) -> fmt::Result {
    writeln!(f, "  {:<13} {}", pair.second, pair.name)?;
    if pair.first != pair.second {
        writeln!(f, "{:INDENT$}was {}: {}", "", pair.first, pair.first_sentence)?;
        writeln!(f, "{:INDENT$}now {}: {}", "", pair.second, pair.second_sentence)?;
    } else if pair.measures.is_empty() {
        writeln!(f, "{:INDENT$}{}", "", pair.second_sentence)?;
    }
    for measure in &pair.measures {
        let said = match (measure.trend, &measure.difference) {
            (Trend::Same, _) => String::new(),
            (Trend::Better, None) => "better".into(),
            (Trend::Worse, None) => "worse".into(),
            (Trend::Better, Some(by)) => format!("{by}: better"),
            (Trend::Worse, Some(by)) => format!("{by}: worse"),
            (Trend::Different, by) => by.clone().unwrap_or_default(),
        };
        let Widths { what, first, second } = *widths;
        let line = format!(
            "{:INDENT$}{:<what$}  {:>first$}  {:>second$}  {said}",
            "",
            measure.what.name(),
            measure.first_shown,
            measure.second_shown
        );
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}

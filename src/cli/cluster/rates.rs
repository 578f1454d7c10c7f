//! How the clients fare, counted from the operations that a run's log tells.

use std::time::Duration;

use crate::api::Nanos;
use crate::journal::op::{Current, OpLine, Stage};
use crate::judge::signals::quantile;
use crate::workload::Rates;

const SECOND: Nanos = 1_000_000_000;

/// The last whole second, and the one that is being counted.
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// Of the last whole second.
    pub(super) rates: Rates,
    second: Nanos,
    counting: Rates,
    latencies: Vec<Nanos>,
}

impl Counter {
    /// Takes a line of an operation.
    pub(super) fn count(&mut self, line: &OpLine<'_>) {
        let second = line.time / SECOND;
        if second > self.second {
            self.turn();
            self.second = second;
        }
        let is_answer = line.current != Current::NotObserved;
        match line.stage {
            Stage::Invoke => {}
            Stage::Fail if !is_answer => self.counting.fail += 1,
            Stage::Info => self.counting.unknown += 1,
            // A compare-and-set that found another value was answered.
            Stage::Ok | Stage::Fail => {
                self.counting.ok += 1;
                self.latencies.push(line.time.saturating_sub(line.intended.unwrap_or(line.time)));
            }
        }
    }

    fn turn(&mut self) {
        let mut latencies = std::mem::take(&mut self.latencies);
        let mut at = |thousandths| quantile(&mut latencies, thousandths).map(Duration::from_nanos);
        self.rates = Rates { p50: at(500), p99: at(990), ..std::mem::take(&mut self.counting) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: Nanos, stage: &str, rest: &str) -> String {
        format!(
            r#"{{"index":0,"time":{time},"process":1,"type":"{stage}","f":"cas","key":"k","value":[1,2],"intended":5{rest}}}"#
        )
    }

    #[test]
    fn a_second_is_told_when_it_is_whole() {
        let mut counter = Counter::default();
        let lines = [
            line(5, "invoke", ""),
            line(1_005, "ok", ""),
            line(3_005, "fail", r#","current":7"#),
            line(9, "fail", ""),
            line(9, "info", ""),
        ];
        for text in &lines {
            counter.count(&OpLine::parse(text).expect("an operation"));
        }
        assert_eq!(counter.rates, Rates::default());
        let next = line(SECOND + 1, "invoke", "");
        counter.count(&OpLine::parse(&next).expect("an operation"));
        let rates = counter.rates;
        assert_eq!((rates.ok, rates.fail, rates.unknown), (2, 1, 1));
        assert_eq!(rates.p50, Some(Duration::from_micros(1)));
        assert_eq!(rates.p99, Some(Duration::from_micros(3)));
    }
}

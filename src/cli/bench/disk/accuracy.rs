//! How long calls take longer than without a fault, beside how much longer was asked for.

use std::path::Path;
use std::time::{Duration, Instant};

use super::super::super::console;
use super::super::against_budget;
use super::caller::{Call, Caller};
use super::driver::{Driver, Holding, Meant};
use super::{Figures, Times, fio, milliseconds};

/// What is asked for.
const ASKED: [Duration; 5] = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(500),
];

/// So many calls show what is usual, and what is not.
const ENOUGH: usize = 500;
/// So many are made even where they take longer than there is time for.
const FEWEST: usize = 5;

/// How far off a call may be.
fn budget(asked: Duration) -> Duration {
    (asked / 20).max(Duration::from_millis(1))
}

/// How many calls of that length there is time for.
fn count(asked: Duration, lasting: Duration) -> usize {
    ((lasting.as_nanos() / asked.as_nanos()) as usize).clamp(FEWEST, ENOUGH)
}

pub(super) fn measure(
    drivers: &[Driver],
    folder: &Path,
    lasting: Duration,
) -> Result<Vec<Vec<String>>, String> {
    let words =
        ["DRIVER, CALL", "CLOCK OF", "ASKED", "CALLS", "ADDED P50", "P99", "BUDGET", "", "DRIVER'S MEAN"];
    let mut rows = vec![words.map(str::to_owned).to_vec()];
    rows.extend(
        ASKED.map(|asked| without_driver(asked, lasting)).into_iter().collect::<Result<Vec<_>, _>>()?,
    );
    for &driver in drivers {
        for call in Call::ALL {
            let operation = call.operation().filter(|operation| driver.can(Meant::All(*operation)));
            let Some(operation) = operation else { continue };
            let usual = Caller::start(folder)?.time(call, ENOUGH, lasting)?.percentile(50);
            for asked in ASKED {
                let mut caller = Caller::start(folder)?;
                let holding = driver.hold(caller.process, folder, Meant::All(operation), asked)?;
                let found = caller.time(call, count(asked, lasting), Duration::from_hours(1))?.figures();
                let what = format!("{}, {}", driver.name(), call.name());
                let mut row = row(what, "caller", asked, usual, &found);
                row.push(mean(holding)?);
                rows.push(row);
            }
        }
        if fio::is_installed() {
            rows.extend(with_fio(driver, folder, lasting)?);
        }
    }
    if !fio::is_installed() {
        console::hint("install fio to have its figures beside these");
    }
    Ok(rows)
}

/// What this machine makes of a sleep, beside which drivers have to be seen: a busy one wakes everybody up late.
fn without_driver(asked: Duration, lasting: Duration) -> Result<Vec<String>, String> {
    let times = (0..count(asked, lasting)).map(|_| {
        let since = Instant::now();
        std::thread::sleep(asked);
        since.elapsed()
    });
    let found = Times::of(times.collect())?.figures();
    Ok(row("none, a sleep".to_owned(), "caller", asked, Duration::ZERO, &found))
}

fn with_fio(driver: Driver, folder: &Path, lasting: Duration) -> Result<Vec<Vec<String>>, String> {
    let mut rows = Vec::new();
    for job in fio::Job::ALL.into_iter().filter(|job| driver.can(Meant::All(job.operation()))) {
        let usual = fio::Started::new(job, folder, ENOUGH)?.finish()?.median;
        for asked in ASKED {
            let started = fio::Started::new(job, folder, count(asked, lasting))?;
            let holding = driver.hold(started.process, folder, Meant::All(job.operation()), asked)?;
            let found = started.finish()?;
            let what = format!("{}, {}", driver.name(), job.name());
            let mut row = row(what, "fio", asked, usual, &found);
            row.push(mean(holding)?);
            rows.push(row);
        }
    }
    Ok(rows)
}

/// What the driver says itself, where it does, when it has let go.
fn mean(mut holding: Box<dyn Holding>) -> Result<String, String> {
    let mean = holding.mean()?;
    holding.end()?;
    Ok(mean.map(milliseconds).unwrap_or_default())
}

fn row(what: String, clock: &str, asked: Duration, usual: Duration, found: &Figures) -> Vec<String> {
    let [median, slowest] = [found.median, found.slowest].map(|took| took.saturating_sub(usual));
    let budget = budget(asked);
    let is_within = [median, slowest].iter().all(|added| added.abs_diff(asked) <= budget);
    vec![
        what,
        clock.to_owned(),
        format!("{} ms", asked.as_millis()),
        found.calls.to_string(),
        milliseconds(median),
        milliseconds(slowest),
        format!("± {} ms", budget.as_millis()),
        against_budget(is_within).to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_call_may_be_off_by_a_millisecond_or_a_twentieth() {
        assert_eq!([MS, MS * 20, MS * 100, MS * 500].map(budget), [MS, MS, MS * 5, MS * 25]);
        let stands = |took: u32| {
            let found = Figures { calls: 1, median: MS * 100, slowest: MS * took };
            row(String::new(), "", MS * 100, MS, &found)[7].clone()
        };
        assert_eq!([stands(96), stands(106)], ["within", "within"], "added to the usual millisecond");
        assert_eq!([stands(95), stands(107)], ["OVER", "OVER"]);
    }

    #[test]
    fn there_are_as_many_calls_as_there_is_time_for_and_never_none() {
        let counts = [MS, MS * 20, MS * 500].map(|asked| count(asked, MS * 2000));
        assert_eq!(counts, [ENOUGH, 100, FEWEST]);
    }
}

//! What a driver costs calls that it does not hold.

use std::path::Path;
use std::time::Duration;

use super::Times;
use super::caller::{Call, Caller};
use super::driver::{Driver, Meant};
use crate::host::tracer::Operation;

/// So many calls are made of each kind, unless that takes too long.
const CALLS: usize = 20_000;
const LIMIT: Duration = Duration::from_secs(2);

/// A case, and which calls are meant in it where a call does this.
type Case = (&'static str, fn(Operation) -> Meant);

const CASES: [Case; 3] = [
    ("NONE MEANT", |_| Meant::Nothing),
    ("ANOTHER VOLUME MEANT", Meant::OnAnotherVolume),
    ("ANOTHER PATH MEANT", Meant::AtAnotherPath),
];

pub(super) fn measure(drivers: &[Driver], folder: &Path) -> Result<Vec<Vec<String>>, String> {
    let both = drivers.iter().flat_map(|driver| CASES.map(|case| (*driver, case)));
    // What a driver can leave alone, it can whatever the call does.
    let columns: Vec<_> = both.filter(|(driver, (_, meant))| driver.can(meant(Operation::Sync))).collect();
    let mut headings = vec!["MEAN (P99) OF A CALL".to_owned(), "NO DRIVER".to_owned()];
    headings.extend(columns.iter().map(|(driver, (case, _))| format!("{}: {case}", driver.name())));
    let mut rows = vec![headings];
    for call in Call::ALL {
        let mut row =
            vec![call.name().to_owned(), microseconds(&Caller::start(folder)?.time(call, CALLS, LIMIT)?)];
        for (driver, (_, meant)) in &columns {
            let meant = match call.operation() {
                Some(operation) => meant(operation),
                None if meant(Operation::Sync) == Meant::Nothing => Meant::Nothing,
                None => {
                    row.push(String::new());
                    continue;
                }
            };
            let mut caller = Caller::start(folder)?;
            let holding = driver.hold(caller.process, folder, meant, Duration::ZERO)?;
            row.push(microseconds(&caller.time(call, CALLS, LIMIT)?));
            holding.end()?;
        }
        rows.push(row);
    }
    Ok(rows)
}

fn microseconds(times: &Times) -> String {
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    format!("{:.1} ({:.1}) µs", micros(times.mean()), micros(times.percentile(99)))
}

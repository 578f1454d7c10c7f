//! What a driver costs calls that it does not hold.

use std::path::Path;
use std::time::Duration;

use super::Times;
use super::caller::{Call, Caller};
use super::driver::{Driver, Meant};

/// So many calls are made of each kind, unless that takes too long.
const CALLS: usize = 20_000;
const LIMIT: Duration = Duration::from_secs(2);

pub(super) fn measure(folder: &Path) -> Result<Vec<Vec<String>>, String> {
    let mut headings = vec!["MEAN (P99) OF A CALL".to_owned(), "NO DRIVER".to_owned()];
    for driver in Driver::ALL {
        let cases = ["NONE MEANT", "ANOTHER VOLUME MEANT", "ANOTHER PATH MEANT"];
        headings.extend(cases.map(|case| format!("{}: {case}", driver.name())));
    }
    let mut rows = vec![headings];
    for call in Call::ALL {
        let mut row =
            vec![call.name().to_owned(), microseconds(&Caller::start(folder)?.time(call, CALLS, LIMIT)?)];
        for driver in Driver::ALL {
            let operation = call.operation();
            for meant in [
                Some(Meant::Nothing),
                operation.map(Meant::OnAnotherVolume),
                operation.map(Meant::AtAnotherPath),
            ] {
                let Some(meant) = meant else {
                    row.push(String::new());
                    continue;
                };
                let mut caller = Caller::start(folder)?;
                let _holding = driver.hold(caller.process, folder, meant, Duration::ZERO)?;
                row.push(microseconds(&caller.time(call, CALLS, LIMIT)?));
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

fn microseconds(times: &Times) -> String {
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    format!("{:.1} ({:.1}) µs", micros(times.mean()), micros(times.percentile(99)))
}

//! `seatrial compare`: two recorded runs, judged again from their journals and held against each other.

use super::args::{self, Format};
use super::console;
use super::exit::Exit;
use super::recorded;
use crate::report;

/// `seatrial compare RUN OTHER`
pub(super) fn compare(args: &args::Compare) -> Exit {
    let (first, second) = match (recorded::named(&args.first), recorded::named(&args.second)) {
        (Ok((_, first)), Ok((_, second))) => (first, second),
        (Err(exit), _) | (_, Err(exit)) => return exit,
    };
    let compared = report::compare::compare(&first, &second, args.tolerance);
    if args.output == Format::Text {
        console::report(&compared.to_string());
    } else if let Err(exit) = console::formatted(&compared, args.output) {
        return exit;
    }
    if !args.fail_on_regression {
        Exit::Pass
    } else if !compared.inconclusive.is_empty() {
        Exit::Inconclusive
    } else if compared.is_regression() {
        Exit::Failed
    } else {
        Exit::Pass
    }
}

//! By what the calls on a volume are slowed down or fail, and which of these ways can do what is asked.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Delay, DiskErrno, DiskOperation, FailingDisk, SlowDisk};

/// What slows a disk down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LatencyDriver {
    /// The best one that can do it, on each node by itself.
    #[default]
    Auto,
    /// A tracer (ptrace) holds the calls of the member's processes: any calls, any delay.
    Syscall,
    /// Device mapper holds the requests to the volume's device: all of them, by a fixed number of milliseconds.
    DmDelay,
    /// The kernel asks before each read and write of files that are opened from then on, and is answered late: no syncs.
    Fanotify,
}

/// What has a disk fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ErrorDriver {
    /// The best one that can do it and leaves nothing, on each node by itself: `dmError` has to be named.
    #[default]
    Auto,
    /// A tracer (ptrace) answers the calls of the member's processes: any calls, any error.
    Syscall,
    /// Device mapper fails the requests to the volume's device: all of them, with EIO. The filesystem above may make itself
    /// read-only, and stays so until it is mounted anew.
    DmError,
    /// The kernel asks before each read and write of files that are opened from then on, and is told to refuse: no syncs.
    Fanotify,
}

/// Why a driver cannot do what is asked: which parameter is in its way, and what to write instead.
pub type Misfit = (&'static str, String);

/// Device mapper counts in ticks of the kernel's clock, of 10 ms at most: from here on that is less than 5 %.
const COARSE: Duration = Duration::from_millis(200);

const NO_OPENS: &str = "only a tracer sees opens: leave open out, or write driver: syscall";
const NO_PATHS: &str =
    "only a tracer sees at which path a call is: leave paths out, or write driver: syscall";

/// What a tracer alone can tell apart, where that is asked for.
fn tracers_alone(operations: &[DiskOperation], paths: &[String]) -> Option<Misfit> {
    if operations.contains(&DiskOperation::Open) {
        return Some(("operations", NO_OPENS.to_owned()));
    }
    (!paths.is_empty()).then(|| ("paths", NO_PATHS.to_owned()))
}

const NO_SYNCS: &str =
    "the kernel asks fanotify about no sync: write operations: [read, write], or driver: syscall";

impl LatencyDriver {
    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Syscall => "syscall",
            Self::DmDelay => "dmDelay",
            Self::Fanotify => "fanotify",
        }
    }
}

impl ErrorDriver {
    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Syscall => "syscall",
            Self::DmError => "dmError",
            Self::Fanotify => "fanotify",
        }
    }
}

impl fmt::Display for LatencyDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for ErrorDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl SlowDisk {
    /// Why a driver cannot do this on any node, if so.
    pub fn misfit(&self, driver: LatencyDriver) -> Option<Misfit> {
        if matches!(driver, LatencyDriver::Auto | LatencyDriver::Syscall) {
            return None;
        }
        if let Some(misfit) = tracers_alone(&self.operations, &self.paths) {
            return Some(misfit);
        }
        match driver {
            LatencyDriver::Auto | LatencyDriver::Syscall => None,
            LatencyDriver::DmDelay => match self.delay {
                Delay::Fixed(time) if time.subsec_nanos() % 1_000_000 == 0 => is_some_only(self.percent),
                _ => {
                    let why = "device mapper holds all requests by one number of whole milliseconds: write delay: {fixed: 20ms}, or driver: syscall";
                    Some(("delay", why.to_owned()))
                }
            },
            LatencyDriver::Fanotify => {
                self.operations.contains(&DiskOperation::Sync).then(|| ("operations", NO_SYNCS.to_owned()))
            }
        }
    }

    /// The drivers that may do this, the best first; the named one alone where one is named.
    pub fn drivers(&self) -> Vec<LatencyDriver> {
        use LatencyDriver::{Auto, DmDelay, Fanotify, Syscall};
        let only_syncs = self.operations.iter().all(|operation| *operation == DiskOperation::Sync);
        let order = match self.driver {
            // A sync is felt as it is asked for, and the member's processes are left alone.
            Auto if only_syncs && self.delay.longest() >= COARSE => vec![DmDelay, Syscall],
            // A call that memory answers never comes to the device.
            Auto => vec![Syscall, DmDelay, Fanotify],
            named => return vec![named],
        };
        order.into_iter().filter(|driver| self.misfit(*driver).is_none()).collect()
    }
}

impl FailingDisk {
    /// Why a driver cannot do this on any node, if so.
    pub fn misfit(&self, driver: ErrorDriver) -> Option<Misfit> {
        if matches!(driver, ErrorDriver::Auto | ErrorDriver::Syscall) {
            return None;
        }
        if let Some(misfit) = tracers_alone(&self.operations, &self.paths) {
            return Some(misfit);
        }
        let asks = |operation| self.operations.contains(&operation);
        let error = |instead| Some(("error", format!("{driver} knows no {}: write {instead}", self.error)));
        match driver {
            ErrorDriver::Auto | ErrorDriver::Syscall => None,
            ErrorDriver::DmError if self.error != DiskErrno::Eio => error("error: EIO, or driver: syscall"),
            ErrorDriver::DmError if asks(DiskOperation::Sync) != asks(DiskOperation::Write) => {
                let why = "a device does not tell a sync from the writes that it consists of: write operations: [sync, write], or driver: syscall";
                Some(("operations", why.to_owned()))
            }
            ErrorDriver::DmError => is_some_only(self.percent),
            ErrorDriver::Fanotify if self.error == DiskErrno::Erofs => {
                error("error: EIO or error: ENOSPC, or driver: syscall")
            }
            ErrorDriver::Fanotify => asks(DiskOperation::Sync).then(|| ("operations", NO_SYNCS.to_owned())),
        }
    }

    /// The drivers that may do this, the best first; the named one alone where one is named.
    pub fn drivers(&self) -> Vec<ErrorDriver> {
        let order = match self.driver {
            ErrorDriver::Auto => vec![ErrorDriver::Syscall, ErrorDriver::Fanotify],
            named => return vec![named],
        };
        order.into_iter().filter(|driver| self.misfit(*driver).is_none()).collect()
    }
}

/// Why a share of requests cannot be chosen on a device, where one is asked for.
fn is_some_only(percent: u8) -> Option<Misfit> {
    let why = || {
        format!(
            "device mapper does it to all requests, not to {percent} %: leave percent out, or write driver: syscall"
        )
    };
    (percent != 100).then(|| ("percent", why()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Delay, DiskErrno, DiskOperation, ErrorDriver, FailingDisk, LatencyDriver, SlowDisk};

    fn slow(operations: &[DiskOperation], millis: u64) -> SlowDisk {
        SlowDisk {
            claims: Vec::new(),
            paths: Vec::new(),
            operations: operations.to_vec(),
            delay: Delay::Fixed(Duration::from_millis(millis)),
            percent: 100,
            seed: 0,
            driver: LatencyDriver::Auto,
        }
    }

    #[test]
    fn the_best_driver_is_the_one_that_is_exact_and_reaches_all_that_is_asked() {
        use DiskOperation::{Read, Sync, Write};
        use LatencyDriver::{DmDelay, Fanotify, Syscall};
        assert_eq!(slow(&[Sync], 20).drivers(), [Syscall, DmDelay]);
        assert_eq!(slow(&[Sync], 200).drivers(), [DmDelay, Syscall]);
        assert_eq!(slow(&[Sync, Write], 200).drivers(), [Syscall, DmDelay]);
        assert_eq!(slow(&[Read, Write], 200).drivers(), [Syscall, DmDelay, Fanotify]);
        assert_eq!(SlowDisk { percent: 50, ..slow(&[Sync], 200) }.drivers(), [Syscall]);
        let varying = Delay::Uniform { min: Duration::ZERO, max: Duration::from_secs(1) };
        assert_eq!(SlowDisk { delay: varying, ..slow(&[Read], 0) }.drivers(), [Syscall, Fanotify]);
        assert_eq!(SlowDisk { driver: DmDelay, ..slow(&[Sync], 1) }.drivers(), [DmDelay]);
    }

    #[test]
    fn what_a_driver_cannot_do_is_told_with_what_to_write_instead() {
        use DiskOperation::{Read, Sync, Write};
        let failing = |operations: &[DiskOperation], error| FailingDisk {
            claims: Vec::new(),
            paths: Vec::new(),
            operations: operations.to_vec(),
            error,
            percent: 100,
            seed: 0,
            driver: ErrorDriver::Auto,
        };
        let told = |failing: FailingDisk, driver| {
            failing
                .misfit(driver)
                .map(|(field, why)| (field, why.split(": write ").nth(1).unwrap_or_default().to_owned()))
        };
        let all = [Sync, Write];
        assert_eq!(told(failing(&all, DiskErrno::Eio), ErrorDriver::DmError), None);
        for (failing, driver, field, instead) in [
            (failing(&all, DiskErrno::Enospc), ErrorDriver::DmError, "error", "error: EIO"),
            (
                failing(&[Sync], DiskErrno::Eio),
                ErrorDriver::DmError,
                "operations",
                "operations: [sync, write]",
            ),
            (
                failing(&[Write], DiskErrno::Erofs),
                ErrorDriver::Fanotify,
                "error",
                "error: EIO or error: ENOSPC",
            ),
            (failing(&all, DiskErrno::Eio), ErrorDriver::Fanotify, "operations", "operations: [read, write]"),
        ] {
            let (found, words) = told(failing, driver).expect("told");
            assert!(found == field && words.starts_with(instead), "{found}: {words}");
        }
        assert_eq!(failing(&all, DiskErrno::Eio).drivers(), [ErrorDriver::Syscall]);
        assert_eq!(failing(&[Read], DiskErrno::Eio).drivers(), [ErrorDriver::Syscall, ErrorDriver::Fanotify]);
        let traced = failing(&[DiskOperation::Open], DiskErrno::Eio);
        assert_eq!(traced.drivers(), [ErrorDriver::Syscall]);
        assert_eq!(traced.misfit(ErrorDriver::Fanotify).map(|(field, _)| field), Some("operations"));
        let placed = SlowDisk { paths: vec!["wal/*".into()], ..slow(&[Sync], 200) };
        assert_eq!(placed.drivers(), [LatencyDriver::Syscall]);
        assert_eq!(placed.misfit(LatencyDriver::DmDelay).map(|(field, _)| field), Some("paths"));
        let some = SlowDisk { percent: 50, ..slow(&[Read], 20) };
        assert_eq!(some.misfit(LatencyDriver::DmDelay).map(|(field, _)| field), Some("percent"));
        let half = slow(&[Read], 20);
        let half = SlowDisk { delay: Delay::Fixed(Duration::from_micros(1500)), ..half };
        assert_eq!(half.misfit(LatencyDriver::DmDelay).map(|(field, _)| field), Some("delay"));
    }
}

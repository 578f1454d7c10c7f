//! Named points at which a test can let the node die.
//!
//! In a debug build, a process whose environment says `SEATRIAL_KILL_AT=POINT` kills itself with SIGKILL when it gets
//! there, and with `SEATRIAL_STOP_AT=POINT` stops itself until SIGCONT; a release build has no such points.

/// Every point, in the order in which an injection and its revert pass them.
pub const POINTS: &[&str] = &[
    "guardian-started",
    "record-written",
    "guardian-armed",
    "acted",
    "verified",
    "reported",
    "revert-begun",
    "undone",
    "record-removed",
    "guardian-ended",
];

/// Those that only an exchange of a device's table passes, and its revert.
pub const TABLE_POINTS: &[&str] = &["table-loaded", "former-table-loaded"];

/// Those that single tests name: a power cut passes the first, the revert of an exchange the second, before it loads anything.
#[cfg(debug_assertions)]
const SINGLE_POINTS: &[&str] = &["shut-down", "former-table-wanted"];

/// Dies or stops here if a test asked for it.
pub fn stop_here(point: &str) {
    #[cfg(debug_assertions)]
    {
        use nix::sys::signal::Signal;
        debug_assert!(
            POINTS.iter().chain(TABLE_POINTS).chain(SINGLE_POINTS).any(|known| *known == point),
            "{point} is not in the list"
        );
        for (word, signal) in [("SEATRIAL_STOP_AT", Signal::SIGSTOP), ("SEATRIAL_KILL_AT", Signal::SIGKILL)] {
            if std::env::var_os(word).is_some_and(|wanted| wanted == point) {
                let _ = nix::sys::signal::raise(signal);
            }
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = point;
}

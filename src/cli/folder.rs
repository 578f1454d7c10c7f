//! The folder of a run: its journal, its reports and its logs.

use std::fs;
use std::path::{Path, PathBuf};

use super::recorded::JOURNAL;

/// `NAME-YYYYMMDD-HHMMSS`, by the wall clock in UTC.
pub(super) fn name_of(experiment: &str) -> String {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    format!("{experiment}-{}", now.strftime("%Y%m%d-%H%M%S"))
}

/// Makes the run's folder; one that holds a journal is never written into. The path is absolute, because the process
/// may change its view of the machine later.
pub(super) fn create(folder: &Path) -> Result<PathBuf, String> {
    let told = |error: std::io::Error| {
        format!("cannot create {}: {error}; --out names another folder", folder.display())
    };
    fs::create_dir_all(folder).map_err(told)?;
    refuse_used(folder)?;
    fs::canonicalize(folder).map_err(told)
}

/// Refuses a folder that holds a run.
pub(super) fn refuse_used(folder: &Path) -> Result<(), String> {
    if folder.join(JOURNAL).exists() {
        Err(format!("{} holds a run already: choose another --out", folder.display()))
    } else {
        Ok(())
    }
}

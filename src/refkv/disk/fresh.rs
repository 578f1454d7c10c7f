//! Remembers that this member came with an empty disk, until it has caught up.
//!
//! A member that lost its disk has forgotten what it acknowledged. If it voted at once, it could make somebody the
//! leader who lacks an acknowledged write. A member cannot tell its first start from that, so the rule is the same
//! for both: with an empty disk it votes only for a candidate that has nothing either (the first election of a new
//! cluster), until it holds all that a leader has committed in its own term.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::replace;

/// Whether this member still has to catch up.
#[derive(Debug)]
pub struct Fresh {
    folder: PathBuf,
    is_fresh: AtomicBool,
}

impl Fresh {
    /// Looks into `folder`, which is made if it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let marker = folder.join("fresh");
        let mut is_empty = true;
        for file in fs::read_dir(folder)? {
            let name = file?.file_name();
            is_empty &= name != "vote" && name != "snapshot" && !name.to_string_lossy().starts_with("log-");
        }
        if is_empty && !marker.exists() {
            File::create(&marker)?.sync_all()?;
            replace::sync_folder(folder)?;
        }
        Ok(Self { folder: folder.to_owned(), is_fresh: AtomicBool::new(marker.exists()) })
    }

    /// Whether it must not vote yet for a candidate that has a log.
    pub fn is_fresh(&self) -> bool {
        self.is_fresh.load(Ordering::Acquire)
    }

    /// It has caught up. More than one task may find that out.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_file(self.folder.join("fresh")) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        replace::sync_folder(&self.folder)?;
        self.is_fresh.store(false, Ordering::Release);
        Ok(())
    }
}

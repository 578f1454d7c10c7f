//! Reads every file of a restored volume, in a pod of its own: a volume that is Bound need not hold anything.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::api::counted;

/// The word that makes a process such a reader; the folder is its argument.
pub const SUBCOMMAND: &str = "__read";

/// Where the kubelet looks for what a container says when it ends.
const LAST_WORDS: &str = "/dev/termination-log";

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    files: u64,
    bytes: u64,
}

/// Reads everything below the folder and says how much it was, or what could not be read. Exit code 0 where all was read.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> u8 {
    let folder = arguments.next().unwrap_or_default();
    let (words, code) = match read(Path::new(&folder)) {
        Ok(Tally { files, bytes }) => (format!("{}, {}", counted(files, "file"), counted(bytes, "byte")), 0),
        Err(why) => (why, 1),
    };
    match fs::write(LAST_WORDS, &words) {
        Ok(()) => code,
        Err(_) => 1,
    }
}

/// Links and devices are not followed: what they name is not on the volume.
fn read(folder: &Path) -> Result<Tally, String> {
    let told = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let mut tally = Tally::default();
    for entry in fs::read_dir(folder).map_err(|error| told(folder, error))? {
        let path = entry.map_err(|error| told(folder, error))?.path();
        let kind = fs::symlink_metadata(&path).map_err(|error| told(&path, error))?.file_type();
        if kind.is_dir() {
            // The file system's own, which nobody but root may read.
            if path.file_name().is_some_and(|name| name == "lost+found") {
                continue;
            }
            let below = read(&path)?;
            tally.files += below.files;
            tally.bytes += below.bytes;
        } else if kind.is_file() {
            let mut file = File::open(&path).map_err(|error| told(&path, error))?;
            tally.bytes += io::copy(&mut file, &mut io::sink()).map_err(|error| told(&path, error))?;
            tally.files += 1;
        }
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_read_and_links_are_not_followed() {
        let folder = tempfile::TempDir::new().expect("a temporary folder can be made");
        let path = folder.path();
        fs::create_dir_all(path.join("a/b")).expect("a folder");
        fs::write(path.join("a/b/one"), "12345").expect("a file");
        fs::write(path.join("two"), "123").expect("a file");
        std::os::unix::fs::symlink("/etc/passwd", path.join("link")).expect("a link");
        assert_eq!(read(path), Ok(Tally { files: 2, bytes: 8 }));
        let gone = read(&path.join("gone")).expect_err("it is not there");
        assert!(gone.contains("gone: No such file"), "{gone}");
    }
}

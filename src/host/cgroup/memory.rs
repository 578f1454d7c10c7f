//! How much memory the processes of a cgroup of version 2 can still take (Documentation/admin-guide/cgroup-v2.rst).

use std::fs;
use std::io;
use std::path::Path;

/// In bytes, in the one of `folder` and those above it that has the least left; `None` where none of them has a limit. What
/// the kernel takes back first, which is what it keeps of files that nobody has used lately, counts as left.
pub fn left(folder: &Path) -> io::Result<Option<u64>> {
    let mut least: Option<u64> = None;
    for folder in folder.ancestors() {
        if let Some(left) = left_in(folder)? {
            least = Some(least.map_or(left, |least| least.min(left)));
        }
    }
    Ok(least)
}

fn left_in(folder: &Path) -> io::Result<Option<u64>> {
    let most = match fs::read_to_string(folder.join("memory.max")) {
        Ok(text) if text.trim() == "max" => return Ok(None),
        Ok(text) => number(&text)?,
        // Of version 1, at the top, or where memory is not counted.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let taken = number(&fs::read_to_string(folder.join("memory.current"))?)?;
    let statistics = fs::read_to_string(folder.join("memory.stat"))?;
    let given_back = statistics.lines().find_map(|line| line.strip_prefix("inactive_file "));
    let given_back = given_back.map_or(Ok(0), number)?;
    Ok(Some(most.saturating_sub(taken.saturating_sub(given_back))))
}

fn number(text: &str) -> io::Result<u64> {
    let malformed = |_| io::Error::new(io::ErrorKind::InvalidData, format!("`{text}` is no number"));
    text.trim().parse().map_err(malformed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::left;

    fn limit(folder: &Path, most: &str) {
        fs::create_dir_all(folder).expect("writable");
        let statistics = "anon 60\nfile 40\ninactive_file 25\nactive_file 15\n";
        for (file, text) in [("memory.max", most), ("memory.current", "100\n"), ("memory.stat", statistics)] {
            fs::write(folder.join(file), text).expect("writable");
        }
    }

    #[test]
    fn what_is_left_is_up_to_the_strictest_limit_from_the_cgroup_upwards() {
        let folder = tempfile::tempdir().expect("a folder");
        let (pod, inner) = (folder.path().join("pod"), folder.path().join("pod/container/inner"));
        assert_eq!(left(&inner).expect("none"), None);
        limit(&inner, "max\n");
        assert_eq!(left(&inner).expect("none"), None);
        limit(&pod, "1000\n");
        assert_eq!(left(&inner).expect("readable"), Some(925));
        limit(&inner, "200\n");
        assert_eq!(left(&inner).expect("readable"), Some(125));
        limit(&inner, "50\n");
        assert_eq!(left(&inner).expect("readable"), Some(0));
    }
}

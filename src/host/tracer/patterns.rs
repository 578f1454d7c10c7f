//! Which files of a volume are meant, by their paths below its root.

use std::path::Path;

use globset::{GlobBuilder, GlobSet};

/// Patterns of paths.
///
/// `*` and `?` stand for letters of one name, `**` for any number of folders, `[ab]` and `{a,b}` for one of these. What has
/// none of them is one file: `wal` does not mean what is in the folder of that name, `wal/**` does.
#[derive(Debug)]
pub struct Patterns(GlobSet);

impl Patterns {
    /// Reads them; what is wrong with the first that is, and what to write instead.
    pub fn new(texts: &[String]) -> Result<Self, String> {
        let mut set = GlobSet::builder();
        for text in texts {
            let wrong = |why: &str| {
                format!(
                    "`{text}` {why}: write paths as they are below the volume's root, for example paths: [\"wal/*\"], or [\"wal/**\"] for everything below that folder"
                )
            };
            if text.starts_with('/') {
                return Err(wrong("begins with a slash"));
            }
            if text.split('/').any(|name| ["", ".", ".."].contains(&name)) {
                return Err(wrong("has a name that is empty, `.` or `..`"));
            }
            let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
            set.add(glob.map_err(|error| wrong(&format!("is no pattern ({})", error.kind())))?);
        }
        Ok(Self(set.build().map_err(|error| error.to_string())?))
    }

    /// Whether one of them means the file at this path.
    pub fn mean(&self, path: &Path) -> bool {
        self.0.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Result<Patterns, String> {
        Patterns::new(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_star_stays_within_a_name_and_two_do_not() {
        for (pattern, meant, others) in [
            ("wal", vec!["wal"], vec!["wal/0", "a/wal", "wal2"]),
            ("wal/*", vec!["wal/0", "wal/.tmp"], vec!["wal", "wal/a/0"]),
            ("wal/**", vec!["wal/0", "wal/a/0"], vec!["wal", "wal2/0"]),
            ("**/*.wal", vec!["0.wal", "a/b/0.wal"], vec!["0.wal/x", "0.snap"]),
            ("pg_wal/0000000[12]*", vec!["pg_wal/000000010"], vec!["pg_wal/000000030"]),
            ("{wal,snap}/?", vec!["wal/0", "snap/1"], vec!["wal/00"]),
            (r"a\*", vec!["a*"], vec!["ab"]),
        ] {
            let found = patterns(&[pattern]).expect("a pattern");
            for path in meant {
                assert!(found.mean(Path::new(path)), "{pattern} {path}");
            }
            for path in others {
                assert!(!found.mean(Path::new(path)), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn one_of_several_is_enough_and_a_wrong_one_is_named() {
        let found = patterns(&["a", "b/*"]).expect("patterns");
        assert!(found.mean(Path::new("a")) && found.mean(Path::new("b/c")) && !found.mean(Path::new("c")));
        for wrong in ["/wal", "", "wal/", "./wal", "a/../b", "a//b", "[a", "{a"] {
            let why = patterns(&["fine", wrong]).expect_err(wrong);
            assert!(why.contains(&format!("`{wrong}`")) && why.contains("wal/*"), "{why}");
        }
    }
}

//! What decides must not act: these modules have no clock, no randomness of their own, no I/O, so that the same journal
//! gives the same answer on another machine a year later.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules that only compute.
const PURE: [&str; 8] = ["api", "experiment", "yaml", "spec", "plan", "engine", "judge", "fault"];

/// What acts, waits, or differs from run to run.
const FORBIDDEN: [&str; 19] = [
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "rand::rng(",
    "rand::random",
    "SysRng",
    "make_rng",
    "RandomState",
    "tokio",
    "nix::",
    "libc::",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "std::env",
    "thread::sleep",
    "unsafe ",
];

#[test]
fn what_decides_has_no_clock_no_randomness_and_no_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut seen = 0;
    for module in PURE {
        for path in sources(&root, module) {
            seen += 1;
            let text = fs::read_to_string(&path).expect("a source file is readable");
            for (number, line) in code(&text) {
                for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
                    found.push(format!("{}:{number}: {word}", path.display()));
                }
            }
        }
    }
    assert!(seen > 30, "only {seen} files were looked at");
    assert!(found.is_empty(), "{found:#?}");
}

/// The files of a module without its tests, and without the halves of faults that act on a host.
fn sources(root: &Path, module: &str) -> Vec<PathBuf> {
    let mut files = vec![root.join(format!("{module}.rs"))];
    let mut folders = vec![root.join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.map(|entry| entry.expect("a folder entry is readable").path()) {
            let stem = entry.file_stem().unwrap_or_default();
            if stem == "tests" || stem == "host" {
                continue;
            }
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                files.push(entry);
            }
        }
    }
    files.retain(|file| file.is_file());
    files
}

/// Lines with their numbers, up to inline tests, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .zip(1..)
        .map(|(line, number)| (number, line.split("//").next().unwrap_or_default()))
}

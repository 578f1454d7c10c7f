//! The page that says what becomes of each field is made from the table.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::*;

const FILE: &str = "experiments/FIELDS.md";

const HEAD: &str = "\
# What becomes of a manifest in a sandbox

Every field of a StatefulSet, of its governing Service, and of the Secrets and ConfigMaps beside them is **honoured**, **noted**
(its absence changes nothing that a test can tell, and the command says so) or **refused** (leaving it out would change what
the test means, and the command says where it is and what to write instead). A field that is not listed is refused. This page
is made from the table that the program goes by.

A manifest may hold several StatefulSets of one namespace, with different names. All of them run in one sandbox.

";

/// In a word, and why.
fn told(treatment: Treatment) -> (&'static str, String) {
    match treatment {
        Treatment::Within | Treatment::Honoured => ("honoured", String::new()),
        Treatment::Only { values, hint } => {
            ("honoured", format!("only {}; otherwise: {hint}", listed(values)))
        }
        Treatment::Usual { values, note } => {
            ("noted", format!("{note}; nothing is said of {}", listed(values)))
        }
        Treatment::Noted(note) => ("noted", note.to_owned()),
        Treatment::Refused { why, hint } => ("refused", format!("{why}: {hint}")),
    }
}

fn listed(values: &[&str]) -> String {
    let shown: Vec<String> = values
        .iter()
        .map(|value| if value.is_empty() { "nothing".to_owned() } else { format!("`{value}`") })
        .collect();
    shown.join(", ")
}

/// Fields that are alike in init containers and in others stand once.
fn page() -> String {
    let mut page = HEAD.to_owned();
    for (title, table) in [
        ("StatefulSet", &STATEFUL_SET),
        ("Service", &SERVICE),
        ("Secret", &SECRET),
        ("ConfigMap", &CONFIG_MAP),
    ] {
        let all: BTreeMap<&str, Treatment> = table.paths().collect();
        let _ = write!(page, "## {title}\n\n| field | | why |\n| --- | --- | --- |\n");
        for (path, treatment) in &all {
            let of_main = path.replace(".initContainers[]", ".containers[]");
            if of_main != *path && all.get(of_main.as_str()) == Some(treatment) {
                continue;
            }
            // What is within says enough.
            if *treatment == Treatment::Within {
                continue;
            }
            let (word, why) = told(*treatment);
            let _ = writeln!(page, "| `{path}` | {word} | {why} |");
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// With `SEATRIAL_BLESS=1` the file is written instead.
#[test]
fn the_checked_in_page_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let text = page();
    if std::env::var_os("SEATRIAL_BLESS").is_some() {
        std::fs::write(&path, &text).expect("the file can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "{FILE} differs from the table: SEATRIAL_BLESS=1 cargo test --lib manifest::fields"
    );
}

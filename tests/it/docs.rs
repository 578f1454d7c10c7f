//! What the pages of the repository say is so: links lead somewhere, files are there, examples are valid, and commands are
//! typed as they stand. Those against a cluster are typed by `cluster_docs`.

pub mod commands;
mod examples;
mod known;
mod names;
pub mod page;
mod typed;

use std::collections::BTreeSet;

use page::{Kind, Page, Piece};
use schemars::JsonSchema;
use seatrial::experiment::{Sli, Store};
use seatrial::fault::Fault;
use serde_json::Value;

use crate::e2e_fixture::{experiments_in, shipped, text_of};

/// What a look at every page finds.
#[track_caller]
fn nothing(wrong: impl Fn(&Page) -> Vec<String>) {
    let pages = Page::all();
    assert!(pages.len() >= 5, "README.md and those of experiments, deploy and tests");
    let complaints: Vec<String> = pages.iter().flat_map(wrong).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn links_lead_somewhere() {
    nothing(names::lost_links);
}

#[test]
fn files_that_are_named_are_there() {
    nothing(names::missing_files);
}

#[test]
fn examples_are_valid() {
    nothing(examples::wrong);
}

#[test]
fn commands_are_those_that_there_are() {
    nothing(commands::unknown);
}

#[test]
fn commands_do_what_they_say() {
    nothing(typed::failed);
}

#[test]
fn no_command_is_known_that_no_page_has() {
    let said: BTreeSet<String> = Page::all().iter().flat_map(commands::said).collect();
    let stale: Vec<&str> =
        known::KNOWN.iter().map(|(line, _)| *line).filter(|line| !said.contains(*line)).collect();
    assert!(stale.is_empty(), "take them out of tests/it/docs/known.rs: {stale:#?}");
}

/// The names that documents have for the variants of a type.
fn names_of<T: JsonSchema>() -> Vec<String> {
    let schema = serde_json::to_value(schemars::schema_for!(T)).expect("a schema is JSON");
    let variants = schema["oneOf"].as_array().expect("one schema for each variant").clone();
    let name = |variant: &Value| variant["required"][0].as_str().expect("its name").to_owned();
    variants.iter().map(name).collect()
}

/// The first cells of a page's tables.
fn rows(page: &str) -> Vec<String> {
    let text = text_of(&shipped(page));
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    cells.map(str::to_owned).collect()
}

#[test]
fn every_fault_sli_and_store_has_its_rows() {
    let rows = rows("README.md");
    // Of a fault what it does, and what it needs and cannot do.
    for (names, times) in [(names_of::<Fault>(), 2), (names_of::<Sli>(), 1), (names_of::<Store>(), 1)] {
        assert!(names.len() > 2, "{names:?}");
        for name in names {
            let of_it =
                |row: &&String| row.contains(&format!("`{name}`")) || row.contains(&format!("`{name}:"));
            assert_eq!(rows.iter().filter(of_it).count(), times, "rows of README.md about {name}");
        }
    }
}

#[test]
fn every_shipped_experiment_has_its_row() {
    let rows = rows("experiments/README.md");
    for file in experiments_in("experiments") {
        let name = file.strip_prefix(shipped("experiments")).expect("it is below").display().to_string();
        let name = name.trim_start_matches("refkv/bugs/").to_owned();
        assert!(rows.contains(&format!("`{name}`")), "experiments/README.md has no row for {name}");
    }
}

#[test]
fn reasons_that_are_explained_are_those_that_there_are() {
    let text = text_of(&shipped("experiments/WRITING.md"));
    let rows = text.lines().skip_while(|line| !line.starts_with("| it says |")).skip(2);
    let rows = rows.map_while(|line| line.strip_prefix("| ")?.split(" | ").next());
    let said: Vec<&str> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(said.len() > 10, "{said:?}");
    let mut sources = String::new();
    let mut folders = vec![shipped("src/judge"), shipped("src/engine")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).expect("sources").map(|entry| entry.expect("readable").path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                sources.push_str(&text_of(&path));
            }
        }
    }
    let unknown: Vec<&&str> = said.iter().filter(|reason| !sources.contains(**reason)).collect();
    assert!(unknown.is_empty(), "no run says so: {unknown:#?}");
}

/// Each of the looks above finds what it is there for.
mod that_can_fail {
    use super::*;

    #[track_caller]
    fn finds(wrong: impl Fn(&Page) -> Vec<String>, text: &str, words: &str) {
        let found = wrong(&Page::of("experiments/page.md", text));
        assert!(matches!(found.as_slice(), [one] if one.contains(words)), "{found:?}");
    }

    #[track_caller]
    fn passes(wrong: impl Fn(&Page) -> Vec<String>, text: &str) {
        assert_eq!(wrong(&Page::of("experiments/page.md", text)), Vec::<String>::new());
    }

    #[test]
    fn lost_links() {
        finds(names::lost_links, "a\n\n[b](nowhere.md)", "page.md:3: the link nowhere.md leads to no file");
        finds(names::lost_links, "[b](README.md#nothing)", "leads to no heading");
        finds(names::lost_links, "![b](../reports/none.png)", "leads to no file");
        passes(
            names::lost_links,
            "[b](README.md#read-only-disks), [c](../deploy/README.md), [d](https://e.org)",
        );
    }

    #[test]
    fn missing_files() {
        finds(names::missing_files, "see `src/nothing.rs`", "there is no src/nothing.rs");
        finds(
            names::missing_files,
            "`src/fault/NAME/nothing.rs` and src/fault.rs",
            "there is no src/fault/NAME/nothing.rs",
        );
        finds(names::missing_files, "`etcd/nothing.yaml`", "there is no etcd/nothing.yaml");
        finds(names::missing_files, "    kubectl apply -k deploy/nothing", "there is no deploy/nothing");
        passes(
            names::missing_files,
            "`src/fault/NAME/host.rs`, `etcd/halves.yaml`, tests/it/vm.rs and `wal/*`",
        );
    }

    #[test]
    fn wrong_examples() {
        let steps = |step: &str| format!("```yaml\nsteps:\n  - {step}\n```\n");
        let pause = "{name: a, for: 5s, fault: {processPause: {members: {ordinals: [0]}}}}";
        passes(examples::wrong, &steps(pause));
        finds(examples::wrong, &steps(&pause.replace("5s", "5")), "spec.steps[0].for: `5` has no unit");
        finds(examples::wrong, &steps(&pause.replace("[0]", "[3]")), "ordinal 3 does not exist");
        let evict = "{name: a, fault: {podEvict: {members: {ordinals: [0]}}}}";
        finds(examples::wrong, &steps(evict), "which a sandbox does not have");
        passes(examples::wrong, &format!("# In a cluster\n\n{}", steps(evict)));
        finds(examples::wrong, "```yaml\nstep: []\n```", "has to be told what it is");
        let whole = text_of(&shipped("experiments/etcd/halves.yaml"));
        let (whole, _) = whole.split_once("\n---\n").expect("an experiment and its manifests");
        passes(examples::wrong, &format!("```yaml\n{whole}\n```"));
        finds(
            examples::wrong,
            &format!("```yaml\n{}\n```", whole.replace("steps:", "stepps:")),
            "did you mean `steps`?",
        );
    }

    #[test]
    fn wrong_commands() {
        finds(commands::unknown, "    seatrial run --fast x.yaml", "unexpected argument '--fast'");
        finds(commands::unknown, "`seatrial rum FILE`", "unrecognized subcommand 'rum'");
        finds(commands::unknown, "`make nothing`", "the Makefile has no target nothing");
        finds(commands::unknown, "`cargo test --lib nothing::`", "no test begins with nothing::");
        finds(commands::unknown, "    seatrial validate x.yaml", "no test knows how to run it: tell KNOWN");
        finds(commands::unknown, "`kubectl get nothing`", "no test knows how to run it: tell KNOWN");
        passes(
            commands::unknown,
            "`seatrial run FILE [STATEFULSET] --repeat TIMES`, `seatrial sandbox up|down|ls`, `seatrial plan`",
        );
        passes(
            commands::unknown,
            "    make test-long\n    cargo build --release && sudo target/release/seatrial run FILE…\n",
        );
    }

    #[test]
    fn commands_that_do_otherwise() {
        finds(
            typed::failed,
            "    seatrial sandbox ls\n\nanswers\n\n    three sandboxes",
            "no command said `three sandboxes`",
        );
        finds(
            typed::failed,
            "    helm install seatrial",
            "neither a command that is known nor what one said",
        );
    }

    #[test]
    fn pieces_have_their_lines() {
        let page = Page::of("x.md", "# A b: `c`\n\nd `e\nf`\n\n    g\n");
        let found: Vec<(usize, Kind, &str)> = page
            .pieces
            .iter()
            .map(|Piece { line, kind, text }| (*line, kind.clone(), text.as_str()))
            .collect();
        let expected = [
            (1, Kind::Name, "c"),
            (1, Kind::Heading, "A b: c"),
            (3, Kind::Words, "d "),
            (3, Kind::Name, "e f"),
            (6, Kind::Block(None), "g\n"),
        ];
        assert_eq!(found, expected);
        assert_eq!(page.anchors(), ["a-b-c"]);
    }
}

//! The commands of a page, and whether there are such.
//!
//! What a reader types are the lines of a block that begins with one of [`PROGRAMS`], or a name in backticks that does. In it
//! `[…]` may be left out, `a|b` is one of both, and a word in capitals stands for something of the reader's own.

use clap::Parser;
use clap::error::ErrorKind;
use seatrial::cli::args::Cli;

use crate::docs::examples::scripts;
use crate::docs::known::{How, KNOWN};
use crate::docs::page::{Kind, Page, Piece};
use crate::e2e_fixture::{shipped, text_of};

/// Whatever a command on a page begins with.
const PROGRAMS: [&str; 14] = [
    "apt",
    "cargo",
    "docker",
    "etcdctl",
    "export",
    "kind",
    "kubectl",
    "losetup",
    "make",
    "seatrial",
    "seatrial-cluster",
    "sed",
    "sudo",
    "SEATRIAL_BLESS=1",
];

/// What stands for words in capitals where not every text will do.
const STAND_INS: [(&str, &str); 6] =
    [("TIMES", "2"), ("NUMBER", "2"), ("SEED", "2"), ("PERCENT", "2"), ("SHELL", "bash"), ("COMMAND", "run")];

/// The lines that a reader types.
pub fn lines(piece: &Piece) -> Vec<String> {
    let typed = |text: &str| -> Vec<String> {
        let text = text.replace("\\\n", " ");
        let lines = text.lines().map(|line| collapsed(line.split(" #").next().unwrap_or(line)));
        lines.filter(|line| !line.is_empty()).collect()
    };
    match &piece.kind {
        Kind::Block(None) => Some(typed(&piece.text))
            .filter(|lines| lines.first().is_some_and(|line| is_command(line)))
            .unwrap_or_default(),
        Kind::Block(Some(_)) => scripts(piece).iter().flat_map(|script| typed(script)).collect(),
        Kind::Name if piece.text.contains(' ') && is_command(&piece.text) => {
            vec![collapsed(&piece.text)]
        }
        Kind::Heading | Kind::Words | Kind::Name | Kind::Link => Vec::new(),
    }
}

fn collapsed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_command(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(|first| PROGRAMS.contains(&first))
}

/// The lines of the block that is typed first in a section.
pub fn block(page: &Page, heading: &str) -> Vec<String> {
    let from = page.pieces.iter().position(|piece| piece.kind == Kind::Heading && piece.text == heading);
    let blocks = page.pieces[from.expect("there is such a heading")..].iter();
    let mut typed = blocks.filter(|piece| piece.kind == Kind::Block(None)).map(lines);
    typed.find(|lines| !lines.is_empty()).expect("there are commands below it")
}

/// The blocks that are typed against a cluster; `cluster_docs` does.
pub fn against_a_cluster() -> [Vec<String>; 2] {
    [("README.md", "In a cluster"), ("deploy/README.md", "Seatrial in a cluster")]
        .map(|(page, heading)| block(&Page::read(page), heading))
}

/// Commands that there are not, and those that no test knows how to run.
pub fn unknown(page: &Page) -> Vec<String> {
    let mut complaints = Vec::new();
    for piece in &page.pieces {
        for line in lines(piece) {
            for spelled in spelled_out(&line) {
                let wrong = wrong(&spelled, piece.kind == Kind::Name);
                complaints.extend(wrong.map(|what| page.complaint(piece, format!("`{spelled}`: {what}"))));
            }
        }
    }
    complaints
}

/// Every line of a page, in each way in which it can be typed.
pub fn said(page: &Page) -> Vec<String> {
    page.pieces.iter().flat_map(lines).flat_map(|line| spelled_out(&line)).collect()
}

/// A line in each way in which it can be typed.
pub fn spelled_out(line: &str) -> Vec<String> {
    if let Some((before, rest)) = line.split_once('[')
        && let Some((inside, after)) = rest.split_once(']')
    {
        let ways = [format!("{before}{inside}{after}"), format!("{}{after}", before.trim_end())];
        return ways.iter().flat_map(|way| spelled_out(way)).collect();
    }
    let words: Vec<&str> = line.split(' ').collect();
    let Some(choice) = words.iter().position(|word| word.len() > 1 && word.contains('|')) else {
        return vec![line.to_owned()];
    };
    let ways = words[choice].split('|').map(|way| {
        let mut words = words.clone();
        words[choice] = way;
        words.join(" ")
    });
    ways.flat_map(|way| spelled_out(&way)).collect()
}

/// What is wrong with a line, if anything.
fn wrong(line: &str, is_name: bool) -> Option<String> {
    let mut is_whole = !line.contains('…') && !line.split(' ').any(has_placeholder);
    let mut needs_a_way = false;
    for words in commands(line) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["seatrial", ..] => {
                needs_a_way = true;
                match Cli::try_parse_from(words.iter().map(|word| filled_in(word))) {
                    Ok(_) => {}
                    Err(told)
                        if matches!(told.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {}
                    // A sentence about a command need not say with what it is called.
                    Err(told) if is_name && is_incomplete(told.kind()) => is_whole = false,
                    Err(told) => return Some(told.to_string()),
                }
            }
            ["make", target, ..] => {
                let is_there =
                    ["Makefile", "tests/cluster/cluster.mk"].iter().any(|file| has_target(file, target));
                if !is_there {
                    return Some(format!("the Makefile has no target {target}"));
                }
            }
            ["cargo", arguments @ ..] => {
                if let Some(what) = wrong_for_cargo(arguments) {
                    return Some(what);
                }
            }
            ["seatrial-cluster", command, ..] => {
                if !text_of(&shipped("tests/cluster/main.go")).contains(&format!("\"{command}\"")) {
                    return Some(format!("seatrial-cluster has no command {command}"));
                }
            }
            _ => needs_a_way = true,
        }
    }
    if !is_whole || !needs_a_way {
        return None;
    }
    match KNOWN.iter().find(|(known, _)| *known == line) {
        Some((_, how)) => how.unfit(line),
        None => Some("no test knows how to run it: tell KNOWN in tests/it/docs/known.rs".into()),
    }
}

fn is_incomplete(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// The commands of a line, each in words, without what a shell has of them for itself.
fn commands(line: &str) -> Vec<Vec<String>> {
    let simple = line.split(" | ").flat_map(|part| part.split(" && "));
    simple
        .map(|command| {
            let plain = [" >", " <"].iter().fold(command, |rest, end| rest.split(end).next().unwrap_or(rest));
            let words = shlex::split(plain).unwrap_or_default();
            let mut words: Vec<String> = words
                .into_iter()
                .skip_while(|word| word == "sudo" || word.starts_with("SEATRIAL_"))
                .collect();
            if let [cargo, run, release, dashes, ..] = words.as_slice()
                && [cargo, run, release, dashes] == ["cargo", "run", "--release", "--"]
            {
                words.splice(0..4, ["seatrial".to_owned()]);
            }
            if words.first().is_some_and(|program| program.ends_with("/seatrial")) {
                words[0] = "seatrial".into();
            }
            words
        })
        .collect()
}

/// Whether a word, or a part of it, is in capitals. What a shell replaces is no such word.
fn has_placeholder(word: &str) -> bool {
    !word.contains('$') && placeholders(word).next().is_some()
}

fn placeholders(word: &str) -> impl Iterator<Item = &str> {
    let parts = word.split(|c: char| !c.is_ascii_alphabetic());
    parts.filter(|part| part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase()))
}

fn filled_in(word: &str) -> String {
    let mut filled = word.replace('…', "");
    for part in placeholders(word) {
        let known = STAND_INS.iter().find(|(name, _)| *name == part).map_or("x", |(_, instead)| instead);
        filled = filled.replace(part, known);
    }
    filled
}

fn has_target(file: &str, target: &str) -> bool {
    let text = text_of(&shipped(file));
    let mut rules = text.lines().filter_map(|line| line.split_once(':')).map(|(targets, _)| targets);
    rules.any(|targets| targets.split(' ').any(|known| known == target))
}

/// What cargo would not find of ours: tests by their filter, and fuzz targets.
fn wrong_for_cargo(arguments: &[&str]) -> Option<String> {
    let (folder, filter) = match arguments {
        ["test", .., "--test", "it", filter] => ("tests/it", *filter),
        ["test", .., "--lib", filter] => ("src", *filter),
        ["fuzz", .., "--fuzz-dir", folder, target] => {
            let is_there =
                text_of(&shipped(folder).join("Cargo.toml")).contains(&format!("name = \"{target}\""));
            return (!is_there).then(|| format!("there is no target {target} in {folder}"));
        }
        _ => return None,
    };
    let module = filter.trim_end_matches("::").replace("::", "/");
    let folder = shipped(folder).join(&module);
    let (folder, start) = (folder.parent()?, folder.file_name()?.to_str()?);
    let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_there = files.any(|file| file.file_name().to_string_lossy().starts_with(start));
    (!is_there).then(|| format!("no test begins with {filter}"))
}

impl How {
    /// What keeps a test from running a line so, if anything.
    fn unfit(&self, line: &str) -> Option<String> {
        match self {
            Self::Run(_) | Self::As(..) | Self::Recorded | Self::Others => None,
            Self::Cluster => {
                let is_run = against_a_cluster().iter().flatten().any(|known| known == line);
                (!is_run).then(|| "cluster_docs does not run it".into())
            }
            Self::By(file, word) => {
                let is_run = text_of(&shipped("tests/it").join(file)).contains(&format!("\"{word}\""));
                (!is_run).then(|| format!("{file} does not run it"))
            }
        }
    }
}

//! Where links lead, and whether the files are there that a page names.

use std::path::{Component, Path, PathBuf};

use globset::Glob;

use crate::docs::page::{Kind, Page, Piece};
use crate::e2e_fixture::shipped;

/// Folders at the top of the repository: a word that begins so is a path.
const TOP: [&str; 4] = ["src/", "tests/", "experiments/", "deploy/"];
/// A name with a slash that ends so is a path as well, from the top or from the page's own folder.
const FILES: [&str; 5] = [".rs", ".yaml", ".md", ".go", ".toml"];

/// Links that lead nowhere.
pub fn lost_links(page: &Page) -> Vec<String> {
    let links = page.pieces.iter().filter(|piece| piece.kind == Kind::Link);
    links.filter_map(|link| Some(page.complaint(link, lost(page, &link.text)?))).collect()
}

fn lost(page: &Page, link: &str) -> Option<String> {
    if link.contains("://") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { page.name.clone().into() } else { plain(&page.folder().join(file)) };
    if !shipped("").join(&path).exists() {
        return Some(format!("the link {link} leads to no file"));
    }
    let anchor = anchor?;
    let is_there = Page::read(&path.display().to_string()).anchors().iter().any(|known| known == anchor);
    (!is_there).then(|| format!("the link {link} leads to no heading"))
}

/// Paths that a page names and that are not there.
pub fn missing_files(page: &Page) -> Vec<String> {
    let complaints = |piece: &Piece| {
        let named: Vec<&str> = match piece.kind {
            Kind::Name | Kind::Words | Kind::Block(_) => piece.text.split_whitespace().collect(),
            Kind::Heading | Kind::Link => Vec::new(),
        };
        let told = |path: &str| page.complaint(piece, format!("there is no {path}"));
        let paths = named.into_iter().map(|word| word.trim_matches(|c| ",.;:()'\"`<>[]{}…".contains(c)));
        let is_name = piece.kind == Kind::Name;
        paths.filter(|path| is_missing(page.folder(), path, is_name)).map(told).collect::<Vec<_>>()
    };
    page.pieces.iter().flat_map(complaints).collect()
}

fn is_missing(folder: &Path, path: &str, is_name: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "/._-*".contains(c);
    let (from_top, is_file) =
        (TOP.iter().any(|top| path.starts_with(top)), FILES.iter().any(|end| path.ends_with(end)));
    let is_path = from_top || is_name && is_file && path.contains('/');
    if !is_path || !path.chars().all(fits) || path.starts_with('/') {
        return false;
    }
    !is_there(Path::new(""), path) && (from_top || !is_there(folder, path))
}

/// Whether something fits a path, in which `*` and a word in capitals stand for any name.
fn is_there(folder: &Path, path: &str) -> bool {
    let mut found = vec![shipped("").join(folder)];
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let is_page = Path::new(part).extension().is_some_and(|extension| extension == "md");
        let part = if is_page { part.to_owned() } else { pattern(part) };
        if !part.contains('*') {
            found = found.iter().map(|folder| folder.join(&part)).filter(|path| path.exists()).collect();
            continue;
        }
        let fits = Glob::new(&part).expect("a pattern of names").compile_matcher();
        let entries = found.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        found = paths.filter(|path| fits.is_match(path.file_name().unwrap_or_default())).collect();
    }
    !found.is_empty()
}

/// A name with `*` for each word in capitals.
fn pattern(name: &str) -> String {
    let is_capital = |word: &str| word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
    let words = name.split_inclusive(|c: char| !c.is_ascii_alphabetic());
    let starred = words.map(|word| {
        let letters = word.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
        if is_capital(letters) { word.replacen(letters, "*", 1) } else { word.to_owned() }
    });
    starred.collect()
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}

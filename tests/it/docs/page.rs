//! A page of the documentation as a reader has it: headings, words, names in backticks, links, and blocks of code.

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::e2e_fixture::{shipped, text_of};

/// Folders that hold none of our pages.
const OTHERS: [&str; 4] = ["target", "runs", "corpus", "artifacts"];

/// One page.
pub struct Page {
    /// Its path from the top of the repository.
    pub name: String,
    /// What is on it, in order.
    pub pieces: Vec<Piece>,
}

/// Something on a page.
pub struct Piece {
    /// Its line, from 1.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
    /// Its text; of a link, where it leads.
    pub text: String,
}

/// What a piece is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Heading,
    Words,
    /// What stands in backticks.
    Name,
    Link,
    /// A block of code, in this language where the page says so.
    Block(Option<String>),
}

impl Page {
    /// Every page of the repository, in order.
    pub fn all() -> Vec<Self> {
        let mut found = Vec::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(shipped("").join(&folder)).expect("a folder of the repository") {
                let entry = entry.expect("an entry can be read");
                let name = entry.file_name().into_string().expect("names are text");
                let path = folder.join(&name);
                let is_ours = !name.starts_with('.') && !OTHERS.contains(&name.as_str());
                if entry.file_type().expect("an entry has a type").is_dir() && is_ours {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "md") {
                    found.push(path);
                }
            }
        }
        found.sort();
        found.iter().map(|path| Self::read(&path.display().to_string())).collect()
    }

    /// A page of the repository.
    pub fn read(name: &str) -> Self {
        Self::of(name, &text_of(&shipped(name)))
    }

    /// A page with this text.
    pub fn of(name: &str, text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut open: Option<Piece> = None;
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = 1 + text[..range.start].matches('\n').count();
            let piece = |kind, text: &str| Piece { line, kind, text: text.to_owned() };
            match event {
                Event::Start(Tag::Heading { .. }) => open = Some(piece(Kind::Heading, "")),
                Event::Start(Tag::CodeBlock(block)) => {
                    let language = match block {
                        CodeBlockKind::Fenced(language) if !language.is_empty() => Some(language.to_string()),
                        CodeBlockKind::Fenced(_) | CodeBlockKind::Indented => None,
                    };
                    open = Some(piece(Kind::Block(language), ""));
                }
                Event::End(TagEnd::Heading(_) | TagEnd::CodeBlock) => pieces.extend(open.take()),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    pieces.push(piece(Kind::Link, &dest_url));
                }
                Event::Text(words) => match &mut open {
                    Some(open) => open.text.push_str(&words),
                    None => pieces.push(piece(Kind::Words, &words)),
                },
                Event::Code(name) => {
                    if let Some(open) = &mut open {
                        open.text.push_str(&name);
                    }
                    pieces.push(piece(Kind::Name, &name.replace("\\|", "|")));
                }
                _ => {}
            }
        }
        Self { name: name.to_owned(), pieces }
    }

    /// The folder that it lies in, from the top of the repository.
    pub fn folder(&self) -> &Path {
        Path::new(&self.name).parent().unwrap_or(Path::new(""))
    }

    /// How links name its headings.
    pub fn anchors(&self) -> Vec<String> {
        self.pieces
            .iter()
            .filter(|piece| piece.kind == Kind::Heading)
            .map(|piece| anchor(&piece.text))
            .collect()
    }

    /// The pieces from this one's heading up to this one.
    pub fn section(&self, piece: usize) -> &[Piece] {
        let before = &self.pieces[..piece];
        let heading = before.iter().rposition(|piece| piece.kind == Kind::Heading);
        &before[heading.unwrap_or(0)..]
    }

    /// A complaint about a piece of it.
    pub fn complaint(&self, piece: &Piece, what: impl std::fmt::Display) -> String {
        format!("{}:{}: {what}", self.name, piece.line)
    }
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

//! What is wrong with a document, where, and what to write instead.

use std::fmt;

use super::document::Document;
pub use crate::yaml::Place;

/// One thing that is wrong. Its text is complete: `FILE:LINE:COLUMN: FIELD: what and what instead`, then the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Where in the file; `None` where the whole file is meant.
    pub place: Option<Place>,
    /// The field, for example `spec.steps[0].for`; may be empty.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
    /// The text of that line.
    pub excerpt: Option<String>,
}

impl Problem {
    /// A problem at a place of a document, counted within the document.
    pub(super) fn new(document: &Document, place: Place, field: String, message: String) -> Self {
        let excerpt = document.excerpt(place.line);
        let place = Place { line: place.line + document.first_line - 1, ..place };
        Self { file: document.file.clone(), place: Some(place), field, message, excerpt }
    }

    /// A problem with a whole document, told where it begins.
    pub fn of_document(document: &Document, message: impl Into<String>) -> Self {
        let lines = document.text.lines().map(str::trim);
        let before = lines.take_while(|line| line.is_empty() || line.starts_with('#')).count();
        Self::new(document, Place { line: before + 1, column: 1 }, String::new(), message.into())
    }

    /// A problem with a whole file.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), place: None, field: String::new(), message: message.into(), excerpt: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(place) = self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        if self.field.is_empty() {
            write!(f, ": {}", self.message)?;
        } else {
            write!(f, ": {}: {}", self.field, self.message)?;
        }
        if let (Some(place), Some(excerpt)) = (self.place, &self.excerpt) {
            let shown: String = excerpt.chars().take(WIDEST_EXCERPT).collect();
            write!(f, "\n{:>5} | {shown}", place.line)?;
            if place.column <= shown.chars().count() + 1 {
                write!(f, "\n{:>5} | {:>2$}", "", '^', place.column)?;
            }
        }
        Ok(())
    }
}

/// How many characters of a line are shown.
const WIDEST_EXCERPT: usize = 160;

//! From an ordinary StatefulSet manifest to what the sandbox runs.
//!
//! Every field of a StatefulSet, its pods, claims and governing Service is **honoured**, **noted** (its absence changes
//! nothing that a test of this set can tell, and the user is told so) or **refused** (leaving it out would change what
//! the test means). Nothing is dropped in silence: a field that this module does not know is refused, and a test walks
//! all fields of the Kubernetes types to see that each has its treatment.
//!
//! All problems of all documents are reported at once, each with its place. No text, however large, nested or broken,
//! makes this module panic or work for long.

use std::path::PathBuf;

use super::pod_spec::SetSpec;

/// One YAML document of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Document<'a> {
    /// The file's name, as the user wrote it.
    pub file: &'a str,
    /// The line of the file at which `text` begins; the first line is 1.
    pub first_line: usize,
    /// The document.
    pub text: &'a str,
}

/// Something of a manifest that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name; empty where there is no document at all.
    pub file: String,
    /// The line in the file, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The field, for example `spec.template.spec.containers[0].image`; empty for the document itself.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A field that is left out, or met in another way than a cluster would, without a change for the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The file's name.
    pub file: String,
    /// The line in the file, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The field.
    pub path: String,
    /// What the sandbox does instead.
    pub message: String,
}

/// A manifest that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// What to run.
    pub set: SetSpec,
    /// What the user has to know about it.
    pub notes: Vec<Note>,
}

/// How a program is found on this machine: the absolute path of an executable file, from a name (by `PATH`) or from an
/// absolute path (itself, if it is there).
pub type FindProgram<'a> = dyn Fn(&str) -> Option<PathBuf> + 'a;

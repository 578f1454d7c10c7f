//! What is told of one thing that can be written.

use serde::Serialize;

use super::Parameter;

/// Everything of one kind.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Catalogue {
    /// The command that tells it.
    #[serde(skip)]
    pub command: &'static str,
    /// What there is.
    pub entries: Vec<Entry>,
}

/// One fault, SLI or store.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// As it is written.
    pub name: &'static str,
    /// In one line.
    pub summary: String,
    /// In more than one line; may be empty.
    pub description: String,
    /// Where it works.
    pub works: Vec<Place>,
    /// What else there is to know.
    pub facts: Vec<Fact>,
    /// What can be written in it.
    pub parameters: Vec<Parameter>,
    /// Lines of YAML, to be put below `spec`.
    pub example: String,
}

/// Where an experiment runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// In a sandbox on one machine.
    Sandbox,
    /// In a Kubernetes cluster.
    Cluster,
}

/// One thing to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    /// What it is about.
    pub about: String,
    /// What is so.
    pub text: String,
}

impl Fact {
    pub(super) fn new(about: impl Into<String>, text: impl Into<String>) -> Self {
        Self { about: about.into(), text: text.into() }
    }
}

impl Catalogue {
    /// The one with this name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

impl Place {
    pub(super) const ALL: [Self; 2] = [Self::Sandbox, Self::Cluster];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Cluster => "cluster",
        }
    }
}

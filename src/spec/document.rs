//! Cuts files into YAML documents that still know where they stood.

pub mod list;

use crate::yaml::{Node, Value};

/// The largest file that is read. Real experiments and manifests have a few kilobytes.
pub const LARGEST_FILE: usize = 1 << 20;

/// One YAML document of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The file's name as it was given, `<stdin>` for standard input.
    pub file: String,
    /// The line of the file on which this document's text begins, from 1.
    pub first_line: usize,
    /// Its text, without document markers.
    pub text: String,
}

impl Document {
    /// A line of the document, from 1, to be shown to a person; none of a Secret or a list of them, whose lines are their
    /// content.
    pub fn excerpt(&self, line: usize) -> Option<String> {
        if self.is_secret() {
            return None;
        }
        self.text.lines().nth(line.checked_sub(1)?).map(|line| line.trim_end().to_owned())
    }

    /// Whether it is a Secret, or has one in it.
    fn is_secret(&self) -> bool {
        // Its kind may stand anywhere, behind that of an owner, too, and on one line with all its content.
        let is_between =
            |c: char| c.is_whitespace() || matches!(c, ':' | ',' | '{' | '}' | '[' | ']' | '"' | '\'');
        let words = self.text.split(is_between).filter(|word| !word.is_empty());
        let mut pairs = words.clone().zip(words.skip(1));
        if pairs.any(|(key, value)| key == KIND && SECRETS.contains(&value)) {
            return true;
        }
        // Tags, anchors, aliases, comments and escapes come between, or are it: where there may be one, it is read.
        let may_be = ["Secret", "\\"].iter().any(|part| self.text.contains(part));
        may_be && Node::read(&self.text).is_ok_and(|tree| has_secret(&tree))
    }
}

const KIND: &str = "kind";
const SECRETS: [&str; 2] = ["Secret", "SecretList"];

/// Whether a mapping says that it is a Secret, wherever it stands.
fn has_secret(node: &Node) -> bool {
    let kind = node.get(KIND).and_then(Node::text);
    kind.is_some_and(|kind| SECRETS.contains(&kind))
        || match &node.value {
            Value::List(items) => items.iter().any(has_secret),
            Value::Map(entries) => entries.iter().any(|entry| has_secret(&entry.value)),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => false,
        }
}

/// Why a file has no documents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Larger than [`LARGEST_FILE`].
    #[error("is larger than 1 MiB: an experiment has a few kilobytes, is this the right file?")]
    TooLarge,
    /// Not text.
    #[error("is not UTF-8 text (byte {0} is not): is this the right file?")]
    NotText(usize),
    /// Text, but of control characters.
    #[error("has the control character U+{code:04X} on line {line}: is this the right file?")]
    Control {
        /// The character.
        code: u32,
        /// Its line, from 1.
        line: usize,
    },
    /// Nothing in it.
    #[error("has no YAML document in it")]
    Empty,
}

/// Cuts `bytes` of `file` at its document markers. Documents that hold nothing but comments are left out.
pub fn split(file: &str, bytes: &[u8]) -> Result<Vec<Document>, DocumentError> {
    if bytes.len() > LARGEST_FILE {
        return Err(DocumentError::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| DocumentError::NotText(error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some((place, character)) =
        text.char_indices().find(|(_, c)| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        let line = 1 + text[..place].bytes().filter(|&b| b == b'\n').count();
        return Err(DocumentError::Control { code: u32::from(character), line });
    }
    let mut documents = Vec::new();
    let mut current = Document { file: file.into(), first_line: 1, text: String::new() };
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line, "---") || is_marker(line, "...") {
            let rest = &line[3..];
            let next = Document { file: file.into(), first_line: index + 1, text: format!("   {rest}") };
            documents.push(std::mem::replace(&mut current, next));
        } else {
            current.text.push_str(line);
        }
    }
    documents.push(current);
    documents.retain(|document| {
        document.text.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    });
    if documents.is_empty() { Err(DocumentError::Empty) } else { Ok(documents) }
}

/// Whether a line is this document marker, alone or followed by content.
fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_know_their_lines() {
        let text = "# a comment\n---\na: 1\n---\n# nothing\n--- # third\nb: 2\n...\n";
        let documents = split("f", text.as_bytes()).expect("two documents");
        let places: Vec<_> = documents.iter().map(|d| (d.first_line, d.text.trim())).collect();
        assert_eq!(places, [(2, "a: 1"), (6, "# third\nb: 2")]);
    }

    #[test]
    fn no_line_of_a_secret_is_shown() {
        let shown = |text: &str| {
            let document = Document { file: "f".into(), first_line: 1, text: text.into() };
            document.excerpt(2)
        };
        for secret in [
            "kind: Secret\npassword: hunter2\n",
            "a: 1\npassword: hunter2\n\"kind\": 'Secret'\n",
            "items:\n- data: {password: hunter2}\nkind: SecretList\n",
            "{apiVersion: v1, kind: Secret, stringData: {a:\nhunter2}}\n",
            "kind:\n  Secret\npassword: hunter2\n",
            "{\"metadata\": {\"ownerReferences\": [{\"kind\": \"SealedSecret\"}]}, \"kind\": \"Secret\", \"data\":\n{\"a\": 1}}\n",
            "{\"items\": [{\"kind\": \"Service\"}, {\"kind\": \"Secret\", \"data\":\n{\"a\": 1}}], \"kind\": \"List\"}\n",
            "apiVersion: v1\nitems: [{data: {a: 1}}]\nkind: SecretList\n",
            "kind: !!str Secret\npassword: hunter2\n",
            "kind: &kind Secret\npassword: hunter2\n",
            "type: &kind Secret\npassword: hunter2\nkind: *kind\n",
            "kind: # of what is hidden\n  Secret\npassword: hunter2\n",
            "kind: >-\n  Secret\npassword: hunter2\n",
            "items:\n- {data: {password: hunter2}, kind: \"Secr\\x65t\"}\n",
        ] {
            assert_eq!(shown(secret), None, "{secret}");
        }
        assert_eq!(shown("kind: Service\nname: Secret \n").as_deref(), Some("name: Secret"));
    }

    #[test]
    fn refuses_what_is_no_text() {
        assert_eq!(split("f", &[0xff, 0xfe]), Err(DocumentError::NotText(0)));
        assert_eq!(split("f", b"a: 1\nb: \x01"), Err(DocumentError::Control { code: 1, line: 2 }));
        assert_eq!(split("f", &vec![b'a'; LARGEST_FILE + 1]), Err(DocumentError::TooLarge));
        assert_eq!(split("f", b"# only\n---\n"), Err(DocumentError::Empty));
    }
}

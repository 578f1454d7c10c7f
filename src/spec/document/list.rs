//! Takes a List apart, which is what `kubectl get … -o yaml` prints of several objects.
//!
//! Items keep their own text, so that lines, and columns where items have lines of their own, stay those of the file. An
//! item of which the text alone would say something else, as one with an alias of another item, is told and not guessed.
//! In a list of one kind, as the API answers with (`kubectl get --raw …`), the list alone says what its items are: they
//! get it behind their own fields, where it moves none of these.

use super::Document;
use crate::spec::problem::Problem;
use crate::spec::tree_of;
use crate::yaml::tree::Entry;
use crate::yaml::{Node, Place, Value};

/// The items of a List as documents of their own; nothing where the document is no List.
///
/// Somebody's own kind may end in `List`, too: of those, one is a List that has a list of items.
pub fn items(document: &Document) -> Result<Option<Vec<Document>>, Problem> {
    let tree = tree_of(document)?;
    let kind = tree.get("kind").and_then(Node::text).unwrap_or_default();
    let items = match tree.get("items").map(|items| (items.place, &items.value)) {
        Some((_, Value::List(items))) if kind.ends_with("List") => items,
        Some((_, Value::Null)) | None if kind == "List" => return Ok(Some(Vec::new())),
        Some((place, _)) if kind == "List" => {
            let message = "is not a list: begin each item with a dash".into();
            return Err(Problem::new(document, place, "items".into(), message));
        }
        Some(_) | None => return Ok(None),
    };
    let text = document.text.as_str();
    let mut cursor = Cursor { text, line: 0, offset: 0, place: Place::START };
    let mut begins: Vec<Option<Begin>> =
        items.iter().map(|item| Some(cursor.find(item.place)?.with_dash(text))).collect();
    // The last item ends where the next field of the List begins.
    begins.push(match behind(&tree) {
        Some(place) => cursor.find(place),
        None => Some(Begin { first_line: text.len(), line: text.len(), offset: text.len() }),
    });
    let said = said_of_items(&tree);
    let mut found = Vec::new();
    for (index, (item, begin)) in items.iter().zip(begins.windows(2)).enumerate() {
        let mut own = if let [Some(begin), Some(next)] = begin { cut(text, begin, next) } else { None };
        let mut item = item.clone();
        if let Value::Map(fields) = &mut item.value {
            let is_missing = |said: &&Entry| fields.iter().all(|field| field.key != said.key);
            let missing: Vec<Entry> = said.iter().filter(is_missing).cloned().collect();
            own = own.map(|own| with_fields(own, &missing));
            fields.extend(missing);
        }
        // Of an item that does not say so itself nobody sees any more that it is a Secret, which is never shown.
        if item.get("kind").and_then(Node::text).is_none_or(str::is_empty) {
            let message = "has no kind: write its apiVersion and kind";
            return Err(Problem::new(document, item.place, format!("items[{index}]"), message.into()));
        }
        let Some(text) = own.filter(|own| Node::read(own).is_ok_and(|read| is_same(&read, &item))) else {
            let message =
                "cannot be taken out of its List: write it as a document of its own, with --- above it";
            return Err(Problem::new(document, item.place, format!("items[{index}]"), message.into()));
        };
        let first_line = document.first_line + item.place.line - 1;
        found.push(Document { file: document.file.clone(), first_line, text });
    }
    Ok(Some(found))
}

/// What a list of one kind says of all its items.
fn said_of_items(list: &Node) -> Vec<Entry> {
    let text = |key: &str| list.get(key).and_then(Node::text);
    let kind = text("kind").and_then(|kind| kind.strip_suffix("List")).filter(|kind| !kind.is_empty());
    let (Some(version), Some(kind)) = (text("apiVersion"), kind) else { return Vec::new() };
    let entry = |(key, value): (&str, &str)| {
        let place = Place::START;
        Entry { place, key: key.into(), value: Node { place, value: Value::Text(value.into()) } }
    };
    [("apiVersion", version), ("kind", kind)].map(entry).into()
}

/// The field that stands behind the items.
fn behind(tree: &Node) -> Option<Place> {
    let Value::Map(entries) = &tree.value else { return None };
    let mut behind = entries.iter().skip_while(|entry| entry.key != "items").skip(1);
    behind.next().map(|entry| entry.place)
}

/// Where something begins, in bytes.
struct Begin {
    /// The first line that is its own: that of its dash, which may stand alone above it.
    first_line: usize,
    /// The line on which it stands.
    line: usize,
    /// It itself.
    offset: usize,
}

impl Begin {
    /// Takes the dash above an item for a part of it, where nothing but comments stands between them.
    fn with_dash(mut self, text: &str) -> Self {
        if !text[self.line..self.offset].trim().is_empty() {
            return self;
        }
        let mut above = self.line;
        for line in text[..self.line].split_inclusive('\n').rev() {
            above -= line.len();
            let line = line.trim_start();
            if line.starts_with('-') {
                self.first_line = above;
                break;
            }
            if !line.is_empty() && !line.starts_with('#') {
                break;
            }
        }
        self
    }
}

/// Goes through a text once, from place to place.
struct Cursor<'a> {
    text: &'a str,
    line: usize,
    offset: usize,
    place: Place,
}

impl Cursor<'_> {
    /// What stands at a place that is not before the one that was found last.
    fn find(&mut self, place: Place) -> Option<Begin> {
        while self.place < place {
            let character = self.text[self.offset..].chars().next()?;
            self.offset += character.len_utf8();
            if character == '\n' {
                self.line = self.offset;
                self.place = Place { line: self.place.line + 1, column: 1 };
            } else {
                self.place.column += 1;
            }
        }
        let (line, offset) = (self.line, self.offset);
        (self.place == place).then_some(Begin { first_line: line, line, offset })
    }
}

/// The text of an item, with spaces in the place of what marks it as one.
fn cut(text: &str, begin: &Begin, next: &Begin) -> Option<String> {
    let before = &text[begin.line..begin.offset];
    // Whoever stands on a line with others loses the columns: a whole List on one line would be copied for each of them.
    let indent =
        if before.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'-')) { before.len() } else { 0 };
    let own = if text[begin.offset..].starts_with('{') {
        let own = &text[begin.offset..next.offset];
        &own[..end_of_braces(own)?]
    } else {
        text.get(begin.offset..next.first_line)?
    };
    Some(" ".repeat(indent) + own)
}

/// The text of an item with more fields behind its own.
fn with_fields(mut own: String, fields: &[Entry]) -> String {
    let indent = own.len() - own.trim_start_matches(' ').len();
    let is_braced = own[indent..].starts_with('{');
    for field in fields {
        let written = format!("{:?}: {:?}", field.key, field.value.text().unwrap_or_default());
        if is_braced {
            own.pop();
            let comma = if own.trim_end().ends_with(['{', ',']) { "" } else { ", " };
            own.push_str(&format!("{comma}{written}}}"));
        } else {
            let end = if own.ends_with('\n') { "" } else { "\n" };
            own.push_str(&format!("{end}{:indent$}{written}\n", ""));
        }
    }
    own
}

/// The byte behind the brace that closes the first one. Braces within single quotes are counted as well: what is cut
/// wrongly for that reason does not read as the item.
fn end_of_braces(text: &str) -> Option<usize> {
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    for (offset, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '{' if !is_quoted => depth += 1,
            '}' if !is_quoted => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether two trees say the same, wherever it stands.
fn is_same(one: &Node, other: &Node) -> bool {
    match (&one.value, &other.value) {
        (Value::List(ones), Value::List(others)) => {
            ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| is_same(one, other))
        }
        (Value::Map(ones), Value::Map(others)) => {
            let is_same_entry =
                |(one, other): (&Entry, &Entry)| one.key == other.key && is_same(&one.value, &other.value);
            ones.len() == others.len() && ones.iter().zip(others).all(is_same_entry)
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::document::split;
    use crate::spec::{Kind, kind};

    fn taken_apart(text: &str) -> Result<Option<Vec<Document>>, Problem> {
        items(&split("f", text.as_bytes()).expect("it is YAML").swap_remove(0))
    }

    /// The line of each item and where its `kind` stands, by its own text.
    fn places(text: &str) -> Vec<(usize, Place)> {
        let items = taken_apart(text).expect("it can be taken apart").expect("it is a List");
        let place = |item: &Document| {
            let tree = Node::read(&item.text).expect("it is YAML");
            tree.entry("kind").expect("it has a kind").place
        };
        items.iter().map(|item| (item.first_line, place(item))).collect()
    }

    #[test]
    fn items_keep_their_lines_and_columns() {
        let printed = "apiVersion: v1\nitems:\n- apiVersion: v1\n  data:\n    a: |\n      - kind: x\n  kind: ConfigMap\n\
                       - apiVersion: apps/v1\n  kind: StatefulSet\nkind: List\nmetadata:\n  resourceVersion: \"\"\n";
        assert_eq!(places(printed), [(3, Place { line: 5, column: 3 }), (8, Place { line: 2, column: 3 })]);
        // The items are the last field, indented, one of them in braces.
        let written = "kind: List\nitems:\n  # first\n  - kind: Service # a\n    apiVersion: v1\n\n  - {kind: Secret, a: \"}\\\"\"}\n";
        assert_eq!(places(written), [(4, Place { line: 1, column: 5 }), (7, Place { line: 1, column: 6 })]);
    }

    #[test]
    fn a_dash_may_stand_alone_above_its_item() {
        let alone = "kind: List\nitems:\n-\n  kind: A\n  a: |\n    - x\n- # second\n\n  # b\n  kind: B\n  b:\n  - x\n\
                     -\n  kind: C\n  c:\n  - x\napiVersion: v1\n";
        let at = Place { line: 1, column: 3 };
        assert_eq!(places(alone), [(4, at), (10, at), (14, at)]);
        let indented = "kind: List\r\nitems:\r\n  -\r\n    kind: A\r\n  -\r\n    kind: B\r\n";
        let at = Place { line: 1, column: 5 };
        assert_eq!(places(indented), [(4, at), (6, at)]);
    }

    #[test]
    fn json_is_taken_apart_too() {
        let printed = "{\n    \"items\": [\n        {\n            \"kind\": \"A\"\n        },\n        {\n            \
                       \"kind\": \"B}\"\n        }\n    ],\n    \"kind\": \"List\"\n}\n";
        assert_eq!(places(printed), [(3, Place { line: 2, column: 13 }), (6, Place { line: 2, column: 13 })]);
        let compact = "{\"items\":[{\"kind\":\"A\"},{\"kind\":\"B\"}],\"kind\":\"List\"}";
        assert_eq!(places(compact), [(1, Place { line: 1, column: 2 }), (1, Place { line: 1, column: 2 })]);
    }

    /// What each item is, on which line it begins and where its `metadata` stands, by its own text.
    fn said(text: &str) -> Vec<(String, usize, Place)> {
        let items = taken_apart(text).expect("it can be taken apart").expect("it is a List");
        let item = |item: &Document| {
            let Kind { api_version, kind } = kind(item).expect("it says what it is");
            let tree = Node::read(&item.text).expect("it is YAML");
            let place = tree.entry("metadata").expect("it has metadata").place;
            (format!("{api_version} {kind}"), item.first_line, place)
        };
        items.iter().map(item).collect()
    }

    #[test]
    fn items_without_a_kind_are_what_their_list_is_of() {
        let place = |line, column| Place { line, column };
        let raw = "{\"kind\":\"StatefulSetList\",\"apiVersion\":\"apps/v1\",\"metadata\":{},\"items\":\
                   [{\"metadata\":{\"name\":\"a\"}},{\"metadata\":{\"name\":\"}\"}}]}\n";
        let set = "apps/v1 StatefulSet";
        assert_eq!(said(raw), [(set.to_owned(), 1, place(1, 2)), (set.to_owned(), 1, place(1, 2))]);
        let printed = "{\n  \"items\": [\n    {\n      \"metadata\": {}\n    },\n    {\n      \"metadata\": {},\n      \
                       \"kind\": \"Other\"\n    }\n  ],\n  \"kind\": \"ServiceList\",\n  \"apiVersion\": \"v1\"\n}\n";
        assert_eq!(
            said(printed),
            [("v1 Service".to_owned(), 3, place(2, 7)), ("v1 Other".to_owned(), 6, place(2, 7))]
        );
        let written = "apiVersion: v1\nitems:\n- metadata:\n    name: a\n  data:\n    a: |\n      x\n\
                       - data: {}\n  metadata:\n    name: b\nkind: ConfigMapList\n";
        let config = "v1 ConfigMap";
        assert_eq!(said(written), [(config.to_owned(), 3, place(1, 3)), (config.to_owned(), 8, place(2, 3))]);
    }

    #[test]
    fn no_line_of_a_list_of_secrets_is_shown() {
        let raw = "{\"apiVersion\":\"v1\",\"kind\":\"SecretList\",\"items\":[{\"metadata\":{},\"data\":{\"a\":\"aHVzaA==\"}}]}\n";
        let items = taken_apart(raw).expect("it can be taken apart").expect("it is a List");
        assert_eq!(items[0].excerpt(1), None, "{items:?}");
        let shared = "apiVersion: v1\nkind: SecretList\nitems:\n- &a {data: {a: hush}}\n- *a\n";
        let told = taken_apart(shared).expect_err("it cannot be taken apart").to_string();
        assert!(told.starts_with("f:5:3: items[1]: ") && !told.contains("hush"), "{told}");
    }

    #[test]
    fn only_what_has_items_is_a_list() {
        let count = |text: &str| taken_apart(text).map(|items| items.as_ref().map(Vec::len));
        assert_eq!(count("kind: List\n"), Ok(Some(0)));
        assert_eq!(count("kind: StatefulSetList\nitems: [{kind: StatefulSet}]\n"), Ok(Some(1)));
        assert_eq!(count("kind: AccessList\nspec: {}\n"), Ok(None));
        assert_eq!(count("kind: Service\nitems: []\n"), Ok(None));
    }

    #[test]
    fn an_item_without_a_kind_is_told_and_what_it_holds_is_not_shown() {
        for (list, kind) in
            [("", ""), ("apiVersion: v1\n", "  kind: null\n"), ("apiVersion: v1\n", "  kind: ''\n")]
        {
            let secrets = format!("{list}kind: SecretList\nitems:\n- data: {{password: hunter2}}\n{kind}");
            let told = taken_apart(&secrets).expect_err("nobody knows its kind").to_string();
            assert!(told.contains(":3: items[0]: has no kind: write its apiVersion and kind"), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn what_cannot_be_taken_out_is_told_with_its_place() {
        let refused = |text: &str| taken_apart(text).expect_err("it cannot be taken apart").to_string();
        let shared = refused("kind: List\nitems:\n- &a {kind: A}\n- *a\n");
        assert!(
            shared.starts_with("f:4:3: items[1]: cannot be taken out of its List: write it as"),
            "{shared}"
        );
        let mapping = refused("kind: List\nitems: {a: 1}\n");
        assert!(mapping.starts_with("f:2:8: items: is not a list: begin each item with a dash"), "{mapping}");
    }
}

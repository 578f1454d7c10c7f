//! Goes through a document and does with each field what the table says.

use super::fields::{Table, Treatment};
use super::report::Report;
use super::tree::{Entry, Node, Value};

/// Notes and refuses the fields of the document of `report`.
pub(super) fn apply(report: &mut Report<'_>, table: &Table) {
    let tree = report.tree;
    Walk { report, table, claims: claims(tree) }.fields(tree, "", "");
}

/// Where the volumes of a pod are.
const VOLUMES: &str = "spec.template.spec.volumes";

struct Walk<'r, 'a> {
    report: &'r mut Report<'a>,
    table: &'r Table,
    /// The names of the claim templates.
    claims: Vec<&'a str>,
}

/// The names of the claim templates of a StatefulSet; none of other documents.
fn claims(tree: &Node) -> Vec<&str> {
    let templates = tree.get("spec").and_then(|spec| spec.get("volumeClaimTemplates"));
    let Some(Value::List(templates)) = templates.map(|templates| &templates.value) else { return Vec::new() };
    templates.iter().filter_map(|template| template.get("metadata")?.text_of("name")).collect()
}

impl Walk<'_, '_> {
    /// The fields of a mapping at `path`; `pattern` is the same without indexes.
    fn fields(&mut self, node: &Node, path: &str, pattern: &str) {
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    self.field(entry, &joined(path, &entry.key), &joined(pattern, &entry.key));
                }
            }
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    // The claim takes the place of a volume of its name, whatever that is.
                    if pattern == VOLUMES
                        && item.text_of("name").is_some_and(|name| self.claims.contains(&name))
                    {
                        continue;
                    }
                    self.fields(item, &format!("{path}[{index}]"), &format!("{pattern}[]"));
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
        }
    }

    fn field(&mut self, entry: &Entry, path: &str, pattern: &str) {
        let Some(treatment) = self.table.get(pattern) else {
            self.report.refuse_at(
                entry.place,
                path,
                "the sandbox does not know this field, so that it cannot say what it would change",
                "leave it out in the sandbox",
            );
            return;
        };
        match treatment {
            Treatment::Within => self.fields(&entry.value, path, pattern),
            Treatment::Honoured => {}
            Treatment::Only { values, hint } => {
                if let Some(other) = other_than(&entry.value, values) {
                    let message = format!("{} is not supported in the sandbox", other.shown());
                    self.report.refuse_at(other.place, path, message, hint);
                }
            }
            Treatment::Usual { values, note } => {
                if other_than(&entry.value, values).is_some() {
                    self.report.note_at(entry.place, path, note);
                }
            }
            Treatment::Noted(note) => {
                if !entry.value.is_empty() {
                    self.report.note_at(entry.place, path, note);
                }
            }
            // An emptyDir-like `{}` does say something, unlike null and an empty list.
            Treatment::Refused { why, hint } => {
                let says_nothing = match &entry.value.value {
                    Value::Null => true,
                    Value::List(items) => items.is_empty(),
                    Value::Map(_) | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
                        false
                    }
                };
                if !says_nothing {
                    self.report.refuse_at(entry.place, path, why, hint);
                }
            }
        }
    }
}

/// The value, or the item of the list, that is none of `values`; a wrong type is not found here but by the types.
fn other_than<'n>(node: &'n Node, values: &[&str]) -> Option<&'n Node> {
    match &node.value {
        Value::List(items) => items.iter().find_map(|item| other_than(item, values)),
        Value::Text(text) => (!values.contains(&text.as_str())).then_some(node),
        Value::Bool(value) => (!values.contains(&value.to_string().as_str())).then_some(node),
        Value::Null | Value::Int(_) | Value::Float(_) | Value::Map(_) => None,
    }
}

fn joined(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

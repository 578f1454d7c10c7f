//! The catalogue for people, at most 80 columns wide.

use std::fmt;

use serde_json::Value;

use super::entry::{Catalogue, Entry, Place};
use super::example::indented;
use super::parameter::Parameter;
use crate::report::wrap::wrap;

/// The widest line.
const WIDTH: usize = 80;

impl fmt::Display for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.entries.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
        let place = "anywhere".len();
        for entry in &self.entries {
            let indent = name + place + 4;
            let room = WIDTH - indent;
            let summary = wrap(&entry.summary, room);
            for (number, line) in summary.lines().enumerate() {
                if number == 0 {
                    writeln!(f, "{:name$}  {:place$}  {line}", entry.name, places(&entry.works))?;
                } else {
                    writeln!(f, "{:indent$}{line}", "")?;
                }
            }
        }
        Ok(())
    }
}

fn places(works: &[Place]) -> &'static str {
    match works {
        [one] => one.name(),
        _ => "anywhere",
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}: {}\n", self.name, self.summary);
        if !self.description.starts_with(&self.summary) {
            text.push_str(&format!("\n{}\n", self.description));
        } else if let Some(more) =
            self.description.get(self.summary.len() + 2..).filter(|more| !more.is_empty())
        {
            text.push_str(&format!("\n{more}\n"));
        }
        let works: Vec<_> = self.works.iter().map(|place| place.name()).collect();
        text.push_str(&format!("\nWhere it works\n  {}\n", works.join(", ")));
        for fact in &self.facts {
            text.push_str(&format!("\n{}\n  {}\n", fact.about, fact.text));
        }
        text.push_str("\nParameters\n");
        if self.parameters.is_empty() {
            text.push_str("  none\n");
        }
        for parameter in &self.parameters {
            describe(&mut text, parameter, 2);
        }
        write!(f, "{}\nExample, below spec\n{}", wrap(&text, WIDTH), indented(&self.example, 2))
    }
}

/// A parameter with everything in it.
fn describe(text: &mut String, parameter: &Parameter, indent: usize) {
    let is_needed = if parameter.required { ", required" } else { "" };
    // Most meanings say it themselves.
    let is_told = parameter.meaning.contains("efault");
    let default = match &parameter.default {
        Some(default) if !is_told => format!(", default {}", flow(default)),
        Some(_) | None => String::new(),
    };
    text.push_str(&format!("{:indent$}{}: {}{is_needed}{default}\n", "", parameter.name, parameter.kind));
    let inner = indent + 4;
    if !parameter.meaning.is_empty() {
        text.push_str(&format!("{:inner$}{}\n", "", parameter.meaning));
    }
    for choice in parameter.choices.iter().filter(|choice| !choice.meaning.is_empty()) {
        text.push_str(&format!("{:inner$}{}: {}\n", "", choice.value, choice.meaning));
    }
    for nested in &parameter.parameters {
        describe(text, nested, inner);
    }
}

/// A value in one line of YAML.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

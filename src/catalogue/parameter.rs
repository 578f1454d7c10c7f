//! Parameters, as the schema of their type describes them.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

/// One field that can be written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// As it is written.
    pub name: String,
    /// What is written there.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it has to be there.
    pub required: bool,
    /// What it is where it is left out, if that is a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What it means.
    pub meaning: String,
    /// The words that can be written, if there are only some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// The fields in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Self>,
}

/// One of the words that can be written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// The word.
    pub value: String,
    /// What it means.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub meaning: String,
}

/// Makes schemas that hold everything in themselves.
pub(super) fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator()
}

/// The fields of a schema, those first that have to be there.
pub(super) fn fields(schema: &Value) -> Vec<Parameter> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut fields: Vec<_> = properties
        .map(|(name, schema)| {
            let is_required = required.contains(&name.as_str());
            parameter(name, schema, is_required)
        })
        .collect();
    fields.sort_by_key(|field| !field.required);
    fields
}

/// Values of which exactly one is written as a key, with its parameters below it: `{name: {…}}`.
pub(super) fn variants(schema: &Value) -> Vec<(&str, &Value, &str)> {
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    alternatives
        .filter_map(|variant| {
            let (name, inner) = variant["properties"].as_object()?.iter().next()?;
            Some((name.as_str(), inner, description(variant)))
        })
        .collect()
}

pub(super) fn description(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

fn parameter(name: &str, schema: &Value, required: bool) -> Parameter {
    let inner = without_null(schema);
    let item = if inner["type"] == "array" { &inner["items"] } else { inner };
    let nested: Vec<Parameter> =
        variants(item).into_iter().map(|(name, inner, said)| variant(name, inner, said)).collect();
    let meaning = if description(schema).is_empty() { description(inner) } else { description(schema) };
    Parameter {
        name: name.into(),
        kind: kind(inner),
        required,
        default: schema.get("default").filter(|default| !default.is_null()).cloned(),
        meaning: meaning.split_whitespace().collect::<Vec<_>>().join(" "),
        choices: choices(item),
        parameters: if nested.is_empty() { fields(item) } else { nested },
    }
}

/// One of several keys.
fn variant(name: &str, schema: &Value, said: &str) -> Parameter {
    let parameter = parameter(name, schema, false);
    if said.is_empty() { parameter } else { Parameter { meaning: said.into(), ..parameter } }
}

/// What is written where something is: what can be left out may be null as well, which nobody writes.
fn without_null(schema: &Value) -> &Value {
    let alternatives = schema["anyOf"].as_array().into_iter().flatten();
    alternatives.into_iter().find(|one| one["type"] != "null").unwrap_or(schema)
}

/// In words, what is written there.
fn kind(schema: &Value) -> String {
    if let Some(title) = schema["title"].as_str() {
        return title.into();
    }
    let choices = choices(schema);
    if !choices.is_empty() {
        return choices.iter().map(|choice| choice.value.as_str()).collect::<Vec<_>>().join(" | ");
    }
    if !variants(schema).is_empty() {
        return "one of these".into();
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        other => other.as_str(),
    };
    match types {
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some("boolean") => "true or false".into(),
        Some("integer" | "number") => match (schema["minimum"].as_u64(), schema["maximum"].as_u64()) {
            (Some(least), Some(most)) => format!("number from {least} to {most}"),
            (Some(1), None) => "number from 1 on".into(),
            _ => "number".into(),
        },
        Some("string") => "text".into(),
        Some("object") if schema["properties"].as_object().is_some_and(|fields| !fields.is_empty()) => {
            "mapping".into()
        }
        Some("object") if schema["additionalProperties"].is_object() => "mapping of texts".into(),
        Some("object") => "{}".into(),
        _ => "value".into(),
    }
}

/// The words that can be written.
fn choices(schema: &Value) -> Vec<Choice> {
    let choice = |value: &str, schema: &Value| Choice {
        value: value.into(),
        meaning: description(schema).split_whitespace().collect::<Vec<_>>().join(" "),
    };
    let words = |schema: &Value| -> Vec<Choice> {
        match (&schema["const"], &schema["enum"]) {
            (Value::String(word), _) => vec![choice(word, schema)],
            (_, Value::Array(words)) => {
                words.iter().filter_map(Value::as_str).map(|word| choice(word, &Value::Null)).collect()
            }
            _ => Vec::new(),
        }
    };
    match schema["oneOf"].as_array() {
        Some(alternatives) => alternatives.iter().flat_map(words).collect(),
        None => words(schema),
    }
}

//! What schemas say of values that are one text or number.

use schemars::{Schema, SchemaGenerator, json_schema};

/// The schema of a value that is written in these words, for `#[schemars(title)]` of types that have no derived one. A
/// CRD's schema has to be structural, and has no titles: there it is left as it is.
pub(super) fn titled(generator: &SchemaGenerator, words: &str, mut schema: Schema) -> Schema {
    if !is_structural(generator) {
        schema.insert("title".into(), words.into());
    }
    schema
}

/// A number or a text. A CRD's structural schema has no word for that, so that [`crate::spec`] alone checks it there.
pub(super) fn number_or_text(generator: &SchemaGenerator, words: &str, structural: Schema) -> Schema {
    if is_structural(generator) {
        structural
    } else {
        titled(generator, words, json_schema!({ "type": ["number", "string"] }))
    }
}

/// Whether it is a CRD that the schema is for: any other names the language that it is written in.
fn is_structural(generator: &SchemaGenerator) -> bool {
    generator.settings().meta_schema.is_none()
}

//! The schema of `metav1.Condition`, which its own type does not carry.

use std::borrow::Cow;

use schemars::{JsonSchema, SchemaGenerator, json_schema};

/// Stands for [`k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition`] in schemas.
pub(super) struct Schema;

impl JsonSchema for Schema {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Condition".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        json_schema!({
            "type": "object",
            "description": "One aspect of the state, by the API conventions.",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": { "type": "string", "description": "What it speaks of." },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it is so." },
                "observedGeneration": { "type": "integer", "format": "int64", "description": "The generation that it speaks of." },
                "lastTransitionTime": { "type": "string", "format": "date-time", "description": "When `status` last changed." },
                "reason": { "type": "string", "description": "Why, in one word." },
                "message": { "type": "string", "description": "Why, for a person." },
            },
        })
    }
}

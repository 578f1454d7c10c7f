//! The schema of `report.json`, as it is checked in for whoever reads reports by program: made from the types, and held
//! equal to them here.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::judge::judgement::Judgement;

/// What a report that is written holds: every field, those too that may be left out of what is read.
pub fn report() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Judgement>().to_value();
    schema["title"] = "A run of Seatrial: report.json".into();
    schema
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::fixture::{S, claim, judgement, measured};
    use super::*;

    /// Where it is.
    const FILE: &str = "deploy/report.schema.json";

    fn is_valid(written: &Value) -> bool {
        let mut schemas = boon::Schemas::new();
        let mut compiler = boon::Compiler::new();
        compiler.add_resource(FILE, report()).expect("a schema is a resource");
        let index = compiler.compile(FILE, &mut schemas).expect("it is a schema");
        schemas.validate(written, index).is_ok()
    }

    /// With `SEATRIAL_BLESS=1` the file is written instead.
    #[test]
    fn the_checked_in_schema_is_that_of_the_types() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        let text = serde_json::to_string_pretty(&report()).expect("a schema is JSON") + "\n";
        if std::env::var_os("SEATRIAL_BLESS").is_some() {
            std::fs::write(&path, &text).expect("the file can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{FILE} differs from the types: SEATRIAL_BLESS=1 cargo test --lib report::schema"
        );
    }

    #[test]
    fn reports_fit_it_and_what_is_no_report_does_not() {
        let run = judgement(vec![
            measured("quorum", (1_000_000, 700_000), 2 * S, Some(3 * S)),
            claim("no write is lost", "durability", "Fail"),
        ]);
        let written: Value = serde_json::from_str(&run.to_json()).expect("it is JSON");
        assert!(is_valid(&written));
        for (field, wrong) in [
            ("verdict", json!("Good")),
            ("seed", json!("7")),
            ("claims", json!([{"name": "one"}])),
            ("steps", Value::Null),
        ] {
            let mut broken = written.clone();
            broken[field] = wrong;
            assert!(!is_valid(&broken), "{field}");
        }
        for field in ["verdict", "headline", "workload", "revertFailed"] {
            let mut broken = written.clone();
            broken.as_object_mut().expect("it is an object").remove(field);
            assert!(!is_valid(&broken), "{field}");
        }
    }
}

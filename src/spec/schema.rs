//! The schema of an Experiment's document, for editors: made from the types that files are read into.
//!
//! It is wider than this door: it knows fields, types and words, and not what has to fit together.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{API_VERSION, Envelope};
use crate::fault::CATALOGUE;

/// The schema, in the version that editors know best.
pub fn experiment() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Envelope>().to_value();
    schema["title"] = "An Experiment of Seatrial".into();
    schema["properties"]["apiVersion"] =
        json!({ "const": API_VERSION, "description": "The version of this document." });
    schema["properties"]["kind"] = json!({ "const": "Experiment", "description": "What this document is." });
    let definitions = &mut schema["definitions"];
    // Inside, its name belongs to the experiment; in a document it is that of its metadata.
    let spec = &mut definitions["Experiment"];
    if let Some(fields) = spec["properties"].as_object_mut() {
        fields.remove("name");
    }
    if let Some(required) = spec["required"].as_array_mut() {
        required.retain(|field| field != "name");
    }
    let faults = definitions["Fault"]["oneOf"].as_array_mut().into_iter().flatten();
    for (fault, listed) in faults.zip(CATALOGUE) {
        fault["description"] = listed.summary.into();
    }
    schema
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::spec::document;

    /// Where it is.
    const FILE: &str = "deploy/experiment.schema.json";

    /// With `SEATRIAL_BLESS=1` the file is written instead.
    #[test]
    fn the_checked_in_schema_is_that_of_the_types() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        let text = serde_json::to_string_pretty(&experiment()).expect("a schema is JSON") + "\n";
        if std::env::var_os("SEATRIAL_BLESS").is_some() {
            std::fs::write(&path, &text).expect("the file can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{FILE} differs from the types: SEATRIAL_BLESS=1 cargo test --lib spec::schema"
        );
    }

    #[test]
    fn every_fault_has_its_own_summary() {
        let schema = experiment();
        for (fault, listed) in
            schema["definitions"]["Fault"]["oneOf"].as_array().expect("faults").iter().zip(CATALOGUE)
        {
            assert!(fault["properties"].get(listed.name).is_some(), "{}", listed.name);
        }
    }

    /// Every file below a folder, in order.
    fn files(folder: &Path) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                found.extend(files(&path));
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(path);
            }
        }
        found.sort();
        found
    }

    #[test]
    fn every_shipped_experiment_fits_it_and_mistakes_do_not() {
        let mut schemas = boon::Schemas::new();
        let mut compiler = boon::Compiler::new();
        compiler.add_resource(FILE, experiment()).expect("a schema is a resource");
        let index = compiler.compile(FILE, &mut schemas).expect("it is a schema");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let files = files(&folder);
        assert!(files.len() > 40, "{files:?}");
        for file in files {
            let bytes = std::fs::read(&file).expect("it can be read");
            let documents = document::split(&file.display().to_string(), &bytes).expect("it has documents");
            let written: Value = serde_saphyr::from_str(&documents[0].text).expect("it is YAML");
            if let Err(error) = schemas.validate(&written, index) {
                panic!("{}: {error:#}", file.display());
            }
            for (place, wrong) in [
                ("/spec/stepz", json!([])),
                ("/kind", json!("Experimental")),
                ("/spec/steps/0/fault", json!({"podKil": {}})),
                ("/spec/baseline", json!("5 parsecs")),
                ("/spec/target/store", json!({"etcd": {"prot": 1}})),
                ("/metadata/nam", json!("x")),
            ] {
                let (above, key) = place.rsplit_once('/').expect("a path");
                let mut broken = written.clone();
                broken.pointer_mut(above).expect("it is there")[key] = wrong;
                assert!(schemas.validate(&broken, index).is_err(), "{place} in {}", file.display());
            }
        }
    }
}

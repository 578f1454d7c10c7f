//! Any bytes: an Experiment or problems, never a panic, never a long wait.
#![no_main]

use seatrial::spec::{document, experiment, kind};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for document in document::split("fuzz.yaml", bytes).unwrap_or_default() {
        let _ = kind(&document);
        match experiment(&document) {
            Ok(experiment) => {
                let text = serde_json::to_string(&experiment).expect("what was read can be written");
                let again: seatrial::experiment::Experiment = serde_json::from_str(&text).expect("and read again");
                assert_eq!(experiment, again);
            }
            Err(problems) => assert!(!problems.is_empty(), "a refusal has a reason"),
        }
    }
});

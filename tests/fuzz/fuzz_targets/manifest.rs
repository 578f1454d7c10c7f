//! Any bytes: a StatefulSet or problems, never a panic, never a long wait.
#![no_main]

use seatrial::platform::sandbox::manifest::{Document, read};
use seatrial::spec::document;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let documents = document::split("fuzz.yaml", bytes).unwrap_or_default();
    let borrowed: Vec<_> = documents
        .iter()
        .map(|document| Document { file: &document.file, first_line: document.first_line, text: &document.text })
        .collect();
    if let Err(problems) = read(&borrowed, &|program| Some(program.into())) {
        assert!(!problems.is_empty(), "a refusal has a reason");
    }
});

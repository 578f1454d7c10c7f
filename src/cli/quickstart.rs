//! The StatefulSet that Seatrial brings along: the one of the shipped quickstart.

use crate::platform::sandbox::manifest::{self, Document};
use crate::platform::sandbox::pod_spec::SetSpec;
use crate::spec;
use crate::spec::document::split;

const FILE: &str = "experiments/quickstart.yaml";
const TEXT: &str = include_str!("../../experiments/quickstart.yaml");

/// Three members of the built-in store.
pub(super) fn stateful_set() -> SetSpec {
    let documents = split(FILE, TEXT.as_bytes()).expect("a test reads this file");
    let manifests: Vec<Document<'_>> = documents
        .iter()
        .filter(|document| spec::kind(document).is_ok_and(|kind| !kind.is_ours()))
        .map(|document| Document { file: FILE, first_line: document.first_line, text: &document.text })
        .collect();
    manifest::read(&manifests, &manifest::on_this_machine).expect("a test reads this file").set
}

#[cfg(test)]
mod tests {
    #[test]
    fn shipped_quickstart_has_three_members() {
        assert_eq!(super::stateful_set().replicas, 3);
    }
}

//! What is offered in the place of what was written.

use super::{GOOD, problems, refused};
use crate::api::Fill;

#[test]
fn offers_the_forms_that_a_value_without_one_may_have_been_meant_in() {
    let fault = |fault: &str, words: &str| {
        let written = format!("{{{fault}}}");
        refused("{networkPartition: {isolate: {role: leader}}}", &written, "x.yaml:13:", words);
    };
    fault(
        "diskLatency: {members: {role: leader}, delay: 50ms}",
        "diskLatency.delay: `50ms` does not stand alone here: write {fixed: 50ms}; known are `fixed`, `uniform`, ",
    );
    fault(
        "diskLatency: {members: {role: leader}, delay: soon}",
        "`soon` is not known here: known are `fixed`",
    );
    fault(
        "diskFill: {members: {role: leader}, to: 95%}",
        "diskFill.to: `95%` does not stand alone here: write {percent: 95} or {inodesPercent: 95}; known are `percent`, ",
    );
    fault(
        "diskFill: {members: {role: leader}, to: 95}",
        "write {percent: 95}, {free: 95}, {inodesPercent: 95} or {freeInodes: 95}; known are",
    );
    fault("diskFill: {members: {role: leader}, to: 10Mi}", "here: write {free: 10Mi}; known are `percent`, ");
    fault(
        "diskFill: {members: {role: leader}, to: {free: 10MiB}}",
        "diskFill.to.free: `10MiB` is no quantity: write a number of bytes such as 1Mi or 500k",
    );
}

#[test]
fn shows_what_to_write_for_what_is_missing() {
    for (from, to, words) in [
        ("{name: good}", "{}", "metadata: `name` is missing: write for example name: leader-cut\n"),
        (
            "- name: cut\n      at",
            "- at",
            "spec.steps[0]: `name` is missing: write for example name: cut-leader\n",
        ),
        (
            "      sli: {quorum: {}}\n",
            "",
            "spec.hypothesis[0]: `sli` is missing: write for example sli: {quorum: {}}\n",
        ),
        (
            "{networkPartition: {isolate: {role: leader}}}",
            "{networkDelay: {delay: 50ms}}",
            ".networkDelay: `members` is missing: write for example members: {role: leader}\n",
        ),
    ] {
        let found = problems(&GOOD.replacen(from, to, 1));
        assert!(found[0].contains(words), "{found:#?}");
    }
}

#[test]
fn no_name_is_offered_where_it_is_refused() {
    for field in ["nam", "stepz"] {
        let found = problems(&GOOD.replacen("spec:\n", &format!("spec:\n  {field}: x\n"), 1));
        assert!(found[0].contains(&format!("spec.{field}: unknown field `{field}`")), "{found:#?}");
        assert!(found.len() == 1 && !found[0].contains("`name`"), "{found:#?}");
    }
}

#[test]
fn bytes_that_are_left_are_read_as_all_bytes_are_and_kept_as_a_number() {
    for (written, bytes) in [(r#""10Mi""#, 10 << 20), (r#""1k""#, 1000), ("10485760", 10 << 20)] {
        let read: Fill = serde_json::from_str(&format!(r#"{{"free":{written}}}"#)).unwrap();
        assert_eq!(read, Fill::Free(bytes), "{written}");
        assert_eq!(serde_json::to_string(&read).unwrap(), format!(r#"{{"free":{bytes}}}"#));
    }
}

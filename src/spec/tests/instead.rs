//! What is offered in the place of what was written.

use super::refused;

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
}

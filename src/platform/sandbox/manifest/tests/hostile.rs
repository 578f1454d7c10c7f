//! Text that nobody wrote in good faith: it is refused, in little time, and never makes the reader panic.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::experiment::quantity;

/// Generous for a busy machine and a build without optimisation; without limits, these texts take minutes or for ever.
const LONG: Duration = Duration::from_secs(20);

fn refused_soon(text: &str) -> Vec<Problem> {
    let began = Instant::now();
    let problems = read_set(text).expect_err("refused");
    assert!(began.elapsed() < LONG, "took {:?}", began.elapsed());
    problems
}

#[test]
fn refuses_a_file_of_ten_megabytes() {
    let problems = refused_soon(&with_pod(&"# a comment\n".repeat(10 << 20 >> 3)));
    assert!(problems[0].message.contains("KiB long"), "{:?}", problems[0]);
}

#[test]
fn refuses_yaml_bombs() {
    let level = |level: usize| {
        let below = level.checked_sub(1).map_or("x".to_owned(), |below| format!("*a{below}"));
        format!("a{level}: &a{level} [{}]", vec![below; 9].join(", "))
    };
    let bomb = (0..30).map(level).collect::<Vec<_>>().join("\n");
    refused_soon(&format!("{SET}{bomb}"));
    refused_soon(&format!("{SET}more: {}{}", "[".repeat(100_000), "]".repeat(100_000)));
    refused_soon(&format!("{SET}more: {}", "{a: ".repeat(100_000)));
    refused_soon(&format!("{SET}more:\n{}", "- ".repeat(100_000)));
    refused_soon(&format!("{SET}more: [{}]", "a,".repeat(500_000)));
}

#[test]
fn says_how_many_problems_are_left_out() {
    let typos = (0..5_000).map(|index| format!("typo{index}: 1")).collect::<Vec<_>>().join("\n");
    let problems = refused_soon(&with_pod(&typos));
    assert_eq!(problems.len(), 101);
    assert_eq!(problems[100].message, "and 4900 more problems");
}

#[test]
fn refuses_binary_junk() {
    let junk: String = (0..100_000_u32).map(|index| char::from((index * 37 % 251) as u8)).collect();
    refused_soon(&junk);
    refused_soon(&"\0".repeat(1000));
    refused_soon("\u{feff}\u{fffe}%!&*");
    let problems = refused_soon(&SET.replace("[etcd]", "[\"et\\0cd\"]"));
    assert!(problems[0].message.contains("zero byte"), "{:?}", problems[0]);
}

/// One thing to do to a text.
#[derive(Debug, Clone)]
enum Mutation {
    Remove { at: usize, length: usize },
    Insert { at: usize, text: String },
    Duplicate { at: usize, length: usize },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let pieces = prop::sample::select(vec![
        "[",
        "]",
        "{",
        "}",
        ": ",
        "- ",
        "\n",
        "  ",
        "&a ",
        "*a",
        "<<: *a\n",
        "!!int ",
        "|",
        ">",
        "\"",
        "'",
        "#",
        "---\n",
        "null",
        "-1",
        "1e400",
        ".nan",
        "0x7fffffffffffffff",
        "99999999999999999999",
        "\u{0}",
        "\t",
        "é",
        "true",
        "? ",
    ]);
    prop_oneof![
        (any::<usize>(), 0..40_usize).prop_map(|(at, length)| Mutation::Remove { at, length }),
        (any::<usize>(), pieces.prop_map(str::to_owned)).prop_map(|(at, text)| Mutation::Insert { at, text }),
        (any::<usize>(), ".{0,8}").prop_map(|(at, text)| Mutation::Insert { at, text }),
        (any::<usize>(), 0..200_usize).prop_map(|(at, length)| Mutation::Duplicate { at, length }),
    ]
}

fn mutated(text: &str, mutations: &[Mutation]) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for mutation in mutations {
        let range = |at: usize, length: usize, of: usize| {
            let begin = at.checked_rem(of).unwrap_or(0);
            begin..(begin + length).min(of)
        };
        match mutation {
            Mutation::Remove { at, length } => {
                letters.drain(range(*at, *length, letters.len()));
            }
            Mutation::Insert { at, text } => {
                let at = range(*at, 0, letters.len() + 1).start;
                letters.splice(at..at, text.chars());
            }
            Mutation::Duplicate { at, length } => {
                let range = range(*at, *length, letters.len());
                let piece = letters[range.clone()].to_vec();
                letters.splice(range.end..range.end, piece);
            }
        }
    }
    letters.into_iter().collect()
}

fn rich_set() -> String {
    let container = "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]\nports: [{name: p, containerPort: 1}]\nreadinessProbe: {httpGet: {port: p, path: /x}}\nlivenessProbe: {exec: {command: [sh, -c, 'true']}}\nvolumeMounts: [{name: v, mountPath: /v}]\nresources: {limits: {cpu: 1}}";
    format!(
        "{}{}",
        with_container(container),
        "      volumes: [{name: v, emptyDir: {sizeLimit: 1Gi}}]\n      securityContext: {runAsUser: 1, fsGroup: 2}\n  volumeClaimTemplates: [{metadata: {name: d}, spec: {resources: {requests: {storage: 1Gi}}}}]\n"
    )
}

#[test]
fn the_text_that_is_mutated_is_accepted() {
    assert!(read_set(&rich_set()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_panics_and_always_says_where(mutations in prop::collection::vec(mutation(), 1..12)) {
        let text = mutated(&rich_set(), &mutations);
        if let Err(problems) = read_set(&text) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(problem.line >= 1 && problem.column >= 1, "{problem:?}");
                prop_assert!(problem.line <= text.lines().count() + 1, "{problem:?}");
            }
        }
    }

    #[test]
    fn never_panics_on_any_text(text in "\\PC{0,200}") {
        let document = Document { file: "x", first_line: 1, text: &text };
        prop_assert!(read(&[document], &machine).is_err());
    }

    #[test]
    fn never_panics_on_any_quantity(text in "[-+]?[0-9]{0,40}[.]?[0-9]{0,40}([KMGTPE]i?|[mknu]|[eE][-+]?[0-9]{0,12})?") {
        let _never_panics = quantity::bytes(&text);
    }
}

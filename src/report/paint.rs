//! Colours for a terminal, put on when a text is finished: what is read without them says the same.
//!
//! They are left out as people expect it: elsewhere than on a terminal, where `NO_COLOR` is set, and on a terminal that
//! has none; `CLICOLOR_FORCE=1` keeps them (anstream, <https://no-color.org>).

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

const GOOD: Style = AnsiColor::Green.on_default();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const ADVICE: Style = AnsiColor::Cyan.on_default();

/// What a line may begin with, after its indentation; what stands in a column has its gap behind it.
const BEGINNINGS: [(&str, Style); 20] = [
    ("PASS  ", GOOD.bold()),
    ("FAIL  ", BAD.bold()),
    ("INCONCLUSIVE  ", DOUBTFUL.bold()),
    ("ABORTED  ", DOUBTFUL.bold()),
    ("REFUSED  ", DOUBTFUL.bold()),
    ("Pass  ", GOOD),
    ("Fail  ", BAD),
    ("Inconclusive  ", DOUBTFUL),
    ("Aborted  ", DOUBTFUL),
    ("ok  ", GOOD),
    ("no  ", BAD),
    ("note  ", ADVICE),
    ("warning  ", DOUBTFUL),
    ("fault  ", BAD.bold()),
    ("not proven:", DOUBTFUL),
    ("REVERT FAILED:", BAD.bold()),
    ("error:", BAD.bold()),
    ("warning:", DOUBTFUL.bold()),
    ("note:", ADVICE),
    ("hint:", ADVICE),
];

/// What is told of members and faults while a run goes on; a word that is a part of another one comes after it.
const STATES: [(&str, Style); 12] = [
    ("not ready", DOUBTFUL),
    ("ready", GOOD),
    ("no pod", DOUBTFUL),
    ("pending", DOUBTFUL),
    ("terminating", DOUBTFUL),
    ("unreachable", BAD),
    ("no leader", BAD),
    ("  leader", Style::new().bold()),
    ("in force, proven", BAD),
    ("reverted, verified", GOOD),
    ("NOT PROVEN", DOUBTFUL.bold()),
    ("REVERT FAILED", BAD.bold()),
];

/// Whether `stream` shows colours.
pub fn is_wanted(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// A finished text with what its lines begin with in colour.
pub fn beginnings(text: &str) -> String {
    text.split_inclusive('\n').map(beginning).collect()
}

/// A line of a live view: of each word that tells a state the first, besides what the line begins with.
pub fn states(line: &str) -> String {
    let mut found: Vec<(usize, &str, Style)> = Vec::new();
    for (state, style) in STATES {
        let is_free =
            |at: usize| found.iter().all(|(other, word, _)| at >= other + word.len() || at < *other);
        if let Some(at) = line.find(state).filter(|&at| is_free(at)) {
            found.push((at, state, style));
        }
    }
    found.sort_by_key(|&(at, ..)| std::cmp::Reverse(at));
    let mut painted = line.to_owned();
    for (at, state, style) in found {
        painted.replace_range(at..at + state.len(), &format!("{style}{state}{style:#}"));
    }
    beginning(&painted)
}

fn beginning(line: &str) -> String {
    let word = line.trim_start_matches(' ');
    let indent = &line[..line.len() - word.len()];
    match BEGINNINGS.iter().find(|(beginning, _)| word.starts_with(beginning)) {
        Some((beginning, style)) => {
            let coloured = beginning.trim_end();
            format!("{indent}{style}{coloured}{style:#}{}", &word[coloured.len()..])
        }
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_the_same_without_colours() {
        let text =
            "PASS  x  all held\n  Pass          no write is lost\n                no  gap\nhint: look\n";
        let painted = beginnings(text);
        assert_ne!(painted, text);
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), text);
        assert!(painted.starts_with("\u{1b}[1m\u{1b}[32mPASS\u{1b}[0m  x  all held\n"), "{painted:?}");
    }

    #[test]
    fn a_state_has_one_colour() {
        let line = "  etcd-1           not ready                leader (term 2)";
        let painted = states(line);
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), line);
        assert!(painted.contains("\u{1b}[33mnot ready\u{1b}[0m"), "{painted:?}");
        assert!(painted.contains("\u{1b}[1m  leader\u{1b}[0m (term 2)"), "{painted:?}");
        assert_eq!(states("waiting for cut-leader"), "waiting for cut-leader");
        assert_eq!(states("no state"), "no state");
    }
}

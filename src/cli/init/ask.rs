//! Questions to whoever sits there.

use std::io::{BufRead, IsTerminal};

use crate::cli::console;
use crate::yaml::nearest;

/// How often the same question is asked again.
const PATIENCE: u32 = 5;

/// One of the known words: the answer, or the usual one where the line is empty or nobody can be asked.
pub(super) fn one_of(question: &str, known: &[&str], usual: &str) -> String {
    let is_somebody_there = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !is_somebody_there {
        return usual.to_owned();
    }
    for _ in 0..PATIENCE {
        console::say(format_args!("{question}\n  {}\n[{usual}]", known.join(", ")));
        let mut answer = String::new();
        let heard = std::io::stdin().lock().read_line(&mut answer).unwrap_or_default();
        let answer = answer.trim();
        if heard == 0 || answer.is_empty() {
            break;
        }
        if known.contains(&answer) {
            return answer.to_owned();
        }
        match nearest(answer, known.iter().copied()) {
            Some(near) => console::say(format_args!("`{answer}` is none of them: did you mean `{near}`?")),
            None => console::say(format_args!("`{answer}` is none of them")),
        }
    }
    usual.to_owned()
}

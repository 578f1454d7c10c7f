//! The report as one page: opened by any browser, offline, years later.
//!
//! Guarantees: the page is a pure function of the journal and its judgement, byte by byte; it holds everything it needs
//! and fetches nothing, which its own Content-Security-Policy enforces; whatever comes from the journal is text, never
//! markup; without JavaScript everything can be read, and what a drawing shows stands in a table as well; however long
//! the run was, the page stays small, and says what it leaves out.

mod claims;
mod draw;
mod environment;
mod events;
mod members;
mod operations;
mod rates;
mod recovery;
mod scale;
mod steps;
mod story;
mod tell;
mod thin;
mod timeline;
mod verdict;
mod witness;
mod workload;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use self::story::Story;
use crate::journal::read::Journal;
use crate::judge::judgement::Judgement;
use crate::judge::words;

/// How the page looks.
const STYLE: &str = include_str!("html/style.css");
/// What zooms and explains.
const SCRIPT: &str = include_str!("html/script.js");

/// The page.
pub fn render(journal: &Journal, judgement: &Judgement) -> String {
    let story = Story::of(journal, judgement);
    let (_, outcome) = tell::outcome(judgement);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (outcome) ": " (judgement.experiment) " on " (judgement.target) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a .skip href="#timeline-title" { "To the timeline" }
                (verdict::header(&story))
                main {
                    (verdict::warnings(judgement))
                    (verdict::glance(&story))
                    (timeline::section(&story))
                    (events::section(&story))
                    (claims::section(&story))
                    (witness::section(&story))
                    (recovery::section(&story))
                    (steps::section(&story))
                    (workload::section(&story))
                    (environment::section(&story))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string().replace(|c| c != '\n' && words::is_no_text(c), " ")
}

/// Nothing may be fetched, and only what is written here may style the page or run in it.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

#[cfg(test)]
mod tests;

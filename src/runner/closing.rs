//! The end of a run: its journal is judged, as anybody can judge it again.

use std::path::Path;

use crate::experiment::Verdict;
use crate::journal::read::Journal;
use crate::judge::judgement::Judgement;
use crate::resource::Outcome;

/// What is said of a run in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) verdict: Verdict,
    pub(super) message: String,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) revert_failed: bool,
}

/// Judges a journal. One that cannot be read is Inconclusive.
pub(super) async fn judge(journal: &Path) -> End {
    let path = journal.to_owned();
    let judged =
        tokio::task::spawn_blocking(move || Journal::read(&path).map(|read| crate::judge::judge(&read)));
    match judged.await {
        Ok(Ok(judgement)) => end(judgement),
        Ok(Err(error)) => unreadable(&error.to_string()),
        Err(error) => unreadable(&error.to_string()),
    }
}

fn end(judgement: Judgement) -> End {
    let message = match judgement.revert_failed.first() {
        Some(failed) => format!("{}; a fault could not be taken back: {failed}", judgement.headline),
        None => judgement.headline,
    };
    End {
        verdict: judgement.verdict,
        message,
        revert_failed: !judgement.revert_failed.is_empty(),
        outcomes: judgement
            .claims
            .into_iter()
            .map(|claim| Outcome { name: claim.name, verdict: claim.verdict, message: claim.sentence })
            .collect(),
    }
}

fn unreadable(why: &str) -> End {
    End {
        verdict: Verdict::Inconclusive,
        message: format!("the journal cannot be judged: {why}"),
        outcomes: Vec::new(),
        revert_failed: false,
    }
}

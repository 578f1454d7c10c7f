//! The journal as it grows: each whole line goes to standard output, and entries into what is known of the run.
//!
//! The file is read again, as every report reads it, so that nothing is shown that is not on record.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::status::Standing;
use crate::journal::entry::Line;
use crate::journal::op::OpLine;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// A journal that is followed.
pub(super) struct Stream {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Stream {
    /// Returns when everything that is in the file now was taken.
    pub(super) async fn end(self) {
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

/// How many bytes the whole lines have.
fn whole(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1)
}

/// Follows a file that need not exist yet, from its first line on: nobody knows how much of it an earlier process told before it
/// was killed, and who reads leaves out by its number what was told before.
pub(super) fn follow(path: PathBuf, standing: watch::Sender<Standing>) -> Stream {
    let (end, mut ended) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut tail = Tail { path, file: None, rest: Vec::new() };
        loop {
            let is_last = tokio::time::timeout(PAUSE, &mut ended).await.is_ok();
            let lines = tail.lines();
            if !lines.is_empty() {
                // A reader that goes away is nobody's problem.
                let mut out = std::io::stdout().lock();
                let _ = out.write_all(&lines).and_then(|()| out.flush());
                drop(out);
                take(&lines, &standing);
            }
            if is_last {
                return;
            }
        }
    });
    Stream { end, task }
}

fn take(lines: &[u8], standing: &watch::Sender<Standing>) {
    let text = String::from_utf8_lossy(lines);
    let entries: Vec<Line> = text
        .lines()
        .filter(|line| !OpLine::is_one(line))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    if !entries.is_empty() {
        standing.send_modify(|standing| {
            for line in &entries {
                standing.progress.observe(&line.entry);
            }
        });
    }
}

/// The end of a file, line by line.
struct Tail {
    path: PathBuf,
    file: Option<File>,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
}

impl Tail {
    /// Everything up to the last line break that was not taken yet.
    fn lines(&mut self) -> Vec<u8> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else {
            return Vec::new();
        };
        if let Err(error) = file.read_to_end(&mut self.rest) {
            tracing::warn!(%error, "the journal cannot be read again: the log lacks lines");
        }
        let rest = self.rest.split_off(whole(&self.rest));
        std::mem::replace(&mut self.rest, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_once_and_only_when_it_is_whole() {
        let folder = tempfile::TempDir::new().expect("a temporary folder can be made");
        let path = folder.path().join("journal");
        let mut tail = Tail { path: path.clone(), file: None, rest: Vec::new() };
        assert!(tail.lines().is_empty(), "there is no file yet");
        let mut file = File::create(&path).expect("it can be made");
        for (written, taken) in [("{\"a\"", ""), (":1}\n{", "{\"a\":1}\n"), ("}\n", "{}\n"), ("", "")] {
            file.write_all(written.as_bytes()).expect("it can be written");
            assert_eq!(String::from_utf8(tail.lines()).expect("text"), taken);
        }
    }
}

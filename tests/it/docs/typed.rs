//! The commands of a page, typed: whether they do what a reader expects.
//!
//! They are typed in the page's order, in one folder that has the repository's experiments. A block of YAML that names its file is
//! written there when its turn comes. A block that is neither commands nor YAML is what the last command said.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::docs::commands::{lines, spelled_out};
use crate::docs::examples::{file_of, is_yaml};
use crate::docs::known::{How, KNOWN};
use crate::docs::page::{Kind, Page};
use crate::e2e_fixture::{Desk, Done, Seat, shipped};
use crate::e2e_recorded::recorded;

/// Types what can be typed of a page; what did otherwise than a reader expects.
pub fn failed(page: &Page) -> Vec<String> {
    let desk = Desk::new();
    symlink(shipped("experiments"), desk.path("experiments")).expect("a folder of our own");
    symlink(env!("CARGO_BIN_EXE_seatrial"), desk.path("seatrial")).expect("a folder of our own");
    let mut complaints = Vec::new();
    let mut said: Option<Said> = None;
    for piece in &page.pieces {
        if is_yaml(piece)
            && let Some(file) = file_of(piece)
        {
            desk.write(file, &piece.text);
        }
        let lines = lines(piece);
        if piece.kind == Kind::Block(None) && lines.is_empty() {
            let missing = match &said {
                Some(said) => said.lacks(&piece.text),
                None => Some("is neither a command that is known nor what one said that was run".into()),
            };
            complaints.extend(missing.map(|what| page.complaint(piece, what)));
        }
        for line in lines.iter().flat_map(|line| spelled_out(line)) {
            let how = KNOWN.iter().find(|(known, _)| *known == line).map(|(_, how)| how);
            let (done, code) = match how {
                Some(How::Run(code)) => (typed(&desk, &line), *code),
                Some(How::As(instead, code)) => (typed(&desk, instead), *code),
                Some(How::Recorded) => {
                    let done = &recorded().done;
                    (Done { code: done.code, out: done.out.clone(), err: done.err.clone() }, 0)
                }
                Some(How::Cluster | How::By(..) | How::Others) | None => continue,
            };
            if done.code != Some(code) {
                let what =
                    format!("`{line}` ended with {:?} and not {code}\n{}{}", done.code, done.out, done.err);
                complaints.push(page.complaint(piece, what));
            }
            said = Some(Said { is_measured: line.contains(" run "), text: done.out + &done.err });
        }
    }
    complaints
}

/// What a command said.
struct Said {
    /// Whether it measured something, so that its numbers are others each time.
    is_measured: bool,
    text: String,
}

impl Said {
    /// A line of what a page says that it said, and that it did not say.
    fn lacks(&self, shown: &str) -> Option<String> {
        let is_compared = |line: &&str| !(self.is_measured && line.contains(|c: char| c.is_ascii_digit()));
        let missing = shown.lines().filter(is_compared).find(|line| !self.text.contains(line.trim_end()))?;
        Some(format!("no command said `{}`, but:\n{}", missing.trim(), self.text))
    }
}

/// Types a line into a shell.
fn typed(desk: &Desk, line: &str) -> Done {
    let takes_time = [" run ", " sandbox up ", " bench inject"].iter().any(|what| line.contains(what));
    let _seat = takes_time.then(Seat::take);
    let path = std::env::var("PATH").unwrap_or_default();
    let program = desk.command::<&str>(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-ec", line]).current_dir(desk.path(""));
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.env("PATH", format!("{}:{path}", desk.path("").display()));
    Done::of(shell.stdin(Stdio::null()).output().expect("there is a shell"))
}

//! What a person sees while a run goes on: on a terminal a few lines that are drawn again, elsewhere plain lines.
//!
//! Everything goes to standard error, so that standard output holds the verdict alone. A terminal that goes away does
//! not stop the run: what cannot be written is dropped.

mod event;
mod screen;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use crate::api::{MemberSample, Members, Nanos, Role, Snapshot};
use crate::journal::entry::{Effect, Entry, Input, Phase};
use crate::judge::judgement::name_of;
use crate::judge::words;
use crate::workload::Rates;

use super::paint;
use super::wrap::{width, wrap};

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Quiet,
    /// One line for each thing that happens.
    Lines,
    /// Lines above a block that is drawn again.
    Screen,
}

impl Style {
    /// The one that fits standard error.
    pub fn detect(is_quiet: bool) -> Self {
        match (is_quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Screen,
            (false, false) => Self::Lines,
        }
    }
}

/// How long something is waited for before plain lines say so, in nanoseconds.
const PATIENCE: Nanos = 5_000_000_000;

/// The live view of one run.
pub struct Live {
    style: Style,
    has_colours: bool,
    out: Box<dyn Write + Send>,
    state: State,
    drawn: u16,
    waiting_since: Nanos,
    waiting_told: bool,
}

/// What the block shows.
#[derive(Debug, Default)]
struct State {
    experiment: String,
    phase: Option<Phase>,
    pods: Snapshot,
    /// Those of the further StatefulSets that steps act on, by name.
    others: BTreeMap<String, Snapshot>,
    members: Members,
    faults: Vec<(String, String)>,
    waiting: Option<String>,
    /// What went wrong with each Injection, as it was told last: statuses repeat.
    troubles: BTreeMap<String, Option<String>>,
    rates: Rates,
}

impl Live {
    /// A view on standard error.
    pub fn new(experiment: &str, style: Style) -> Self {
        let has_colours = paint::is_wanted(&std::io::stderr());
        Self { has_colours, ..Self::writing_to(experiment, style, Box::new(std::io::stderr())) }
    }

    /// A view on anything, without colours.
    pub fn writing_to(experiment: &str, style: Style, out: Box<dyn Write + Send>) -> Self {
        let state = State { experiment: experiment.into(), ..State::default() };
        Self { style, has_colours: false, out, state, drawn: 0, waiting_since: 0, waiting_told: false }
    }

    /// Takes notice of a journal entry.
    pub fn observe(&mut self, now: Nanos, entry: &Entry) {
        let told = event::tell(&self.state, entry);
        self.state.take(entry);
        if let (Some(text), Style::Lines | Style::Screen) = (told, self.style) {
            self.erase();
            let line = format!("{:>8}  {}\n", stamp(now), words::plain(&text));
            let line = match self.style {
                Style::Screen => self.coloured(&wrap(&line, width())),
                Style::Quiet | Style::Lines => line,
            };
            let _ = self.out.write_all(line.as_bytes());
            self.draw(now);
        }
    }

    /// Whether the run's last entry was there.
    pub fn is_over(&self) -> bool {
        self.state.phase == Some(Phase::Judged)
    }

    /// Draws the block again with the newest numbers.
    pub fn tick(&mut self, now: Nanos, rates: Rates, waiting: Option<String>) {
        self.state.rates = rates;
        if self.state.waiting != waiting {
            self.state.waiting = waiting;
            self.waiting_since = now;
            self.waiting_told = false;
        }
        self.erase();
        if let (Style::Lines, Some(waiting), false) = (self.style, &self.state.waiting, self.waiting_told)
            && now.saturating_sub(self.waiting_since) >= PATIENCE
        {
            let _ = writeln!(self.out, "{:>8}  waiting for {}", stamp(now), words::plain(waiting));
            self.waiting_told = true;
        }
        self.draw(now);
    }

    /// Takes the block away.
    pub fn finish(&mut self) {
        self.erase();
        let _ = self.out.flush();
    }

    fn coloured(&self, line: &str) -> String {
        if self.has_colours { paint::states(line) } else { line.to_owned() }
    }

    fn erase(&mut self) {
        if self.drawn > 0 {
            let _ = crossterm::queue!(
                self.out,
                crossterm::cursor::MoveToPreviousLine(self.drawn),
                crossterm::terminal::Clear(crossterm::terminal::ClearType::FromCursorDown)
            );
            self.drawn = 0;
        }
    }

    fn draw(&mut self, now: Nanos) {
        if self.style == Style::Screen {
            let block = screen::block(&self.state, now, width());
            for line in &block {
                let line = self.coloured(&words::plain(line));
                let _ = writeln!(self.out, "{line}");
            }
            self.drawn = u16::try_from(block.len()).unwrap_or(0);
        }
        let _ = self.out.flush();
    }
}

impl State {
    fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::Input(Input::Pods(pods)) => self.pods = pods.clone(),
            Entry::Input(Input::OtherPods(pods)) => {
                self.others.insert(pods.name.clone(), pods.clone());
            }
            Entry::Input(Input::Members(members)) => self.members = members.clone(),
            Entry::Input(Input::Injection { name, status }) => {
                self.troubles.insert(name.clone(), status.error.clone());
            }
            Entry::Effect { effect: Effect::Phase(phase), .. } => self.phase = Some(*phase),
            Entry::Effect {
                effect: Effect::Chosen { step, occurrence, set, members, damage, .. }, ..
            } => {
                let whom = event::whom(self, set.as_deref(), members, damage);
                self.faults.push((name_of(step, *occurrence), whom));
            }
            Entry::Effect { effect: Effect::Ended { step, occurrence, .. }, .. } => {
                let ended = name_of(step, *occurrence);
                self.faults.retain(|(step, _)| *step != ended);
            }
            Entry::Header(_) | Entry::Input(_) | Entry::Effect { .. } | Entry::FinalRead { .. } => {}
        }
    }
}

/// Seconds with one digit.
fn stamp(now: Nanos) -> String {
    format!("{}.{}s", now / 1_000_000_000, now / 100_000_000 % 10)
}

/// A member's role in a word.
fn role(sample: &MemberSample) -> String {
    match sample {
        MemberSample::Answer { role: Role::Leader, term, .. } => format!("leader (term {term})"),
        MemberSample::Answer { role: Role::Follower, .. } => "follower".into(),
        MemberSample::Answer { role: Role::Other, .. } => "no leader".into(),
        MemberSample::Unreachable(_) => "unreachable".into(),
        MemberSample::NotSampled(_) => "not asked".into(),
    }
}

#[cfg(test)]
mod tests;

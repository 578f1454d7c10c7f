//! The run's phases.

use maud::html;

use crate::journal::entry::Phase;
use crate::judge::words;
use crate::report::html::draw::{Bar, Label, Row};
use crate::report::html::scale::{Px, Time};
use crate::report::html::story::Story;

const HEIGHT: Px = Px::units(18);

pub(super) fn row(story: &Story<'_>, time: Time) -> Row {
    let body = html! {
        @for span in &story.judgement.phases {
            @let name = name(span.phase);
            @let title = format!("{name}, {} to {}", words::at(span.from), words::moment(span.to));
            (Bar {
                from: span.from,
                to: span.to,
                top: Px(0),
                height: HEIGHT,
                class: "phase",
                label: Label::Inside(name),
                title: &title,
            }.draw(time))
        }
    };
    Row { name: "phases".into(), note: None, height: HEIGHT, body }
}

pub(in crate::report::html) fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Preflight => "preflight",
        Phase::Baseline => "baseline",
        Phase::Faulting => "faulting",
        Phase::Recovering => "recovering",
        Phase::Reverting => "reverting",
        Phase::Settling => "settling",
        Phase::Judged => "judged",
    }
}

//! A line for each measured claim: where its SLI was bad, and how long it took to be good again.

use maud::{Markup, html};

use crate::api::Nanos;
use crate::judge::judgement::{Claim, Election};
use crate::judge::words;
use crate::report::html::draw::{Bar, Label, Row, mark, upright, worth_drawing};
use crate::report::html::scale::{Px, Time};
use crate::report::html::story::Story;
use crate::report::html::timeline::latency;

const HEIGHT: Px = Px::units(16);

pub(super) fn rows(story: &Story<'_>, time: Time) -> Vec<Row> {
    story.judgement.claims.iter().filter_map(|claim| row(story, claim, time)).collect()
}

fn row(story: &Story<'_>, claim: &Claim, time: Time) -> Option<Row> {
    let from = claim.phases.iter().map(|numbers| numbers.from).min();
    let to = claim.phases.iter().map(|numbers| numbers.to).max();
    let body = match from.zip(to) {
        Some((from, to)) => {
            html! {
                (measured(claim, from, to, time))
                @if claim.sli == "leaderElections" { (doubled(&story.judgement.elections, time)) }
            }
        }
        None if !claim.violations.is_empty() => checked(claim, time),
        None => return None,
    };
    Some(Row { name: claim.sli.clone(), note: None, height: HEIGHT, body })
}

fn measured(claim: &Claim, from: Nanos, to: Nanos, time: Time) -> Markup {
    let good = format!("{}: measured {} to {}", claim.name, words::at(from), words::moment(to));
    let outages = claim.outages();
    let recovery = claim.recovery.as_ref();
    let recovering =
        recovery.map(|recovery| (recovery.from, recovery.recovered.unwrap_or(to.max(recovery.from))));
    html! {
        (Bar {
            from, to, top: Px::units(6), height: Px::units(3), class: "measured", label: Label::None, title: &good,
        }.draw(time))
        @if let Some((reverted, recovered)) = recovering.filter(|(reverted, recovered)| recovered > reverted) {
            @let title = format!("not good again for {} after the last revert", words::time(recovered - reverted));
            (Bar {
                from: reverted, to: recovered, top: Px::units(3), height: Px::units(9), class: "pending",
                label: Label::None, title: &title,
            }.draw(time))
        }
        @for outage in worth_drawing(time, &outages, |outage| outage.to) {
            @let why = if outage.why.is_empty() { String::new() } else { format!(": {}", outage.why) };
            @let length = words::time(outage.to - outage.from);
            @let title = format!("bad for {length} {}{why}", words::at(outage.from));
            (Bar {
                from: outage.from, to: outage.to, top: Px(0), height: HEIGHT, class: "silent", label: Label::Inside(&length),
                title: &title,
            }.draw(time))
        }
        @if let Some(recovered) = recovery.and_then(|recovery| recovery.recovered) {
            (upright(time, recovered, HEIGHT, "recovered"))
        }
    }
}

/// A second leader of a term is wrong at the moment at which it was seen.
fn doubled(elections: &[Election], time: Time) -> Markup {
    let second = |election: &Election| Some((election.at, election.leader, election.beside?, election.term));
    let seconds: Vec<_> = elections.iter().filter_map(second).collect();
    html! {
        @for (at, leader, beside, term) in worth_drawing(time, &seconds, |(at, ..)| *at) {
            @let title = format!("member {leader} leads term {term}, which member {beside} led, {}", words::at(*at));
            (mark(time, *at, Px::units(8), "wrong", latency::DIAMOND, &title))
        }
    }
}

/// What was checked and not measured has moments only: one operation of each violation.
fn checked(claim: &Claim, time: Time) -> Markup {
    let kind = if claim.sli == "durability" { "not everywhere in the end" } else { "contradicts others" };
    html! {
        @for operation in latency::worth_naming(claim, time) {
            @let at = latency::ended(operation);
            @let title = format!("{kind}: client {} {}, {}", operation.process, operation.what, words::at(at));
            (mark(time, at, Px::units(8), "wrong", latency::DIAMOND, &title))
        }
    }
}

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

/// Of each claim that counts as good again within a time that is drawn as bad, why both are true.
pub(super) fn notes(story: &Story<'_>) -> Vec<String> {
    let mut notes: Vec<String> = story.judgement.claims.iter().filter_map(still_bad).collect();
    notes.dedup();
    notes
}

/// What is said of such a claim: the recovery asks about all of the time for which it must be good together, from the
/// moment of recovery on, and the drawing about each part of it.
fn still_bad(claim: &Claim) -> Option<String> {
    let at = claim.recovery.as_ref()?.recovered?;
    claim.outages().into_iter().find(|outage| (outage.from..outage.to).contains(&at))?;
    let why = match claim.sli.as_str() {
        "commitLatency" => {
            "for that, the writes of all the time for which it must be good count together, and the drawing shows each half \
             second by itself"
        }
        "attachLatency" | "schedulerPending" => {
            "for that, only what was left of the wait from then on counts, and the drawing shows all of the wait"
        }
        _ => return None,
    };
    let at = words::moment(at);
    Some(format!("{} counts as good again from {at} on, in a time that is drawn as bad: {why}.", claim.sli))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{self, S};

    #[test]
    fn what_counts_as_good_again_while_it_is_drawn_as_bad_is_told() {
        // Bad from 9 s to 18 s, and good again from 17 s on.
        let note = |sli: &str, outage: Nanos| still_bad(&fixture::measured(sli, (1, 1), outage, Some(S)));
        for (sli, why) in [
            ("commitLatency", "each half second by itself"),
            ("attachLatency", "what was left of the wait"),
            ("schedulerPending", "what was left of the wait"),
        ] {
            let text = note(sli, 9 * S).unwrap_or_default();
            let begin =
                format!("{sli} counts as good again from 17.0 s on, in a time that is drawn as bad: ");
            assert!(text.starts_with(&begin) && text.contains(why), "{text}");
            assert_eq!(note(sli, 8 * S), None, "{sli}");
        }
        assert_eq!(note("quorum", 9 * S), None);
    }
}

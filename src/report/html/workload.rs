//! What the clients did, in numbers.

use maud::{Markup, html};

use super::rates::{Bucket, Rates};
use super::story::Story;
use super::tell;
use crate::api::counted;
use crate::judge::signals::quantile;
use crate::judge::words;

/// About how many lines the table over time has.
const LINES: u64 = 40;

/// The section.
pub(super) fn section(story: &Story<'_>) -> Markup {
    let load = &story.judgement.workload;
    html! {
        section aria-labelledby="workload-title" {
            h2 #workload-title { "What the clients did" }
            @if load.ok + load.failed + load.unknown == 0 { p { "No client read or wrote." } } @else {
                p {
                    (counted(load.ok + load.failed + load.unknown, "operation")) ", " (words::rate(load.rate)) " per second: " (load.ok)
                    " done, " (load.failed) " failed or refused because the key held another value, " (load.unknown)
                    " of unknown outcome."
                }
                (by_part(story))
                details {
                    summary { "Operations over time, as a table" }
                    (over_time(story))
                }
            }
        }
    }
}

fn by_part(story: &Story<'_>) -> Markup {
    let shown = |value: Option<u64>| value.map_or_else(|| "–".into(), words::time);
    html! {
        div .scroll tabindex="0" role="region" aria-label="Writes by part of the run" {
            table {
                caption { "Acknowledged writes by part of the run, from the moment at which each should have begun" }
                thead { tr {
                    th scope="col" { "part" } th scope="col" { "acknowledged" } th scope="col" { "not acknowledged" }
                    th scope="col" { "half within" } th scope="col" { "99 % within" }
                } }
                tbody {
                    @for writes in &story.judgement.workload.writes {
                        tr {
                            th scope="row" { (tell::scope(writes.scope)) }
                            td { (writes.acknowledged) } td { (writes.unacknowledged) }
                            td { (shown(writes.p50)) } td { (shown(writes.p99)) }
                        }
                    }
                }
            }
        }
    }
}

fn over_time(story: &Story<'_>) -> Markup {
    let rates = Rates::of(&story.operations, story.judgement.lasted, LINES);
    html! {
        div .scroll tabindex="0" role="region" aria-label="Operations over time" {
            table {
                caption {
                    "Operations by when they ended, in steps of " (words::time(rates.width))
                    "; one that was refused because the key held another value was answered"
                }
                thead { tr {
                    th scope="col" { "from" } th scope="col" { "answered" } th scope="col" { "failed" }
                    th scope="col" { "unknown" } th scope="col" { "half within" } th scope="col" { "slowest" }
                } }
                tbody {
                    @for (place, bucket) in (0..).zip(&rates.buckets).filter(|(_, bucket)| bucket.all() > 0) {
                        tr {
                            th scope="row" { (words::moment(place * rates.width)) }
                            td { (bucket.answered) } td { (bucket.failed) } td { (bucket.unknown) }
                            td { (half(bucket)) }
                            td { (bucket.took.last().map_or_else(|| "–".into(), |&took| words::time(took))) }
                        }
                    }
                }
            }
        }
    }
}

fn half(bucket: &Bucket) -> String {
    quantile(&mut bucket.took.clone(), 500).map_or_else(|| "–".into(), words::time)
}

//! How many operations ended in every stretch of time, by outcome.

use std::fmt::Write as _;

use maud::html;

use crate::report::html::draw::Row;
use crate::report::html::rates::{Bucket, Rates};
use crate::report::html::scale::{LEFT, Px, RIGHT, Time};
use crate::report::html::story::Story;

const HEIGHT: Px = Px::units(64);

pub(super) fn row(story: &Story<'_>, time: Time) -> Option<Row> {
    if story.operations.is_empty() {
        return None;
    }
    let rates = Rates::of(&story.operations, time.end, 160);
    let highest = rates.buckets.iter().map(Bucket::all).max().unwrap_or(0).max(1);
    let y = |count: u64| HEIGHT - HEIGHT.part(count, highest);
    let mut paths = [String::new(), String::new(), String::new()];
    let mut counts = String::new();
    for (place, bucket) in (0..).zip(&rates.buckets) {
        let (from, to) = (time.x(place * rates.width), time.x((place + 1) * rates.width));
        let mut below = 0;
        for (path, count) in paths.iter_mut().zip([bucket.answered, bucket.failed, bucket.unknown]) {
            if count > 0 {
                let (top, bottom) = (y(below + count), y(below));
                let _ = write!(path, "M{from} {bottom}V{top}H{to}V{bottom}z");
                below += count;
            }
        }
        let _ = write!(counts, "{} {} {},", bucket.answered, bucket.failed, bucket.unknown);
    }
    let rate = u128::from(highest) * 1_000_000_000 / u128::from(rates.width);
    let body = html! {
        line class="decade" x1=(LEFT) x2=(RIGHT) y1="0" y2="0" {}
        g class="rates" data-width=(rates.width) data-counts=(counts.trim_end_matches(',')) {
            @for (class, path) in ["answered", "failed", "unknown"].into_iter().zip(&paths) {
                path class={ "rate " (class) } d=(path) {}
            }
        }
        text class="decade" x=(LEFT + Px::units(3)) y="11" { (rate) " per second" }
    };
    Some(Row { name: "throughput".into(), note: Some("operations".into()), height: HEIGHT, body })
}

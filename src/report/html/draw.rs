//! The few shapes that drawings are made of.

use maud::{Markup, html};

use super::scale::{LEFT, Px, RIGHT, Time, text_width};
use crate::api::Nanos;

/// A row of the timeline: what stands at its left, and what stands in it, from 0 to its height.
pub(super) struct Row {
    /// What it is about, in a word or two.
    pub(super) name: String,
    /// A second, smaller line under the name.
    pub(super) note: Option<String>,
    pub(super) height: Px,
    pub(super) body: Markup,
}

/// What a bar is called in the drawing.
#[derive(Clone, Copy)]
pub(super) enum Label<'a> {
    None,
    /// In the bar, where there is room.
    Inside(&'a str),
    /// In the bar, or beside it where there is none.
    Always(&'a str),
}

/// A bar of a row.
pub(super) struct Bar<'a> {
    pub(super) from: Nanos,
    pub(super) to: Nanos,
    pub(super) top: Px,
    pub(super) height: Px,
    /// How it is painted.
    pub(super) class: &'a str,
    pub(super) label: Label<'a>,
    /// What it says of itself.
    pub(super) title: &'a str,
}

impl Bar<'_> {
    pub(super) fn draw(&self, time: Time) -> Markup {
        let x = time.x(self.from);
        // What is too short to be seen is drawn nevertheless.
        let width = (time.x(self.to) - x).max(Px(10));
        html! {
            g .s {
                title { (self.title) }
                rect .(self.class) x=(x) y=(self.top) width=(width) height=(self.height) {}
                (self.label(x, width))
            }
        }
    }

    fn label(&self, x: Px, width: Px) -> Markup {
        let inset = Px::units(4);
        let y = self.top + Px(self.height.0 / 2) + inset;
        let (label, is_needed) = match self.label {
            Label::None => return html! {},
            Label::Inside(label) => (label, false),
            Label::Always(label) => (label, true),
        };
        let room = text_width(label) + inset + inset;
        if !is_needed || room <= width {
            return html! {
                text .label .(self.class) .none[room > width] data-room=(room) x=(x + inset) y=(y) { (label) }
            };
        }
        let (side, at, anchor) = if x + width + room <= RIGHT {
            ("after", x + width + inset, "start")
        } else {
            ("ahead", x - inset, "end")
        };
        html! { text .label .beside .(side) x=(at) y=(y) text-anchor=(anchor) { (label) } }
    }
}

/// The most bars of a row that are all drawn.
const MOST: usize = 200;

/// Of very many bars those that do not stand where the one before them stands.
pub(super) fn worth_drawing<T>(time: Time, bars: &[T], end: impl Fn(&T) -> Nanos) -> Vec<&T> {
    if bars.len() <= MOST {
        return bars.iter().collect();
    }
    let apart = (RIGHT - LEFT).part(1, MOST as u64);
    let mut last = Px(0);
    bars.iter()
        .filter(|bar| {
            let x = time.x(end(bar));
            let is_seen = x - last >= apart;
            if is_seen {
                last = x;
            }
            is_seen
        })
        .collect()
}

/// A small shape at one moment; `path` is drawn around the origin.
pub(super) fn mark(time: Time, at: Nanos, y: Px, class: &str, path: &str, title: &str) -> Markup {
    let x = time.x(at);
    html! {
        g class={ "s mark " (class) } data-x=(x) data-y=(y) transform={ "translate(" (x) " " (y) ")" } {
            title { (title) }
            path d=(path) {}
        }
    }
}

/// A line from top to bottom at one moment.
pub(super) fn upright(time: Time, at: Nanos, height: Px, class: &str) -> Markup {
    let x = time.x(at);
    html! { line class=(class) x1=(x) x2=(x) y1="0" y2=(height) {} }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_many_bars_are_drawn_where_they_can_be_told_apart() {
        let time = Time::over(1_000_000);
        let few: Vec<Nanos> = (0..MOST as u64).collect();
        assert_eq!(worth_drawing(time, &few, |&end| end).len(), MOST);
        let many: Vec<Nanos> = (0..1_000_000).collect();
        let drawn = worth_drawing(time, &many, |&end| end);
        assert!((MOST / 2..=MOST + MOST / 10).contains(&drawn.len()), "{}", drawn.len());
    }

    #[test]
    fn a_name_without_room_stands_beside_its_bar() {
        let time = Time::over(1_000_000_000);
        let bar = |from, to, label| Bar {
            from,
            to,
            top: Px(0),
            height: Px(200),
            class: "fault",
            label,
            title: "t",
        };
        let drawn = |bar: Bar<'_>| bar.draw(time).into_string();
        assert!(drawn(bar(0, 900_000_000, Label::Always("cut"))).contains("<text class=\"label fault\""));
        assert!(drawn(bar(0, 1, Label::Always("cut"))).contains("label beside after"));
        assert!(drawn(bar(999_999_999, 1_000_000_000, Label::Always("cut"))).contains("text-anchor=\"end\""));
        assert!(drawn(bar(0, 1, Label::Inside("cut"))).contains("none"));
    }
}

//! `schedulerPending`: for how long pods were Pending, from the snapshot that first showed it to the one that no longer
//! did. A pod that is replaced while it is Pending begins again.

use crate::api::{Nanos, Ordinal, PodPhase, Snapshot};
use crate::judge::judgement::Outage;
use crate::judge::series::{Measure, Window};

/// Times in which pods were Pending.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending {
    spans: Vec<Span>,
    is_known: bool,
}

#[derive(Debug, Clone)]
struct Span {
    ordinal: Ordinal,
    uid: String,
    from: Nanos,
    to: Option<Nanos>,
}

impl Span {
    /// The part of it that counts for a window; it may outlast the window, because it began there.
    fn within(&self, window: Window) -> Option<Window> {
        let from = self.from.max(window.from);
        let to = self.to.unwrap_or(window.to);
        (from < window.to && from < to).then(|| Window::new(from, to))
    }
}

impl Pending {
    pub(super) fn take(&mut self, time: Nanos, snapshot: &Snapshot) {
        self.is_known = true;
        for span in self.spans.iter_mut().filter(|span| span.to.is_none()) {
            let is_still = snapshot
                .pod(span.ordinal)
                .is_some_and(|pod| pod.uid == span.uid && pod.phase == PodPhase::Pending);
            if !is_still {
                span.to = Some(time);
            }
        }
        for pod in snapshot.pods.iter().filter(|pod| pod.phase == PodPhase::Pending) {
            let is_known = |span: &Span| span.uid == pod.uid && span.to.is_none();
            if !self.spans.iter().any(is_known) {
                let (ordinal, uid) = (pod.ordinal, pod.uid.clone());
                self.spans.push(Span { ordinal, uid, from: time, to: None });
            }
        }
    }

    pub(super) fn forget(&mut self, before: Nanos) {
        self.spans.retain(|span| span.to.is_none_or(|to| to >= before));
    }

    fn parts(&self, windows: &[Window]) -> impl Iterator<Item = (&Span, Window)> {
        windows
            .iter()
            .flat_map(|&window| self.spans.iter().filter_map(move |span| Some((span, span.within(window)?))))
    }

    pub(super) fn measure(&self, windows: &[Window]) -> Measure {
        let lengths: Vec<Nanos> = self.parts(windows).map(|(_, part)| part.length()).collect();
        let longest = self.is_known.then(|| lengths.iter().copied().max().unwrap_or(0));
        Measure {
            samples: u64::from(self.is_known) + lengths.len() as u64,
            value: longest,
            lowest: lengths.iter().copied().min().or(longest),
            highest: longest,
            ..Measure::default()
        }
    }

    pub(super) fn outages(&self, windows: &[Window], bad: &dyn Fn(u64) -> bool) -> Vec<Outage> {
        self.parts(windows)
            .filter(|(_, part)| bad(part.length()))
            .map(|(span, part)| Outage {
                from: part.from,
                to: part.to,
                why: format!("the pod of member {} was Pending", span.ordinal),
            })
            .collect()
    }

    pub(super) fn moments(&self, window: Window) -> Vec<Nanos> {
        let ends = self.spans.iter().filter_map(|span| span.to).filter(|&to| window.contains(to));
        let mut moments: Vec<Nanos> = std::iter::once(window.from).chain(ends).collect();
        moments.sort_unstable();
        moments
    }
}

//! One bound against what was measured: a verdict and a sentence.

use std::time::Duration;

use super::judgement::{Finding, Outage, Scope};
use super::limits::{Limits, nanos};
use super::series::{Measure, Window};
use super::signals::{Signals, Whose};
use super::words;
use crate::api::{Nanos, are, counted};
use crate::experiment::{Budget, Sli, Unit, Verdict};

/// A bound and everything that is needed to judge it.
pub(super) struct Bound<'a> {
    pub sli: &'a Sli,
    pub budget: &'a Budget,
    /// What tells good from bad where the budget only bounds outages.
    pub recovered: Option<&'a Budget>,
    /// The SLI's value before the first fault.
    pub baseline: Option<u64>,
    pub scope: Scope,
    pub step: Option<&'a str>,
    pub windows: &'a [Window],
}

impl Bound<'_> {
    /// Judges it. `now` is the moment up to which open operations have waited.
    pub(super) fn judge(&self, signals: &Signals, now: Nanos) -> Finding {
        let measure = signals.measure_of(self.sli, self.whose(), self.windows, now);
        let subject = subject(self.sli);
        let when = self.when();
        let Some(value) = measure.value else {
            let unheard = too_little_known(&measure, self.windows).filter(|_| self.sli.needs_volumes());
            // That nothing is waited for is what a steady state is.
            let is_steady = self.scope == Scope::Before
                && unheard.is_none()
                && signals.waits(self.sli).is_some_and(|waits| waits.is_known);
            let why =
                unheard.or_else(|| signals.obstacle(self.sli)).unwrap_or_else(|| nothing(self.sli).into());
            let verdict = if is_steady { Verdict::Pass } else { Verdict::Inconclusive };
            return self.finding(verdict, format!("{subject}: {why} {when}"));
        };
        if let Some(text) = self.too_few(&measure) {
            return self.finding(Verdict::Inconclusive, format!("{subject}: {text} {when}"));
        }
        let limits = Limits::of(self.sli, self.budget, self.recovered, self.baseline);
        let Ok(limits) = limits else {
            let text = format!("{subject}: nothing was measured before the first fault to compare with");
            return self.finding(Verdict::Inconclusive, text);
        };
        let counts_outages = self.budget.longest_outage.is_some() || self.budget.total_outage.is_some();
        let mut finding = match self.sli.unit() {
            Unit::Condition => self.outages(signals, limits, now),
            Unit::Availability | Unit::Usage | Unit::Rate | Unit::Latency if counts_outages => {
                self.outages(signals, limits, now)
            }
            Unit::Availability | Unit::Rate | Unit::Usage | Unit::Latency | Unit::Events | Unit::Property => {
                if let Some(length) = self.budget.window {
                    self.worst_window(signals, limits, nanos(length), now)
                } else {
                    let value = self.value_of(&measure, limits).unwrap_or(value);
                    self.value(signals, limits, value, self.windows, &when, now)
                }
            }
        };
        if finding.verdict == Verdict::Pass
            && let Some(text) = too_little_known(&measure, self.windows)
        {
            let why = signals.obstacle(self.sli).map(|why| format!(" ({why})")).unwrap_or_default();
            finding = self.finding(Verdict::Inconclusive, format!("{subject}: {text} {when}{why}"));
        }
        if finding.verdict == Verdict::Pass
            && let Some(waits) = signals.waits(self.sli)
            && let Some(open) = waits.undecided(self.windows, now, &|value| !limits.allow(value))
        {
            let waited = words::time(open.to - open.from);
            let text = format!(
                "{subject}: the record ends {waited} into a wait, and nobody knows how long it would have been ({})",
                because(&open)
            );
            finding = self.finding(Verdict::Inconclusive, text);
        }
        finding
    }

    /// The value that the limits are about.
    fn value_of(&self, measure: &Measure, limits: Limits) -> Option<u64> {
        match self.sli.unit() {
            Unit::Rate => worse_end(measure, limits),
            Unit::Availability
            | Unit::Condition
            | Unit::Usage
            | Unit::Latency
            | Unit::Events
            | Unit::Property => measure.value,
        }
    }

    /// That there are too few samples, if so. Writes that provably did not happen have no latency, and are no samples of
    /// one unless there is nothing else.
    fn too_few(&self, measure: &Measure) -> Option<String> {
        let wanted = self.budget.min_samples?;
        let refused = if measure.value == Some(u64::MAX) { 0 } else { measure.refused };
        let there = measure.samples.saturating_sub(measure.not_sampled + refused);
        (there < wanted)
            .then(|| format!("{}, at least {wanted} {} needed,", counted(there, "sample"), are(wanted)))
    }

    /// Judges the worst of all windows of this length. One of which nothing is known may have been worse than all others,
    /// unless one of those is bad enough.
    fn worst_window(&self, signals: &Signals, limits: Limits, length: Nanos, now: Nanos) -> Finding {
        let mut worst: Option<(u64, Window)> = None;
        let mut unknown: Option<String> = None;
        for window in sliding(self.windows, length) {
            let measure = signals.measure_of(self.sli, self.whose(), &[window], now);
            let place =
                || format!("in {} from {} on", words::time(window.length()), words::moment(window.from));
            if let Some(text) = self.too_few(&measure) {
                let text = format!("{}: {text} {} {}", subject(self.sli), place(), self.when());
                return self.finding(Verdict::Inconclusive, text);
            }
            let Some(value) = self.value_of(&measure, limits) else {
                unknown.get_or_insert_with(place);
                continue;
            };
            if worst.is_none_or(|(known, _)| limits.excess(value) > limits.excess(known)) {
                worst = Some((value, window));
            }
        }
        let unknown = unknown.filter(|_| worst.is_none_or(|(value, _)| limits.allow(value)));
        let Some((value, window)) = worst.filter(|_| unknown.is_none()) else {
            let place = unknown.map(|place| format!("{place} ")).unwrap_or_default();
            let text = format!("{}: {} {place}{}", subject(self.sli), nothing(self.sli), self.when());
            return self.finding(Verdict::Inconclusive, text);
        };
        let when = format!(
            "in the worst {}, from {} on, {}",
            words::time(window.length()),
            words::moment(window.from),
            self.when()
        );
        self.value(signals, limits, value, &[window], &when, now)
    }

    fn outages(&self, signals: &Signals, limits: Limits, now: Nanos) -> Finding {
        let outages =
            signals.outages_of(self.sli, self.whose(), self.windows, now, &|value| !limits.allow(value));
        let longest = outages.iter().max_by_key(|outage| outage.to - outage.from);
        let longest_time = longest.map_or(0, |outage| outage.to - outage.from);
        let total: Nanos = outages.iter().map(|outage| outage.to - outage.from).sum();
        let Budget { longest_outage, total_outage, .. } = self.budget;
        let over = |allowed: Option<Duration>, time| allowed.is_some_and(|allowed| time > nanos(allowed));
        let unbounded = longest_outage.is_none() && total_outage.is_none();
        let is_violated =
            over(*longest_outage, longest_time) || over(*total_outage, total) || unbounded && total > 0;
        let bad = self.bad(limits);
        let seen = match longest {
            None => format!("{} {}", self.good(limits), self.when()),
            Some(longest) => {
                let first =
                    format!("{bad} for {} {} ({})", words::time(longest_time), self.when(), because(longest));
                match outages.len() {
                    1 => first,
                    many => format!("{first}, {many} times and {} in all", words::time(total)),
                }
            }
        };
        let allowed = match (longest_outage, total_outage) {
            (None, None) if longest.is_some() => ", allowed not at all".into(),
            (None, None) => String::new(),
            (Some(longest), None) => format!(", allowed {}", words::exactly(nanos(*longest))),
            (None, Some(total)) => format!(", allowed {} in all", words::exactly(nanos(*total))),
            (Some(longest), Some(total)) => format!(
                ", allowed {} at a time and {} in all",
                words::exactly(nanos(*longest)),
                words::exactly(nanos(*total))
            ),
        };
        let text = format!("{}: {seen}{allowed}", subject(self.sli));
        self.finding(self.violated(is_violated), text)
    }

    fn value(
        &self,
        signals: &Signals,
        limits: Limits,
        value: u64,
        windows: &[Window],
        when: &str,
        now: Nanos,
    ) -> Finding {
        let unit = self.sli.unit();
        let shown = words::value(unit, value);
        let subject = subject(self.sli);
        let allowed = match (limits.min, limits.max) {
            (None, None) => String::new(),
            (Some(min), None) => format!(", at least {}", self.bound(min)),
            (None, Some(max)) => format!(", allowed {}", self.bound(max)),
            (Some(min), Some(max)) => format!(", allowed {} to {}", self.bound(min), self.bound(max)),
        };
        let is_violated = !limits.allow(value);
        let because = if is_violated {
            signals
                .outages_of(self.sli, self.whose(), windows, now, &|value| !limits.allow(value))
                .first()
                .map(|outage| format!(" ({})", because(outage)))
                .unwrap_or_default()
        } else {
            String::new()
        };
        let compared = match (self.budget.max_increase, self.baseline) {
            (Some(factor), Some(baseline)) => {
                format!(" ({factor} of {} before)", words::value(unit, baseline))
            }
            (Some(_) | None, _) => String::new(),
        };
        self.finding(
            self.violated(is_violated),
            format!("{subject}: {shown} {when}{because}{allowed}{compared}"),
        )
    }

    /// Where the steady state does not hold before anything is broken, nothing can be said about the fault.
    fn violated(&self, is_violated: bool) -> Verdict {
        match (is_violated, self.scope) {
            (false, _) => Verdict::Pass,
            (true, Scope::Before) => Verdict::Inconclusive,
            (true, Scope::During | Scope::Recovery | Scope::After | Scope::Always) => Verdict::Fail,
        }
    }

    fn whose(&self) -> Whose {
        if self.budget.exclude_faulted { Whose::Unfaulted } else { Whose::Everybody }
    }

    fn finding(&self, verdict: Verdict, sentence: String) -> Finding {
        Finding {
            scope: self.scope,
            step: self.step.map(ToOwned::to_owned),
            excludes_faulted: self.budget.exclude_faulted,
            verdict,
            sentence,
        }
    }

    fn when(&self) -> String {
        let whose = match self.whose() {
            Whose::Everybody => "",
            Whose::Unfaulted => "of members that no fault had, ",
        };
        format!("{whose}{}", self.phase())
    }

    fn phase(&self) -> String {
        match (self.scope, self.step) {
            (Scope::Before, _) => "before the first fault".into(),
            (Scope::During, None) => "while faults were there".into(),
            (Scope::During, Some(step)) => format!("during {step}"),
            (Scope::Recovery, _) => "after the last revert".into(),
            (Scope::After, _) => "after recovery".into(),
            (Scope::Always, _) => "over the whole run".into(),
        }
    }

    fn bad(&self, limits: Limits) -> String {
        match (self.sli.unit(), limits.min, limits.max) {
            (Unit::Condition, _, _) => "lost".into(),
            (_, Some(min), None) => format!("below {}", self.bound(min)),
            (_, None, Some(max)) => format!("above {}", self.bound(max)),
            (_, None, None) => "unreachable".into(),
            (_, Some(min), Some(max)) => format!("outside {} to {}", self.bound(min), self.bound(max)),
        }
    }

    /// A limit in words. One that follows from the baseline has no more digits than that was measured with.
    fn bound(&self, limit: u64) -> String {
        let unit = self.sli.unit();
        if self.budget.max_increase.is_some() || self.recovered.is_some_and(|it| it.max_increase.is_some()) {
            words::value(unit, limit)
        } else {
            words::bound(unit, limit)
        }
    }

    fn good(&self, limits: Limits) -> String {
        match self.sli.unit() {
            Unit::Condition => "held without a break".into(),
            Unit::Availability | Unit::Usage | Unit::Rate | Unit::Latency | Unit::Events | Unit::Property => {
                format!("never {}", self.bad(limits))
            }
        }
    }
}

/// The most windows that are looked at: those of a night, a tenth of a second apart. A record of a hundred years is one that no
/// run made, and must not take for ever.
const MOST_WINDOWS: u64 = 400_000;

/// Every window of this length in some times, a tenth of it apart, and the last one of each; all of a time that is shorter.
fn sliding(times: &[Window], length: Nanos) -> impl Iterator<Item = Window> {
    times.iter().filter(|time| time.length() > 0).flat_map(move |&time| {
        let last = time.to.saturating_sub(length).max(time.from);
        let step = (length / 10).max(time.length() / MOST_WINDOWS).max(1);
        let starts = (0..).map(move |n: u64| time.from.saturating_add(n.saturating_mul(step)));
        let inside = starts.take_while(move |&from| from < last).chain([last]);
        inside.map(move |from| Window::new(from, from.saturating_add(length).min(time.to)))
    })
}

/// Of what is too low at one end and too high at the other: the end that is out, or the one that is bounded.
fn worse_end(measure: &Measure, limits: Limits) -> Option<u64> {
    let is_too_low = measure.lowest.zip(limits.min).is_some_and(|(lowest, min)| lowest < min);
    if is_too_low || limits.max.is_none() { measure.lowest } else { measure.highest }
}

/// More than a tenth of a time without samples of ours leaves room for anything.
fn too_little_known(measure: &Measure, windows: &[Window]) -> Option<String> {
    let length: Nanos = windows.iter().map(|window| window.length()).sum();
    let many = measure.not_sampled.saturating_mul(10) > measure.samples;
    (measure.unknown_time.saturating_mul(10) > length || many)
        .then(|| format!("not sampled for {} of {}", words::time(measure.unknown_time), words::time(length)))
}

fn because(outage: &Outage) -> String {
    let from = words::moment(outage.from);
    if outage.why.is_empty() { format!("from {from}") } else { format!("at {from}: {}", outage.why) }
}

/// Why there is no value.
fn nothing(sli: &Sli) -> &'static str {
    match sli {
        Sli::AttachSuccess {} | Sli::AttachLatency {} => "no volume had to be attached",
        Sli::SnapshotSuccess {} => "no snapshot was to be taken",
        Sli::RestoreTime {} => "no snapshot was to be restored",
        _ => "nothing was measured",
    }
}

/// An SLI in sentences: `commitLatency p99`.
pub(super) fn subject(sli: &Sli) -> String {
    match sli {
        Sli::CommitLatency { quantile } => {
            let thousandths = quantile.thousandths();
            match (thousandths / 10, thousandths % 10) {
                (percent, 0) => format!("commitLatency p{percent}"),
                (percent, tenth) => format!("commitLatency p{percent}.{tenth}"),
            }
        }
        Sli::PodAvailability {}
        | Sli::Quorum {}
        | Sli::LeaderElections {}
        | Sli::ReplicationLag {}
        | Sli::SchedulerPending {}
        | Sli::RolloutSuccess {}
        | Sli::AttachSuccess {}
        | Sli::AttachLatency {}
        | Sli::ClaimsReclaimed {}
        | Sli::SnapshotSuccess {}
        | Sli::RestoreTime {}
        | Sli::DiskUsage { .. }
        | Sli::VolumeIops { .. }
        | Sli::ApiErrors {}
        | Sli::Durability {}
        | Sli::Linearizability {} => sli.name().into(),
    }
}

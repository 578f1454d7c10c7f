//! A plan as text, at most 80 columns wide.

use std::collections::BTreeSet;
use std::fmt;

use super::preview::{Plan, Planned};
use crate::api::Ordinal;
use crate::experiment::duration;
use crate::fault::Damage;

/// The widest line.
const WIDTH: usize = 80;

/// The narrowest column of times.
const TIMES: usize = 18;

/// The most occurrences that are listed one by one.
const MOST_LISTED: usize = 24;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(
            f,
            "plan       ",
            &format!(
                "{} on {}, {} replica{}, seed {}",
                self.experiment,
                self.target,
                self.replicas,
                if self.replicas == 1 { "" } else { "s" },
                self.seed
            ),
        )?;
        for note in &self.notes {
            line(f, "note       ", note)?;
        }
        writeln!(f, "\ntimeline, from the end of the baseline")?;
        if self.occurrences.is_empty() {
            writeln!(f, "  nothing is broken")?;
        }
        let set = self.target.rsplit('/').next().unwrap_or_default();
        let listed = &self.occurrences[..self.occurrences.len().min(MOST_LISTED)];
        let widest = listed.iter().map(|planned| when(planned).len()).max().unwrap_or(0).max(TIMES);
        for planned in listed {
            occurrence(f, planned.set.as_deref().unwrap_or(set), planned, widest)?;
        }
        if let Some(more) = self.occurrences.len().checked_sub(MOST_LISTED).filter(|&more| more > 0) {
            let end = duration::format(self.faults_end);
            line(
                f,
                "  … ",
                &format!("and {more} more, which --output json lists; the last one ends at +{end}"),
            )?;
        }
        writeln!(f, "\nmust hold")?;
        for claim in &self.claims {
            line(f, "  - ", claim)?;
        }
        writeln!(f, "\nin force")?;
        let widest = self.settings.iter().map(|(field, _)| field.len()).max().unwrap_or(0);
        for (field, value) in &self.settings {
            line(f, &format!("  {field:widest$}  "), value)?;
        }
        if !self.refusals.is_empty() {
            writeln!(f, "\nrefused")?;
            for refusal in &self.refusals {
                line(f, "  - ", refusal)?;
            }
        }
        Ok(())
    }
}

/// When it happens: from the end of the baseline, or from the moment at which what it waits for is so.
fn when(planned: &Planned) -> String {
    let (start, end) = (duration::format(planned.start), duration::format(planned.end));
    let time = if planned.stays {
        format!("+{start} to the end")
    } else if start == end {
        format!("+{start}")
    } else {
        format!("+{start} to +{end}")
    };
    match planned.when {
        Some(_) if planned.stays && planned.start.is_zero() => "when, to the end".into(),
        Some(_) if planned.end.is_zero() => "when".into(),
        Some(_) => format!("when, {time}"),
        None => time,
    }
}

/// One occurrence: when and what, then whom, what is lost, and the guard's word. Times have a column of this width.
fn occurrence(f: &mut fmt::Formatter<'_>, set: &str, planned: &Planned, widest: usize) -> fmt::Result {
    let when = when(planned);
    let indent = " ".repeat(widest + 3);
    let which = match planned.times {
        1 => String::new(),
        times => format!(", {} of {times}", planned.occurrence + 1),
    };
    let follow = if planned.follow { ", follows re-created pods" } else { "" };
    line(f, &format!("  {when:<widest$} "), &format!("{} ({}{which}{follow})", planned.step, planned.fault))?;

    if let Some(when) = &planned.when {
        line(f, &format!("{indent}when   "), when)?;
    }
    match &planned.hits {
        Ok(hits) if hits.is_empty() => line(f, &format!("{indent}hits   "), &format!("{set} as a whole"))?,
        Ok(hits) => line(f, &format!("{indent}hits   "), &names(set, hits))?,
        Err(why) => line(f, &format!("{indent}hits   "), &format!("nobody: {why}"))?,
    }
    let losses = losses(set, &planned.damage);
    if !losses.is_empty() {
        line(f, &format!("{indent}takes  "), &losses)?;
    }
    if let Some(guard) = &planned.guard {
        let word = if guard.holds { "holds" } else { "breaks" };
        line(f, &format!("{indent}quorum "), &format!("{word}: {}", guard.arithmetic))?;
    }
    Ok(())
}

/// What the group loses: members, and links by pair.
fn losses(set: &str, damage: &Damage) -> String {
    let mut parts = Vec::new();
    if !damage.down.is_empty() {
        parts.push(format!("{} down", names(set, &damage.down)));
    }
    if damage.rolling > 0 {
        parts.push(format!("{} at a time", damage.rolling));
    }
    let mut pairs = Vec::new();
    for &(from, to) in &damage.cut {
        let both = damage.cut.contains(&(to, from));
        if both && from < to {
            pairs.push(format!("{from}↔{to}"));
        } else if !both {
            pairs.push(format!("{from}→{to}"));
        }
    }
    if !pairs.is_empty() {
        parts.push(format!("links between ordinals {}", pairs.join(" ")));
    }
    parts.join("; ")
}

fn names(set: &str, ordinals: &BTreeSet<Ordinal>) -> String {
    let names: Vec<_> = ordinals.iter().map(|ordinal| format!("{set}-{ordinal}")).collect();
    names.join(", ")
}

/// `head`, then `text` broken between words so that it stays in its column.
fn line(f: &mut fmt::Formatter<'_>, head: &str, text: &str) -> fmt::Result {
    let indent = head.chars().count();
    let mut column = indent;
    write!(f, "{head}")?;
    for (place, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if place > 0 {
            if column + 1 + length > WIDTH {
                write!(f, "\n{:indent$}", "")?;
                column = indent;
            } else {
                f.write_str(" ")?;
                column += 1;
            }
        }
        f.write_str(word)?;
        column += length;
    }
    writeln!(f)
}

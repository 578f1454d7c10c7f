//! Where a step says what it does: itself, or one of its alternatives.

use super::at;
use crate::experiment::{Alternative, Experiment, Step, Work};
use crate::yaml::tree::Segment;

/// Something that a step does or may do.
pub(super) struct Deed<'a> {
    /// The place of the step in the experiment.
    pub(super) index: usize,
    pub(super) step: &'a Step,
    pub(super) what: &'a Alternative,
    /// The place of the alternative where there is a choice.
    alternative: Option<usize>,
}

/// Everything that the steps do or may do.
pub(super) fn deeds(experiment: &Experiment) -> impl Iterator<Item = Deed<'_>> {
    experiment.steps.iter().enumerate().flat_map(|(index, step)| {
        let all = step.alternatives().iter().enumerate();
        all.map(move |(place, what)| Deed {
            index,
            step,
            what,
            alternative: step.has_choice().then_some(place),
        })
    })
}

impl<'a> Deed<'a> {
    pub(super) fn work(&self) -> &'a Work {
        &self.what.work
    }

    /// `spec.steps[1].fault…`, or `spec.steps[1].oneOf[0].fault…`.
    pub(super) fn at(&self, fields: &[&str]) -> Vec<Segment> {
        let field = match self.what.work {
            Work::Fault(_) => "fault",
            Work::Action(_) => "action",
        };
        let mut path = match self.alternative {
            None => at("steps", self.index, &[]),
            Some(place) => {
                let mut path = at("steps", self.index, &["oneOf"]);
                path.push(Segment::Item(place));
                path
            }
        };
        path.extend([field].iter().chain(fields).map(|key| Segment::Key((*key).into())));
        path
    }
}

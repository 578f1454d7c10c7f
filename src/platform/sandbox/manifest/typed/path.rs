//! Where a value is, in words.

use std::fmt;

/// The way from the root to a value, written only where there is something to say.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    pub above: Option<&'a Path<'a>>,
    pub step: Step<'a>,
}

#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Root,
    Field(&'a str),
    Item(usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(formatter)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Item(index) => write!(formatter, "[{index}]"),
            Step::Field(name) if self.above.is_none_or(|above| matches!(above.step, Step::Root)) => {
                formatter.write_str(name)
            }
            Step::Field(name) => write!(formatter, ".{name}"),
        }
    }
}

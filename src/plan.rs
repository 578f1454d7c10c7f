//! Who is hit, when, or why not. Pure: the answer depends on nothing but the arguments.
//!
//! - [`select`] turns a selection into ordinals, from a view of the target and the run's seed,
//! - [`draw`] chooses what an occurrence does, from the seed alone,
//! - [`guard`] says whether the voters that are left can still follow one leader,
//! - [`preview`] lays out a whole experiment in time, as `seatrial plan` shows it.
//!
//! A plan is a preview. The engine selects and guards again, on a fresh view, right before each injection; the same
//! seed and the same view give the same choice in both.

pub mod draw;
pub mod guard;
mod losses;
mod preview;
pub mod select;
mod settings;
mod text;
mod timeline;

pub use guard::{Ruling, Standing, Writes};
pub use losses::{Which, losses};
pub use preview::{Plan, Planned, preview};
pub use select::{Choice, View};

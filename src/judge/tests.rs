//! The judge on hand-made records: each SLI seen green and red, and a good record that is fooled with.

mod budgets;
mod disks;
mod elsewhere;
mod fooling;
mod proofs;
mod slis;
pub(crate) mod story;

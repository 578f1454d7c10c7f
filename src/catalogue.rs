//! What can be written in an experiment: faults, SLIs and stores, each with its parameters and an example.
//!
//! Nothing here is a list of its own. Names, parameters, defaults and meanings are those of the types that files are read
//! into, by the schemas and the documentation that they have anyway, so that a new fault is in the catalogue once it is
//! in the list in [`crate::fault`]. Every example is read by [`crate::spec`] in a test.

mod entry;
mod example;
mod fault;
mod parameter;
mod prose;
mod sli;
mod store;
mod text;

#[cfg(test)]
mod tests;

pub use entry::{Catalogue, Entry, Fact, Place};
pub use example::kebab as step_name;
pub use parameter::{Choice, Parameter};
pub use sli::names as sli_names;
pub use store::names as store_names;

/// Every fault, in the order of the list.
pub fn faults() -> Catalogue {
    Catalogue { command: "faults", entries: fault::entries() }
}

/// Every SLI.
pub fn slis() -> Catalogue {
    Catalogue { command: "slis", entries: sli::entries() }
}

/// Every store.
pub fn stores() -> Catalogue {
    Catalogue { command: "stores", entries: store::entries() }
}

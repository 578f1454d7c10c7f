//! YAML as trees of values that know their places, for everything that reads what a person wrote.
//!
//! Guarantees: time, memory and depth are bounded whatever the text is; a key that is there twice is an error; numbers
//! keep their value; every value and every key knows its line and column.

mod nearest;
mod read;
pub mod tree;

pub use nearest::nearest;
pub use read::Unreadable;
pub use tree::{Node, Place, Value};

//! `seatrial schema`: what documents look like, for editors and programs.

use super::args::{Documented, Schema};
use super::console;
use super::exit::Exit;

/// `seatrial schema [experiment|report]`
pub(super) fn schema(args: &Schema) -> Exit {
    let schema = match args.of {
        Documented::Experiment => crate::spec::schema::experiment(),
        Documented::Report => crate::report::schema::report(),
    };
    match serde_json::to_string_pretty(&schema) {
        Ok(text) => {
            console::data(text + "\n");
            Exit::Pass
        }
        Err(error) => console::failure(&error, Exit::Unexpected),
    }
}

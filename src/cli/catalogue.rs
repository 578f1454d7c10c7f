//! `seatrial faults`, `seatrial slis` and `seatrial stores`: what can be written in an experiment.

use super::args::{Faults, Format, Slis, Stores};
use super::console;
use super::exit::Exit;
use crate::catalogue::{self, Catalogue};

/// `seatrial faults [NAME]`
pub(super) fn faults(args: &Faults) -> Exit {
    tell(&catalogue::faults(), args.name.as_deref(), args.output)
}

/// `seatrial slis [NAME]`
pub(super) fn slis(args: &Slis) -> Exit {
    tell(&catalogue::slis(), args.name.as_deref(), args.output)
}

/// `seatrial stores [NAME]`
pub(super) fn stores(args: &Stores) -> Exit {
    tell(&catalogue::stores(), args.name.as_deref(), args.output)
}

/// One of it, or all. Names were checked with the other arguments.
fn tell(catalogue: &Catalogue, name: Option<&str>, format: Format) -> Exit {
    let told = match name.and_then(|name| catalogue.find(name)) {
        Some(entry) => console::formatted(entry, format),
        None => console::formatted(catalogue, format),
    };
    match told {
        Ok(()) if name.is_none() && format == Format::Text => {
            console::hint(format_args!(
                "seatrial {} NAME tells everything about one of them",
                catalogue.command
            ));
            Exit::Pass
        }
        Ok(()) => Exit::Pass,
        Err(exit) => exit,
    }
}

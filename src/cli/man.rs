//! `seatrial man`: the manual, made from what the commands say of themselves.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;

use super::args::{Cli, Man};
use super::console;
use super::exit::Exit;

/// `seatrial man [DIR]`
pub(super) fn man(args: &Man) -> Exit {
    let told = if let Some(folder) = &args.folder {
        pages(folder).map_err(|error| format!("cannot write to {}: {error}", folder.display()))
    } else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
        rendered.map(|()| console::data(String::from_utf8_lossy(&page))).map_err(|error| error.to_string())
    };
    match told {
        Ok(()) => Exit::Pass,
        Err(why) => console::error(why, Exit::Unexpected),
    }
}

/// A page for each command that people type.
fn pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}

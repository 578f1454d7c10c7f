//! Opens what device mapper is asked by, also from inside a container.

use std::fs::File;
use std::io;
use std::path::Path;

use super::Control;
use crate::host::cgroup::hierarchies::Hierarchies;
use crate::host::process::outside::open_outside;

/// Where it is: here, or where process 1 has it.
const PLACES: [&str; 2] = ["/dev/mapper/control", "/proc/1/root/dev/mapper/control"];

/// The program that is running, which knows the hidden subcommands.
const OURSELVES: &str = "/proc/self/exe";

impl Control {
    /// Opens it; `NotFound` where the kernel has no device mapper.
    pub fn open() -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for place in PLACES.map(Path::new) {
            match File::options().read(true).write(true).open(place) {
                Ok(control) => return Ok(Self(control)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // A container may open no devices but its own.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let hierarchies = Hierarchies::of_the_machine()?;
                    return open_outside(Path::new(OURSELVES), place, &hierarchies).map(Self::from);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

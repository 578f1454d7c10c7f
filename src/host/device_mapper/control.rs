//! Opens what device mapper is asked by, also from inside a container.

use std::io;
use std::path::Path;

use super::Control;
use crate::host::mount::Access;
use crate::host::process::outside::open_device;

impl Control {
    /// Opens it; `NotFound` where the kernel has no device mapper.
    pub fn open() -> io::Result<Self> {
        open_device(Path::new("mapper/control"), Access::ReadWrite).map(Self)
    }
}

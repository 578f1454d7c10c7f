//! The only home of unsafe code, system calls and child processes.

pub mod freezer;
pub mod nftables;
pub mod process;
pub mod shutdown;

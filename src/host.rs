//! The only home of unsafe code, system calls and child processes.

pub mod block_device;
pub mod capabilities;
pub mod cgroup;
pub mod device_mapper;
pub mod forgetful;
pub mod freeze;
pub mod freezer;
pub mod gate;
pub mod inodes;
pub mod load;
pub mod loop_device;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod network_namespace;
pub mod nftables;
pub mod process;
pub mod room;
pub mod shutdown;
pub mod signals;
pub mod tally;
pub mod throttle;
pub mod tracer;
pub mod traffic_control;
pub mod user_namespace;
pub mod volume;

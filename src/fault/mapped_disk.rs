//! What device mapper does to a volume for `diskLatency` (driver `dmDelay`) and `diskError` (driver `dmError`).
//!
//! Changes: the live table of the volume's device. Where it was linear, each segment becomes a `delay` or a `flakey` target
//! over the same sectors of the same device (Documentation/admin-guide/device-mapper of Linux), in one step and under the
//! running process. Undone: by the table that was there before, which lets everything that is held go on at once; a table that
//! somebody else has put there meanwhile is theirs and stays. Left if the agent dies: nothing after the deadline; two
//! guardians put the table back then, when the pod has ended, or when one of them is left alone. A container that ends, as of
//! an error, is started again on the same device. Needs: CAP_SYS_ADMIN, `/dev/mapper/control`, the target's module (dm-delay
//! or dm-flakey), and volumes that are ext4 or xfs filesystems of their own, which nobody else uses, on linear mappings such as
//! LVM makes; no thin, encrypted or mirrored ones. In a container that keeps devices from its processes it needs CAP_SYS_PTRACE,
//! to have them opened outside of it, and for syncs that are tried on volumes of other users CAP_DAC_OVERRIDE. Proof: the live table read back, once a request that it delays has taken as long as asked, or one that it fails has
//! been completed; where reads fail, once a read of the device itself has.
//!
//! It is about requests to the device and not about calls: what memory answers is never held, and a call that comes to
//! several requests is held several times. `sync` is the flushes of the device's cache, which end every sync; `write` is what
//! is written, whoever wrote it and when the kernel writes it out. So io_uring, libaio and memory maps are slow, too. A
//! delay is a whole number of milliseconds and ends with a tick of the kernel's clock, up to 10 ms late. Until it is seen for
//! the first time, a delay of flushes is looked for by syncing a new file without a name, which makes durable what was not
//! yet, and a failing read by reading the last block of the device, past all caches.
//!
//! An error is always EIO, and lasts: what is being written then is dropped by the kernel, and a filesystem that cannot
//! write its journal makes itself read-only (xfs: shuts down) until it is mounted anew, whatever the table is by then.

pub mod host;

//! What fanotify does to a volume for `diskLatency` and `diskError` (driver `fanotify`).
//!
//! Changes: nothing on disk. The volume's filesystem is marked, so that the kernel asks a process of ours before each read and
//! write of a file that is opened from then on; it answers those of the member's processes late, or with the error, and
//! everybody else's at once. Undone: that process ends. Left if everything of ours dies: nothing, the kernel lets everybody
//! go on at once. Needs: Linux 6.14 or later with CONFIG_FANOTIFY_ACCESS_PERMISSIONS, CAP_SYS_ADMIN, and volumes that are
//! ext4 or xfs filesystems of their own which nobody else uses. Proof: reads and writes that were held, for how long, and how
//! late the process of ours was, or that were refused.
//!
//! Files that were open before are not seen: a store that opens its files once at its start is not slowed down, and then the
//! fault is not proven. Syncs are not seen either. Reads and writes together are all that there is, also by io_uring, libaio
//! and memory maps; where only one of both is meant, those three pass, a process that has io_uring or libaio open is refused,
//! and the proof ends with an io_uring that is opened later (a libaio that is, is not noticed). A copy that the kernel makes
//! (sendfile, splice, copy_file_range) is a read of one file and a write of the other. An error is EIO or ENOSPC. Other calls
//! of the member's processes cost nothing.

pub mod host;

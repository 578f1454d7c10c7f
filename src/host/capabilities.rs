//! What root may still do in a container (capabilities(7)).

use std::collections::BTreeSet;
use std::io;

use nix::libc;

/// Capabilities by name, as manifests write them, and number (`linux/capability.h`), which a container may be given.
const KNOWN: [(&str, u8); 19] = [
    ("CHOWN", 0),
    ("DAC_OVERRIDE", 1),
    ("FOWNER", 3),
    ("FSETID", 4),
    ("KILL", 5),
    ("SETGID", 6),
    ("SETUID", 7),
    ("SETPCAP", 8),
    ("NET_BIND_SERVICE", 10),
    ("NET_ADMIN", 12),
    ("NET_RAW", 13),
    ("IPC_LOCK", 14),
    ("SYS_CHROOT", 18),
    ("SYS_PTRACE", 19),
    ("SYS_NICE", 23),
    ("SYS_RESOURCE", 24),
    ("MKNOD", 27),
    ("AUDIT_WRITE", 29),
    ("SETFCAP", 31),
];

/// Those that container runtimes leave to root.
const USUAL: [u8; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

/// What root has in a container of which nothing else is said.
pub fn usual() -> BTreeSet<u8> {
    USUAL.into()
}

/// The capability of this name, with or without `CAP_`, in letters of either size, if a container may have it: one of its
/// own namespaces and its own processes, and none over the machine.
pub fn grantable(name: &str) -> Option<u8> {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// Takes every other capability than these out of the bounding set, so that the next execve(2) loses it for good.
pub fn drop_for_container(kept: &BTreeSet<u8>) -> io::Result<()> {
    for capability in 0..64_u8 {
        if kept.contains(&capability) {
            continue;
        }
        // SAFETY: prctl(2) with plain numbers; it answers EINVAL past the last capability of this kernel.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) } < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{grantable, usual};

    #[test]
    fn names_what_a_container_may_have() {
        assert_eq!((grantable("IPC_LOCK"), grantable("CAP_CHOWN")), (Some(14), Some(0)));
        assert_eq!((grantable("net_raw"), grantable("SYS_ADMIN"), grantable("")), (Some(13), None, None));
        assert!(usual().contains(&10) && !usual().contains(&12));
    }
}

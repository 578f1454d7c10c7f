//! What root may still do in a container (capabilities(7)).

use std::io;

use nix::libc;

/// The capabilities that container runtimes leave to root, by number (`linux/capability.h`): chown, dac_override,
/// fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap.
const KEPT: [libc::c_ulong; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

/// Takes every other capability out of the bounding set, so that the next execve(2) loses it for good.
pub fn drop_for_container() -> io::Result<()> {
    for capability in 0..64 {
        if KEPT.contains(&capability) {
            continue;
        }
        // SAFETY: prctl(2) with plain numbers; it answers EINVAL past the last capability of this kernel.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

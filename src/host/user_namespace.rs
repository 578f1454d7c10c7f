//! Being root in a user namespace (user_namespaces(7)) when one is not root outside.

use std::ffi::CString;
use std::fs;

use nix::libc;
use nix::unistd::{getegid, geteuid};

/// Maps root inside to the caller outside; the only map that needs no privilege.
pub struct IdentityMap {
    uid: CString,
    gid: CString,
}

impl IdentityMap {
    /// For the calling user.
    pub fn of_caller() -> Self {
        let line = |id: u32| CString::new(format!("0 {id} 1")).expect("digits hold no zero byte");
        Self { uid: line(geteuid().as_raw()), gid: line(getegid().as_raw()) }
    }

    /// Writes the maps of the calling process; only system calls, for use between clone and exec. A group map needs
    /// `setgroups` denied first.
    pub(super) fn write_own(&self) -> bool {
        write_file(c"/proc/self/setgroups", b"deny")
            && write_file(c"/proc/self/uid_map", self.uid.to_bytes())
            && write_file(c"/proc/self/gid_map", self.gid.to_bytes())
    }
}

fn write_file(path: &std::ffi::CStr, content: &[u8]) -> bool {
    // SAFETY: plain system calls on valid pointers with their true length.
    unsafe {
        let descriptor = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if descriptor < 0 {
            return false;
        }
        let written = libc::write(descriptor, content.as_ptr().cast(), content.len());
        libc::close(descriptor);
        usize::try_from(written) == Ok(content.len())
    }
}

/// Whether the caller is root of the machine, and not just of a user namespace, where devices stay out of reach.
pub fn is_root_of_machine() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    // Only the first user namespace maps every user there is (user_namespaces(7)).
    geteuid().is_root() && map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Why an ordinary user may not have namespaces here and what to do about it, as far as the kernel's switches say.
pub fn obstacles() -> Vec<String> {
    let switches = [
        ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (or an AppArmor profile that allows `userns`)",
        ),
    ];
    switches
        .into_iter()
        .filter(|(path, forbids, _)| {
            fs::read_to_string(format!("/proc/sys/{path}")).is_ok_and(|value| value.trim() == *forbids)
        })
        .map(|(path, forbids, remedy)| format!("{} is {forbids}: {remedy}", path.replace('/', ".")))
        .collect()
}

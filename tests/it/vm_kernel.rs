//! The machine has what it is for, and each works by its effect.

use crate::vm::inside;

#[test]
fn the_machine_is_not_this_one() {
    let here = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("readable");
    println!("{here}");
    inside("vm_kernel::the_machine_is_not_this_one", || {
        std::process::Command::new("sh").arg("-c").arg("mount; lsmod; cat /sys/fs/cgroup/cgroup.controllers; free; cat /proc/cmdline; cat /proc/uptime; unshare -m sh -c 'mkdir /tmp/r; mount -t tmpfs x /tmp/r; mkdir /tmp/r/old; cp /bin/busybox /tmp/r; cd /tmp/r; pivot_root . old && ./busybox ls /'").status().unwrap();
    });
}

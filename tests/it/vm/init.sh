#!/bin/sh
# The first process of the virtual machine: prepares it, then runs what it is asked for on the second serial line.

# The kernel lets nobody leave the filesystem that it unpacks its archive to (pivot_root(2)), which sandboxes do: it is
# bound to itself, and that mount becomes the root.
if [ "$1" != bound ]; then
  /bin/busybox mount --bind / /root
  cd /root
  /bin/busybox mount --move . /
  exec /bin/busybox chroot . /init bound
fi
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root SEATRIAL_TEST_IN_VM=1
# There is no udev to make nodes of mapped devices.
export DM_DISABLE_UDEV=1
/bin/busybox --install -s /bin
# A container gets files of its own in /etc, which every Linux has.
mkdir -p /dev /proc /sys /tmp /run /etc
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
echo "+cpu +io +memory +pids" > /sys/fs/cgroup/cgroup.subtree_control
while read -r module; do insmod "$module"; done < /modules
ip link set lo up

stty -F /dev/ttyS1 raw -echo
exec 3<> /dev/ttyS1
echo ready >&3
while read -r mark arguments <&3; do
  # They are words without spaces.
  /bin/it $arguments < /dev/null >&3 2>&1 3>&-
  status=$?
  printf '\n%s %s\n' "$mark" "$status" >&3
done
poweroff -f

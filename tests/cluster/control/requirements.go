package control

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"seatrial.dev/tests/cluster/node"
)

// packages tells which Debian or Ubuntu package a program comes from.
var packages = []struct{ program, pkg string }{
	{"containerd", "containerd"},
	{"ctr", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"runc", "runc"},
	{"nft", "nftables"},
	{"etcd", "etcd-server"},
	{"etcdctl", "etcd-client"},
	{"busybox", "busybox-static"},
	{"mkfs.ext4", "e2fsprogs"},
	{"resize2fs", "e2fsprogs"},
	{"umount", "mount"},
}

// checkMachine says what is missing, all programs in one error.
func checkMachine(dir string, nodes int) error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster needs root, for namespaces, links and mounts: run this as root or through sudo")
	}
	var missing []string
	for _, needed := range packages {
		if _, err := exec.LookPath(needed.program); err != nil && !slices.Contains(missing, needed.pkg) {
			missing = append(missing, needed.pkg)
		}
	}
	if !slices.ContainsFunc(node.CNIFolders, func(folder string) bool {
		_, err := os.Stat(filepath.Join(folder, "ptp"))
		return err == nil
	}) {
		missing = append(missing, "containernetworking-plugins")
	}
	if len(missing) > 0 {
		return fmt.Errorf("programs are missing: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return errors.New("there are no loop devices (/dev/loop-control): modprobe loop, or give this container the machine's /dev")
	}
	var stats unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(dir), &stats); err == nil && stats.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return fmt.Errorf("%s is on an overlay, which can hold no other: name a --dir on a volume, a tmpfs or the machine's disk", dir)
	}
	return checkWatches(inotifyPerNode*nodes + inotifyOutside)
}

// Kubelet does not start without its inotify instances, of which a user has 128 on many machines (inotify(7)).
const (
	inotifyPerNode = 8
	inotifyOutside = 1
)

func checkWatches(needed int) error {
	var held []int
	defer func() {
		for _, descriptor := range held {
			_ = unix.Close(descriptor)
		}
	}()
	for range needed {
		descriptor, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			return fmt.Errorf("this machine has only %d of %d inotify instances left (%w): `sysctl -w fs.inotify.max_user_instances=1024`, "+
				"or `down` another cluster", len(held), needed, err)
		}
		held = append(held, descriptor)
	}
	return nil
}

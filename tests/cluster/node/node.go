// Package node is the first process of a node: it lives in mount, pid, network, uts, ipc and cgroup namespaces of its
// own, makes them look like a machine, and runs containerd, kubelet, kube-proxy and the storage plugin there.
//
// Its death is a power cut: the kernel kills everything in its pid namespace at once, and its mounts and links go with
// the last of them. What is on its disk (containerd's store, kubelet's folder, its root's changes) stays for the next
// start; what a machine keeps in memory (/run, /tmp) does not.
package node

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"seatrial.dev/tests/cluster/cgroup"
	"seatrial.dev/tests/cluster/layout"
	"seatrial.dev/tests/cluster/process"
)

// MachineNetwork is the descriptor, inherited, of the network namespace of the machine.
const MachineNetwork = 3

// Run is a node from its first instruction on. The caller has been cloned into new namespaces, all but the cgroup's.
func Run(dir, name string) error {
	cluster, err := layout.Load(dir)
	if err != nil {
		return err
	}
	if err := process.RecordSelf(cluster.Record(name)); err != nil {
		return fmt.Errorf("recording this process: %w", err)
	}
	if err := cgroup.Join(cluster.Cgroup() + "/" + name); err != nil {
		return err
	}
	// The namespace's root becomes the group that this process is in, but unshare(2) does it for one thread. The thread
	// that calls execve(2) is the one that stays.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("making a cgroup namespace: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	return syscall.Exec(self, []string{self, "node-boot", "--dir", dir, name}, os.Environ())
}

// Boot is the second half of Run, in all the namespaces.
func Boot(dir, name string) error {
	cluster, err := layout.Load(dir)
	if err != nil {
		return err
	}
	number, err := cluster.Node(name)
	if err != nil {
		return err
	}
	// What follows is one machine, made in order: its disk, its name, its link, its programs.
	if err := makeRoot(cluster, name); err != nil {
		return err
	}
	if err := makeIdentity(cluster, number); err != nil {
		return err
	}
	if err := makeNetwork(cluster, number); err != nil {
		return err
	}
	return runPrograms(cluster, number)
}

package node

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"seatrial.dev/tests/cluster/cgroup"
	"seatrial.dev/tests/cluster/layout"
)

// Where a node finds, inside its root, what the cluster gives it.
const (
	given       = "/run/seatrial"
	programs    = "/usr/local/bin"
	certs       = given + "/pki"
	images      = given + "/images"
	logs        = given + "/log"
	disk        = given + "/disk"
	containerds = "/run/containerd/containerd.sock"
)

// makeRoot gives the node a root of its own: this machine's files below, the node's changes above, and the folders that
// have to be on a real file system beside it. Nothing that a node writes reaches the machine's own files.
func makeRoot(cluster layout.Cluster, name string) error {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	hierarchies, err := cgroup.Hierarchies()
	if err != nil {
		return err
	}
	folder := func(part string) string { return cluster.Path("nodes", name, part) }
	for _, part := range []string{"upper", "work", "root", "containerd", "kubelet", "disk"} {
		if err := os.MkdirAll(folder(part), 0o755); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(cluster.Path("log", name), 0o755); err != nil {
		return err
	}
	root := folder("root")
	plan := mounts{root: root}
	plan.do("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	plan.do("overlay", root, "overlay", 0, fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", folder("upper"), folder("work")))
	plan.fresh("proc", "/proc", "")
	plan.fresh("sysfs", "/sys", "")
	plan.fresh("tmpfs", "/run", "mode=755")
	plan.fresh("tmpfs", "/tmp", "mode=1777")
	plan.bind("/dev", "/dev")
	plan.bind(folder("containerd"), "/var/lib/containerd")
	plan.bind(folder("kubelet"), "/var/lib/kubelet")
	// Programs are found by their names, as on any node.
	for _, program := range []string{"kubelet", "kube-proxy"} {
		plan.bind(self, filepath.Join(programs, program))
	}
	plan.bind(filepath.Join(filepath.Dir(self), "dev-csi"), filepath.Join(programs, "dev-csi"))
	plan.bind(cluster.Path("pki", name), certs)
	plan.bind(cluster.Path("images"), images)
	plan.bind(cluster.Path("log", name), logs)
	plan.bind(folder("disk"), disk)
	plan.fresh("tmpfs", cluster.Dir, "mode=700") // other nodes' disks and the cluster's keys are not a node's business
	plan.cgroups(hierarchies)
	if plan.failed != nil {
		return plan.failed
	}
	if err := os.MkdirAll(root+"/.machine", 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(root, root+"/.machine"); err != nil {
		return fmt.Errorf("changing the root to %s: %w", root, err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/.machine", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("letting the machine's root go: %w", err)
	}
	// As on a machine with systemd: what a pod mounts with Bidirectional propagation reaches the node.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing the node's mounts: %w", err)
	}
	return nil
}

// mounts builds below a root and keeps the first error.
type mounts struct {
	root   string
	failed error
}

func (m *mounts) do(source, target, kind string, flags uintptr, data string) {
	if m.failed != nil {
		return
	}
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		m.failed = fmt.Errorf("mounting %s at %s: %w", kind+source, target, err)
	}
}

func (m *mounts) fresh(kind, at, data string) {
	m.folder(at)
	m.do(kind, m.root+at, kind, unix.MS_NOSUID, data)
}

func (m *mounts) bind(source, at string) {
	if info, err := os.Stat(source); err == nil && !info.IsDir() {
		m.folder(filepath.Dir(at))
		m.file(at, "")
	} else {
		m.folder(at)
	}
	m.do(source, m.root+at, "", unix.MS_BIND|unix.MS_REC, "")
}

func (m *mounts) folder(at string) {
	if m.failed == nil {
		m.failed = os.MkdirAll(m.root+at, 0o755)
	}
}

func (m *mounts) file(at, text string) {
	if m.failed == nil {
		m.failed = os.WriteFile(m.root+at, []byte(text), 0o644)
	}
}

// cgroups mounts each hierarchy again: seen from the node's cgroup namespace, its root is the node's own group.
func (m *mounts) cgroups(hierarchies []cgroup.Hierarchy) {
	if len(hierarchies) == 1 && hierarchies[0].Version == 2 {
		m.fresh("cgroup2", "/sys/fs/cgroup", "")
		if m.failed == nil {
			m.failed = leaveRootGroup(m.root + "/sys/fs/cgroup")
		}
		return
	}
	m.fresh("tmpfs", "/sys/fs/cgroup", "mode=755")
	for _, hierarchy := range hierarchies {
		if hierarchy.Version == 2 {
			m.fresh("cgroup2", hierarchy.Mount, "")
		} else {
			m.fresh("cgroup", hierarchy.Mount, hierarchy.Options)
		}
	}
}

// A group of version 2 either holds processes or hands its controllers on (cgroups(7), "no internal processes").
func leaveRootGroup(root string) error {
	own := filepath.Join(root, "system")
	if err := os.MkdirAll(own, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(own, "cgroup.procs"), []byte("0"), 0o644); err != nil {
		return fmt.Errorf("leaving the node's root cgroup: %w", err)
	}
	cgroup.Delegate(root)
	return nil
}

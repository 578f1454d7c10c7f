package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seatrial.dev/tests/cluster/cgroup"
	"seatrial.dev/tests/cluster/layout"
	"seatrial.dev/tests/cluster/process"
	"seatrial.dev/tests/cluster/storage"
)

// Logs says what happens to the logs at the end.
type Logs int

// What happens to the logs.
const (
	DeleteLogs Logs = iota
	KeepLogs        // in DIR-logs
)

// Down removes everything that a cluster made, whatever state it is in: half started, or with any of its processes
// killed. It goes on after an error, and a second Down does what was left.
func Down(dir string, logs Logs) error {
	cluster, err := layout.Load(dir)
	if errors.Is(err, layout.ErrNone) && leftovers(cluster) {
		cluster.Nodes, err = layout.MostNodes, nil // somebody removed the directory; the name is enough
	}
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("a cluster needs root: run this as root or through sudo")
	}
	volumes := volumeFolders(cluster)
	for _, folder := range volumes {
		storage.Thaw(folder, "")
	}
	var failed error
	// The control plane first, so that nothing new begins.
	records := process.Records(cluster.Path("run"))
	slices.SortFunc(records, func(a, b string) int { return slices.Index(ControlPlane, b) - slices.Index(ControlPlane, a) })
	for _, name := range records {
		if running, ok := process.Read(cluster.Record(name)); ok {
			failed = errors.Join(failed, running.Signal(unix.SIGKILL))
		}
	}
	failed = errors.Join(failed, cgroup.Empty(cluster.Cgroup(), 30*time.Second))
	for number := 1; number <= cluster.Nodes; number++ {
		failed = errors.Join(failed, removeLink(cluster.Veth(number)))
	}
	failed = errors.Join(failed, removeLink(cluster.Bridge()), unmountBelow(cluster.Dir))
	for _, folder := range volumes {
		failed = errors.Join(failed, storage.Release(folder, 10*time.Second))
	}
	if failed != nil {
		return fmt.Errorf("the cluster in %s is not quite gone: %w\nhint: `down` can be repeated", cluster.Dir, failed)
	}
	if logs == KeepLogs {
		kept := cluster.Dir + "-logs"
		if err := os.RemoveAll(kept); err != nil {
			return err
		}
		if err := os.Rename(cluster.Path("log"), kept); err != nil {
			return fmt.Errorf("keeping the logs: %w", err)
		}
	}
	return removeFiles(cluster)
}

// volumeFolders are the one of the cluster's driver, and those of drivers in pods that keep theirs beside their sockets.
func volumeFolders(cluster layout.Cluster) []string {
	inPods, _ := filepath.Glob(cluster.Path("nodes", "*", "kubelet", "plugins", "*", "volumes"))
	return append([]string{cluster.Path("volumes")}, inPods...)
}

// leftovers says whether anything on this machine carries the cluster's name.
func leftovers(cluster layout.Cluster) bool {
	if hierarchies, err := cgroup.Hierarchies(); err == nil {
		for _, hierarchy := range hierarchies {
			if exists(filepath.Join(hierarchy.Mount, cluster.Cgroup())) {
				return true
			}
		}
	}
	_, err := netlink.LinkByName(cluster.Bridge())
	return err == nil || len(storage.Devices(cluster.Path("volumes"))) > 0
}

// removeFiles leaves cluster.json to the last, so that a Down that is killed can be repeated.
func removeFiles(cluster layout.Cluster) error {
	entries, err := os.ReadDir(cluster.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if entry.Name() != "cluster.json" {
			if err := os.RemoveAll(filepath.Join(cluster.Dir, entry.Name())); err != nil {
				return fmt.Errorf("removing the cluster's files: %w", err)
			}
		}
	}
	return os.RemoveAll(cluster.Dir)
}

// unmountBelow finds nothing, unless somebody mounted there by hand: a node's mounts go with its namespace.
func unmountBelow(dir string) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var failed error
	lines := strings.Split(string(text), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			if err := unix.Unmount(fields[4], unix.MNT_DETACH); err != nil {
				failed = errors.Join(failed, fmt.Errorf("unmounting %s: %w", fields[4], err))
			}
		}
	}
	return failed
}

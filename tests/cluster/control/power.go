package control

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"seatrial.dev/tests/cluster/cgroup"
	"seatrial.dev/tests/cluster/layout"
	"seatrial.dev/tests/cluster/process"
	"seatrial.dev/tests/cluster/storage"
)

const nodeNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET

// PowerOff cuts a node's power: all its processes are gone at once, its disk stays.
func PowerOff(dir, name string) error { return end(dir, name, unix.SIGKILL) }

// PowerOn starts a node that is off.
func PowerOn(dir, name string) error {
	cluster, number, err := find(dir, name)
	if err != nil {
		return err
	}
	if running, ok := process.Read(cluster.Record(name)); ok && running.Alive() {
		return fmt.Errorf("node %s is on already", name)
	}
	return powerOn(cluster, number)
}

// Stop ends a process of the control plane like a crash, or a node like a shutdown.
func Stop(dir, name string) error {
	cluster, err := layout.Load(dir)
	if err != nil {
		return err
	}
	if slices.Contains(ControlPlane, name) {
		return kill(cluster, name, unix.SIGKILL)
	}
	return end(dir, name, unix.SIGTERM)
}

// Start starts again what Stop ended, and waits until the API server answers if that is what was started.
func Start(dir, name string) error {
	cluster, err := layout.Load(dir)
	if err != nil {
		return err
	}
	if !slices.Contains(ControlPlane, name) {
		return PowerOn(dir, name)
	}
	if running, ok := process.Read(cluster.Record(name)); ok && running.Alive() {
		return fmt.Errorf("%s runs already", name)
	}
	if err := launch(cluster, name); err != nil {
		return err
	}
	if name != "apiserver" {
		return nil
	}
	client, err := connect(cluster)
	if err != nil {
		return err
	}
	return waitForAPI(cluster, client)
}

func end(dir, name string, signal unix.Signal) error {
	cluster, number, err := find(dir, name)
	if err != nil {
		return err
	}
	running, ok := process.Read(cluster.Record(name))
	if !ok || !running.Alive() {
		return fmt.Errorf("node %s is off already", name)
	}
	if signal == unix.SIGKILL {
		storage.Thaw(cluster.Path("volumes"), name)
	}
	if err := kill(cluster, name, signal); err != nil {
		return err
	}
	return clear(cluster, number)
}

// clear removes what a node leaves on this machine, however it ended.
func clear(cluster layout.Cluster, number int) error {
	name := layout.NodeName(number)
	storage.Thaw(cluster.Path("volumes"), name)
	return errors.Join(
		cgroup.Empty(cluster.Cgroup()+"/"+name, 20*time.Second),
		removeLink(cluster.Veth(number)),
	)
}

func powerOn(cluster layout.Cluster, number int) error {
	if err := clear(cluster, number); err != nil {
		return err
	}
	name := layout.NodeName(number)
	return detached(cluster, name, []string{"node", "--dir", cluster.Dir, name}, nodeNamespaces)
}

func find(dir, name string) (layout.Cluster, int, error) {
	cluster, err := layout.Load(dir)
	if err != nil {
		return cluster, 0, err
	}
	number, err := cluster.Node(name)
	if err != nil {
		err = fmt.Errorf("%w; the processes outside are %v", err, ControlPlane)
	}
	return cluster, number, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

package control

import (
	"fmt"
	"os"

	"github.com/vishvananda/netlink"

	"seatrial.dev/tests/cluster/layout"
	"seatrial.dev/tests/cluster/process"
)

// Status prints a line for each process of the control plane and each node.
func Status(dir string) error {
	cluster, err := layout.Load(dir)
	if err != nil {
		return err
	}
	for _, name := range ControlPlane {
		fmt.Printf("%-20s %s\n", name, state(cluster, name))
	}
	for number := 1; number <= cluster.Nodes; number++ {
		name := layout.NodeName(number)
		told := state(cluster, name)
		if link, err := netlink.LinkByName(cluster.Veth(number)); err == nil && link.Attrs().OperState == netlink.OperDown {
			told += ", cut off"
		}
		fmt.Printf("%-20s %s  %s\n", name, cluster.NodeAddress(number), told)
	}
	_, err = fmt.Fprintf(os.Stdout, "%-20s %s\n", "kubeconfig", cluster.Kubeconfig())
	return err
}

func state(cluster layout.Cluster, name string) string {
	running, ok := process.Read(cluster.Record(name))
	switch {
	case !ok:
		return "off"
	case !running.Alive():
		return "ended without being told to"
	default:
		return fmt.Sprintf("runs (pid %d)", running.PID)
	}
}

// dev-csi is the CSI driver of the test cluster and of development clusters, and the sidecars beside it. It is a program of
// its own because upstream's attacher and Kubernetes' servers register one feature gate differently, which they refuse to
// do in one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"seatrial.dev/tests/cluster/sidecars"
	"seatrial.dev/tests/cluster/storage"
)

const usage = `usage: dev-csi ROLE

  controller --volumes DIR --socket SOCKET [--driver NAME] [--kubeconfig FILE]   makes and attaches volumes
  node --node NAME --socket SOCKET --registration SOCKET [--driver NAME]         mounts them on its node
       [--tell-machine]                                                          says which kernel it runs on
  attacher --socket SOCKET [--kubeconfig FILE]                                   upstream's external-attacher
  snapshotter --socket SOCKET [--kubeconfig FILE]                                upstream's csi-snapshotter
  snapshot-controller [--kubeconfig FILE]                                        upstream's, one for a cluster

Without --kubeconfig it is the cluster of the pod that this runs in.
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, role string, arguments []string) error {
	flags := flag.NewFlagSet(role, flag.ExitOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	volumes := flags.String("volumes", "", "")
	kubeconfig := flags.String("kubeconfig", "", "")
	var node storage.Node
	flags.StringVar(&node.Driver, "driver", storage.DriverName, "")
	flags.StringVar(&node.Name, "node", "", "")
	flags.StringVar(&node.Socket, "socket", "", "")
	flags.StringVar(&node.Registration, "registration", "", "")
	flags.BoolVar(&node.TellsMachine, "tell-machine", false, "")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if role == "node" {
		return storage.RunNode(node)
	}
	cluster, err := sidecars.Connect(*kubeconfig)
	if err != nil {
		return err
	}
	switch role {
	case "controller":
		return control(ctx, cluster, node.Driver, *volumes, node.Socket)
	case "attacher":
		return sidecars.Attach(ctx, cluster, node.Socket)
	case "snapshotter":
		return sidecars.Snapshot(ctx, cluster, node.Socket)
	case "snapshot-controller":
		return sidecars.ControlSnapshots(ctx, cluster)
	}
	return fmt.Errorf("there is no role %q\n\n%s", role, usage)
}

func control(ctx context.Context, cluster sidecars.Cluster, name, volumes, socket string) error {
	driver, err := storage.NewDriver(name, volumes)
	if err != nil {
		return err
	}
	go sidecars.Provision(ctx, cluster, name, driver)
	return driver.Serve(socket)
}

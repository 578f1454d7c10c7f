// seatrial-cluster is a real Kubernetes cluster of several nodes on one machine, in one program: it starts, changes and
// ends the cluster, and it is each of the cluster's processes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"seatrial.dev/tests/cluster/components"
	"seatrial.dev/tests/cluster/control"
	"seatrial.dev/tests/cluster/dns"
	"seatrial.dev/tests/cluster/image"
	"seatrial.dev/tests/cluster/node"
)

const usage = `usage: seatrial-cluster COMMAND --dir DIR

  up [--nodes 3]                starts a cluster; the last line printed is its kubeconfig; a node is NotReady when it was
     [--node-grace 8s]          silent for that long
  down [--keep-logs]            removes everything that it made; --keep-logs moves the logs to DIR-logs
  status                        what runs
  image NAME FILE[:DEST]...     makes an image of programs of this machine, with their libraries, and gives it to every
        [--entrypoint PROGRAM]  node
  stop WHAT, start WHAT         a process (etcd, apiserver, controller-manager, scheduler, csi, attacher, snapshotter,
                                snapshot-controller, dns), which ends like a crash, or a node, which shuts down
  power-off NODE, power-on NODE the node's processes are gone at once; its disk stays
  cut NODE, heal NODE           the node runs on, without its link
  scale --nodes N --pods M      makes N nodes and M pods with nothing behind them, or removes those beyond
  kubectl ARGUMENTS...          of the cluster's version; reads --kubeconfig or KUBECONFIG

DIR is a new directory, not on an overlay file system.
`

func main() {
	// The name by which it is called may say what it is, as with busybox.
	called := strings.TrimPrefix(filepath.Base(os.Args[0]), "kube-")
	if _, isServer := components.Servers[called]; isServer {
		os.Exit(components.Run(called, os.Args[1:]))
	}
	if called == "kubectl" {
		os.Exit(components.Kubectl(os.Args[1:]))
	}
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	name, arguments := os.Args[1], os.Args[2:]
	if _, isServer := components.Servers[name]; isServer {
		os.Exit(components.Run(name, arguments))
	}
	if name == "kubectl" {
		os.Exit(components.Kubectl(arguments))
	}
	err := run(name, arguments)
	var wrong wrongUsage
	if errors.As(err, &wrong) {
		fmt.Fprintf(os.Stderr, "error: %s\n\n%s", wrong, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type wrongUsage string

func (w wrongUsage) Error() string { return string(w) }

// options are all flags of our own commands; each command uses some.
type options struct {
	dir, kubeconfig, address, entrypoint string
	nodes, pods                          int
	grace                                time.Duration
	keepLogs                             bool
	rest                                 []string
}

func run(name string, arguments []string) error {
	given, err := parse(name, arguments)
	if err != nil {
		return err
	}
	changes := map[string]func(dir, what string) error{
		"stop": control.Stop, "start": control.Start, "cut": control.Cut, "heal": control.Heal,
		"power-off": control.PowerOff, "power-on": control.PowerOn,
		"launch": control.Launch, "node": node.Run, "node-boot": node.Boot,
	}
	if change, ok := changes[name]; ok {
		if given.dir == "" || len(given.rest) != 1 {
			return wrongUsage(name + " takes --dir DIR and one name")
		}
		return change(given.dir, given.rest[0])
	}
	switch name {
	case "dns":
		return dns.Run(given.address, given.kubeconfig)
	case "help", "-h", "--help":
		fmt.Print(usage)
		return nil
	}
	if given.dir == "" {
		return wrongUsage(name + ": --dir DIR is missing")
	}
	switch name {
	case "up":
		return control.Up(given.dir, given.nodes, given.grace)
	case "down":
		if given.keepLogs {
			return control.Down(given.dir, control.KeepLogs)
		}
		return control.Down(given.dir, control.DeleteLogs)
	case "scale":
		return control.Scale(given.dir, given.nodes, given.pods)
	case "status":
		return control.Status(given.dir)
	case "image":
		if len(given.rest) < 2 {
			return wrongUsage("image takes --dir DIR, a name and at least one file")
		}
		spec := image.Spec{Names: strings.Split(given.rest[0], ","), Files: given.rest[1:]}
		if given.entrypoint != "" {
			spec.Entrypoint = []string{given.entrypoint}
		}
		return control.LoadImage(given.dir, spec)
	}
	return wrongUsage(fmt.Sprintf("there is no command %q", name))
}

// parse takes flags before and after other arguments.
func parse(name string, arguments []string) (options, error) {
	var given options
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(new(strings.Builder))
	for flagName, value := range map[string]*string{
		"dir": &given.dir, "kubeconfig": &given.kubeconfig, "address": &given.address, "entrypoint": &given.entrypoint,
	} {
		flags.StringVar(value, flagName, "", "")
	}
	flags.IntVar(&given.nodes, "nodes", 3, "")
	flags.IntVar(&given.pods, "pods", 0, "")
	flags.DurationVar(&given.grace, "node-grace", 8*time.Second, "")
	flags.BoolVar(&given.keepLogs, "keep-logs", false, "")
	for {
		if err := flags.Parse(arguments); err != nil {
			return given, wrongUsage(fmt.Sprintf("%s: %v", name, err))
		}
		if flags.NArg() == 0 {
			return given, nil
		}
		given.rest = append(given.rest, flags.Arg(0))
		arguments = flags.Args()[1:]
	}
}

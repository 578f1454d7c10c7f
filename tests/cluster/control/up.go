// Package control starts, changes and ends a cluster from outside. Each function is a command of its own that finds what
// the ones before it made, so that a cluster needs no daemon that watches over it.
package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"seatrial.dev/tests/cluster/layout"
	"seatrial.dev/tests/cluster/node"
	"seatrial.dev/tests/cluster/pki"
)

// A node that misses one renewal of its lease is not dead.
const leastGrace = 5 * time.Second

// Up starts a cluster and returns when it is ready to be used. After an error, or SIGINT or SIGTERM, everything is as it
// was, but the logs.
func Up(dir string, nodes int, grace time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	began := time.Now()
	say := func(format string, values ...any) {
		fmt.Printf("[%4.1f s] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, values...))
	}
	cluster, err := prepare(dir, nodes, grace)
	if err != nil {
		return err
	}
	if err := build(ctx, cluster, say); err != nil {
		logs := cluster.Dir + "-logs"
		_ = os.RemoveAll(logs)
		_ = os.Rename(cluster.Path("log"), logs)
		return errors.Join(fmt.Errorf("%w\nhint: the logs are in %s", err, logs), Down(dir, DeleteLogs))
	}
	// Whoever used sudo wants to use the cluster without it.
	if user, err := strconv.Atoi(os.Getenv("SUDO_UID")); err == nil {
		if err := os.Chown(cluster.Kubeconfig(), user, -1); err != nil {
			return fmt.Errorf("giving the kubeconfig to its user: %w", err)
		}
	}
	say("ready")
	fmt.Println(cluster.Kubeconfig())
	return nil
}

// prepare refuses what cannot work and takes the directory.
func prepare(dir string, nodes int, grace time.Duration) (layout.Cluster, error) {
	cluster, err := layout.New(dir, nodes)
	if err != nil {
		return cluster, err
	}
	if nodes < 1 || nodes > layout.MostNodes {
		return cluster, fmt.Errorf("--nodes %d: a cluster has 1 to %d nodes", nodes, layout.MostNodes)
	}
	if grace < leastGrace {
		return cluster, fmt.Errorf("--node-grace %v: kubelets renew their leases every 1.5 s, so at least %v is needed", grace, leastGrace)
	}
	cluster.NodeGrace = grace.String()
	if err := checkMachine(cluster.Dir, nodes); err != nil {
		return cluster, err
	}
	if exists(cluster.Path("cluster.json")) {
		return cluster, fmt.Errorf("a cluster is up in %s already, or was not taken down: `down --dir %s` ends it", cluster.Dir, dir)
	}
	if entries, err := os.ReadDir(cluster.Dir); err == nil && len(entries) > 0 {
		return cluster, fmt.Errorf("%s holds files that are no cluster's: name an empty --dir, or one that does not exist", cluster.Dir)
	}
	if cluster.Range, err = chooseRange(cluster); err != nil {
		return cluster, err
	}
	// The description comes before anything that it describes, so that a later `down` finds all of it.
	if err := os.MkdirAll(cluster.Dir, 0o755); err != nil {
		return cluster, fmt.Errorf("making the cluster's folder: %w", err)
	}
	if err := cluster.Save(); err != nil {
		return cluster, err
	}
	for _, folder := range []string{"run", "log", "volumes", "images", "pki", "nodes"} {
		if err := os.MkdirAll(cluster.Path(folder), 0o755); err != nil {
			return cluster, fmt.Errorf("making the cluster's folder: %w", err)
		}
	}
	return cluster, nil
}

func build(ctx context.Context, cluster layout.Cluster, say func(string, ...any)) error {
	if err := makeBridge(cluster); err != nil {
		return err
	}
	if err := issueAll(cluster); err != nil {
		return err
	}
	if err := launchAll(ctx, cluster, ControlPlane[:2]); err != nil {
		return err
	}
	say("etcd and the API server start at %s", cluster.Gateway())
	if err := ownImages(cluster); err != nil {
		return err
	}
	for number := 1; number <= cluster.Nodes; number++ {
		if err := powerOn(cluster, number); err != nil {
			return err
		}
	}
	say("images are made, %d nodes start", cluster.Nodes)
	client, err := connect(cluster)
	if err != nil {
		return err
	}
	if err := waitForAPI(ctx, cluster, client); err != nil {
		return err
	}
	say("the API server answers")
	if err := launchAll(ctx, cluster, ControlPlane[2:]); err != nil {
		return err
	}
	if err := createObjects(ctx, cluster, client); err != nil {
		return err
	}
	if err := createSnapshotClass(ctx, client); err != nil {
		return err
	}
	return waitForNodes(ctx, cluster, client, say)
}

func launchAll(ctx context.Context, cluster layout.Cluster, names []string) error {
	for _, name := range names {
		if ctx.Err() != nil {
			return errInterrupted
		}
		if err := launch(cluster, name); err != nil {
			return err
		}
	}
	return nil
}

var errInterrupted = errors.New("interrupted before the cluster was ready")

// issueAll makes all keys. Each program has an identity of its own, each node only what is its own.
func issueAll(cluster layout.Cluster) error {
	authority, err := pki.New(cluster.Path("pki"))
	if err != nil {
		return err
	}
	server := "https://" + cluster.Gateway() + ":6443"
	apiserver := pki.Subject{User: "kube-apiserver", Serves: []string{
		cluster.Gateway(), layout.APIServiceAddress, "kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local",
	}}
	err = errors.Join(
		authority.ServiceAccountKey(),
		authority.Issue("etcd", pki.Subject{User: "etcd", Serves: []string{cluster.Gateway()}}),
		authority.Issue("apiserver", apiserver),
		authority.Issue("kubelet-client", pki.Subject{User: "kube-apiserver-kubelet-client", Group: "system:masters"}),
		authority.Kubeconfig(cluster.Kubeconfig(), server, pki.Subject{User: "admin", Group: "system:masters"}),
	)
	for _, name := range []string{"controller-manager", "scheduler"} {
		err = errors.Join(err, authority.Kubeconfig(cluster.Path("pki", name+".kubeconfig"), server,
			pki.Subject{User: "system:kube-" + name}))
	}
	ca, readErr := os.ReadFile(cluster.Path("pki", "ca.crt"))
	err = errors.Join(err, readErr)
	for number := 1; number <= cluster.Nodes; number++ {
		name := layout.NodeName(number)
		own := func(file string) string { return cluster.Path("pki", name, file) }
		kubelet := pki.Subject{User: "system:node:" + name, Group: "system:nodes", Serves: []string{name, cluster.NodeAddress(number)}}
		err = errors.Join(err,
			os.MkdirAll(cluster.Path("pki", name), 0o700),
			os.WriteFile(own("ca.crt"), ca, 0o644),
			authority.Issue(filepath.Join(name, "kubelet"), kubelet),
			authority.Kubeconfig(own("kubelet.kubeconfig"), server, kubelet),
			authority.Kubeconfig(own("proxy.kubeconfig"), server, pki.Subject{User: "system:kube-proxy"}),
		)
	}
	if err != nil {
		return fmt.Errorf("making keys and certificates: %w", err)
	}
	return nil
}

// inParallel does the same for every node and joins the errors.
func inParallel(cluster layout.Cluster, do func(number int) error) error {
	failures := make([]error, cluster.Nodes)
	var all sync.WaitGroup
	for number := 1; number <= cluster.Nodes; number++ {
		all.Go(func() { failures[number-1] = do(number) })
	}
	all.Wait()
	return errors.Join(failures...)
}

// imagesDone says whether a node has all images of its start.
func imagesDone(cluster layout.Cluster, number int) bool {
	return exists(cluster.Path("nodes", layout.NodeName(number), "disk", node.ImportsDone))
}

// Package layout says where a cluster keeps its files and what it is called on the network. Everything follows from its
// directory, so that a later command, after any crash, finds what an earlier one made.
package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// MostNodes is how many nodes fit into a cluster's address range.
const MostNodes = 100

// ServiceRange is the same in every cluster: service addresses exist on the nodes only.
const (
	ServiceRange      = "10.96.0.0/16"
	APIServiceAddress = "10.96.0.1"
	DNSServiceAddress = "10.96.0.10"
)

// Cluster is what `up` decided. It is written to cluster.json before anything else is made.
type Cluster struct {
	Dir   string `json:"dir"`
	ID    string `json:"id"`
	Range int    `json:"range"` // the second byte of all its addresses
	Nodes int    `json:"nodes"`
	// How long a node may be silent until it is NotReady.
	NodeGrace string `json:"nodeGrace"`
}

// ErrNone says that a directory holds no cluster.
var ErrNone = errors.New("there is no cluster")

// New gives the cluster of a directory its name.
func New(dir string, nodes int) (Cluster, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return Cluster{}, fmt.Errorf("resolving %s: %w", dir, err)
	}
	sum := sha256.Sum256([]byte(absolute))
	return Cluster{Dir: absolute, ID: hex.EncodeToString(sum[:3]), Nodes: nodes}, nil
}

// Load reads the cluster of a directory. With ErrNone comes what is known without a description: its name.
func Load(dir string) (Cluster, error) {
	cluster, err := New(dir, 0)
	if err != nil {
		return Cluster{}, err
	}
	text, err := os.ReadFile(cluster.Path("cluster.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return cluster, fmt.Errorf("%w in %s: `up --dir %s` starts one", ErrNone, cluster.Dir, dir)
	}
	if err != nil {
		return Cluster{}, fmt.Errorf("reading the cluster's description: %w", err)
	}
	if err := json.Unmarshal(text, &cluster); err != nil {
		return Cluster{}, fmt.Errorf("reading %s: %w", cluster.Path("cluster.json"), err)
	}
	return cluster, nil
}

// Save writes cluster.json.
func (c Cluster) Save() error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	// At once or not at all: half a description describes nothing.
	if err := os.WriteFile(c.Path("cluster.json.next"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(c.Path("cluster.json.next"), c.Path("cluster.json"))
}

// Path is a file of the cluster.
func (c Cluster) Path(parts ...string) string {
	return filepath.Join(append([]string{c.Dir}, parts...)...)
}

// Kubeconfig is the administrator's.
func (c Cluster) Kubeconfig() string { return c.Path("kubeconfig") }

// Record holds the identity of a running process of the cluster.
func (c Cluster) Record(name string) string { return c.Path("run", name+".json") }

// Cgroup is the group, in every hierarchy, that holds all the cluster's processes.
func (c Cluster) Cgroup() string { return "seatrial-cluster-" + c.ID }

// Bridge is the link that joins the nodes and this machine.
func (c Cluster) Bridge() string { return "st-" + c.ID }

// Veth is this machine's end of a node's link.
func (c Cluster) Veth(node int) string { return fmt.Sprintf("st-%s-n%d", c.ID, node) }

// Gateway is this machine's address on the bridge: the API server's, etcd's and the DNS server's.
func (c Cluster) Gateway() string { return fmt.Sprintf("10.%d.0.1", c.Range) }

// NodeAddress is the node's address on the bridge.
func (c Cluster) NodeAddress(node int) string { return fmt.Sprintf("10.%d.0.%d", c.Range, 10+node) }

// PodRange holds the addresses of a node's pods.
func (c Cluster) PodRange(node int) string { return fmt.Sprintf("10.%d.%d.0/24", c.Range, node) }

// WholeRange holds every address of the cluster but the services'.
func (c Cluster) WholeRange() string { return fmt.Sprintf("10.%d.0.0/16", c.Range) }

// NodeName is what Kubernetes calls the node.
func NodeName(node int) string { return "n" + strconv.Itoa(node) }

// Node finds a node by its name.
func (c Cluster) Node(name string) (int, error) {
	number, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	if err != nil || !strings.HasPrefix(name, "n") || number < 1 || number > c.Nodes {
		return 0, fmt.Errorf("%q is no node of this cluster: its nodes are n1 to n%d", name, c.Nodes)
	}
	return number, nil
}

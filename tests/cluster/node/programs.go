package node

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"seatrial.dev/tests/cluster/layout"
	"seatrial.dev/tests/cluster/storage"
)

const (
	pluginFolder = "/var/lib/kubelet/plugins/" + storage.DriverName
	registration = "/var/lib/kubelet/plugins_registry/" + storage.DriverName + "-reg.sock"
	// How long kubelet waits for an API server that may just be starting. It would find it by itself, but its back-off
	// takes seconds.
	apiPatience = 20 * time.Second
)

// runPrograms starts what a node runs and keeps it running, until the node is told to stop.
func runPrograms(cluster layout.Cluster, number int) error {
	name := layout.NodeName(number)
	if err := writeConfigs(cluster, number); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	machine := newSupervisor()
	machine.keep("containerd", "containerd", "-c", containerdConfig)
	if err := waitForSocket(containerds, 30*time.Second); err != nil {
		return fmt.Errorf("containerd does not start, see %s: %w", filepath.Join(logs, "containerd.log"), err)
	}
	go func() {
		if err := machine.importImages(); err != nil {
			fmt.Fprintln(os.Stderr, "importing images:", err)
		}
	}()
	waitForAPI(cluster)
	machine.keep("kubelet", "kubelet", "--config", kubeletConfig, "--kubeconfig", kubeletKubeconfig,
		"--hostname-override", name, "--node-ip", cluster.NodeAddress(number),
		"--node-labels", fmt.Sprintf("topology.kubernetes.io/region=test,topology.kubernetes.io/zone=zone-%c", 'a'+(number-1)%3))
	machine.keep("csi", "dev-csi", "node", "--node", name, "--socket", pluginFolder+"/csi.sock", "--registration", registration)
	machine.keep("proxy", "kube-proxy", "--kubeconfig", filepath.Join(certs, "proxy.kubeconfig"),
		"--hostname-override", name, "--proxy-mode", "nftables", "--cluster-cidr", cluster.WholeRange(),
		// The connection table's limits belong to the machine.
		"--conntrack-max-per-core", "0", "--conntrack-min", "0",
		"--conntrack-tcp-timeout-established", "0", "--conntrack-tcp-timeout-close-wait", "0")
	machine.waitForStop()
	return nil
}

func waitForSocket(path string, within time.Duration) error {
	for deadline := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		connection, err := net.Dial("unix", path)
		if err == nil {
			return connection.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func waitForAPI(cluster layout.Cluster) {
	authority, err := os.ReadFile(filepath.Join(certs, "ca.crt"))
	if err != nil {
		return // kubelet will say so
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	for deadline := time.Now().Add(apiPatience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if answer, err := client.Get("https://" + cluster.Gateway() + ":6443/readyz"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
	}
}

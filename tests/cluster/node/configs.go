package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"seatrial.dev/tests/cluster/layout"
)

const (
	containerdConfig  = "/etc/seatrial/containerd.toml"
	kubeletConfig     = "/etc/seatrial/kubelet.json"
	kubeletKubeconfig = "/etc/seatrial/kubelet.kubeconfig"
	networkConfig     = "/etc/seatrial/cni/10-pods.conflist"
)

// PauseImage holds each pod's namespaces.
const PauseImage = "seatrial.test/pause:1"

func writeConfigs(cluster layout.Cluster, number int) error {
	if err := os.MkdirAll(filepath.Dir(networkConfig), 0o755); err != nil {
		return err
	}
	kubeconfig, err := os.ReadFile(filepath.Join(certs, "kubelet.kubeconfig"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(kubeletKubeconfig, kubeconfig, 0o600); err != nil {
		return err
	}
	if err := writeJSON(kubeletConfig, kubelet()); err != nil {
		return err
	}
	if err := writeJSON(networkConfig, podNetwork(cluster, number)); err != nil {
		return err
	}
	return os.WriteFile(containerdConfig, []byte(containerd(pluginsOfCNI())), 0o644)
}

func writeJSON(file string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// CNIFolders are where distributions put the plugins.
var CNIFolders = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

func pluginsOfCNI() string {
	for _, folder := range CNIFolders {
		if _, err := os.Stat(filepath.Join(folder, "ptp")); err == nil {
			return folder
		}
	}
	return CNIFolders[0]
}

// Without CAP_SYS_RESOURCE nobody may lower an oom score, so containers keep the score that they inherit.
func containerd(cniPlugins string) string {
	return fmt.Sprintf(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.native", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = %q
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = %q
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = %q
conf_dir = %q
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
`, containerds, PauseImage, cniPlugins, filepath.Dir(networkConfig))
}

// Each pod has a link to the node and a route, not a port of a bridge: all traffic is routed, so that kube-proxy's rules
// see traffic between two pods of one node as well.
func podNetwork(cluster layout.Cluster, number int) any {
	type object = map[string]any
	return object{
		"cniVersion": "0.4.0",
		"name":       "pods",
		"plugins": []object{
			{
				"type": "ptp",
				"ipam": object{
					"type":    "host-local",
					"dataDir": "/run/cni",
					"ranges":  [][]object{{{"subnet": cluster.PodRange(number)}}},
					"routes":  []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}
}

func kubelet() any {
	type object = map[string]any
	return object{
		"apiVersion":               "kubelet.config.k8s.io/v1beta1",
		"kind":                     "KubeletConfiguration",
		"failCgroupV1":             false,
		"cgroupDriver":             "cgroupfs",
		"containerRuntimeEndpoint": "unix://" + containerds,
		"authentication": object{
			"anonymous": object{"enabled": false},
			"webhook":   object{"enabled": true},
			"x509":      object{"clientCAFile": filepath.Join(certs, "ca.crt")},
		},
		"authorization":     object{"mode": "Webhook"},
		"tlsCertFile":       filepath.Join(certs, "kubelet.crt"),
		"tlsPrivateKeyFile": filepath.Join(certs, "kubelet.key"),
		"clusterDNS":        []string{layout.DNSServiceAddress},
		"clusterDomain":     "cluster.local",
		"resolvConf":        "/dev/null",
		"failSwapOn":        false,
		"maxPods":           200,
		// A full disk of this machine must not evict anything: tests of full disks fill volumes.
		"evictionHard": object{
			"memory.available": "50Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
			"imagefs.available": "0%", "imagefs.inodesFree": "0%",
		},
		"imageGCHighThresholdPercent": 100,
		"eventRecordQPS":              0,
		// A dead node is seen within ten seconds; the controller manager's grace period matches.
		"nodeStatusUpdateFrequency": "2s",
		"nodeLeaseDurationSeconds":  6,
	}
}

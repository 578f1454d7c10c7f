package control

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"seatrial.dev/tests/cluster/cgroup"
	"seatrial.dev/tests/cluster/layout"
	"seatrial.dev/tests/cluster/process"
)

// ControlPlane names the processes outside the nodes, in the order in which they start.
var ControlPlane = []string{
	"etcd", "apiserver", "controller-manager", "scheduler", "csi", "attacher", "snapshotter", "snapshot-controller", "dns",
}

// command is what a process of the control plane runs.
func command(cluster layout.Cluster, name string) []string {
	pki := func(file string) string { return cluster.Path("pki", file) }
	address := cluster.Gateway()
	clients := func(kubeconfig string) []string {
		return []string{
			"--kubeconfig", pki(kubeconfig), "--authentication-kubeconfig", pki(kubeconfig),
			"--authorization-kubeconfig", pki(kubeconfig), "--bind-address", address, "--leader-elect=false",
		}
	}
	etcd, peers := "https://"+address+":2379", "http://"+address+":2380"
	switch name {
	case "etcd":
		return []string{
			"etcd", "--data-dir", cluster.Path("etcd"), "--unsafe-no-fsync", "--log-level", "warn",
			"--listen-client-urls", etcd, "--advertise-client-urls", etcd,
			"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default=" + peers,
			"--cert-file", pki("etcd.crt"), "--key-file", pki("etcd.key"),
			"--trusted-ca-file", pki("ca.crt"), "--client-cert-auth",
		}
	case "apiserver":
		return []string{
			"apiserver", "--etcd-servers", etcd,
			"--etcd-cafile", pki("ca.crt"), "--etcd-certfile", pki("etcd.crt"), "--etcd-keyfile", pki("etcd.key"),
			"--bind-address", address, "--advertise-address", address, "--secure-port", "6443",
			"--tls-cert-file", pki("apiserver.crt"), "--tls-private-key-file", pki("apiserver.key"),
			"--client-ca-file", pki("ca.crt"), "--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file", pki("sa.pub"), "--service-account-signing-key-file", pki("sa.key"),
			"--service-cluster-ip-range", layout.ServiceRange, "--allow-privileged=true",
			"--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction",
			"--kubelet-preferred-address-types", "InternalIP", "--kubelet-certificate-authority", pki("ca.crt"),
			"--kubelet-client-certificate", pki("kubelet-client.crt"), "--kubelet-client-key", pki("kubelet-client.key"),
		}
	case "controller-manager":
		return append(append([]string{"controller-manager"}, clients("controller-manager.kubeconfig")...),
			"--service-account-private-key-file", pki("sa.key"), "--root-ca-file", pki("ca.crt"),
			"--use-service-account-credentials",
			"--node-monitor-period", "1s", "--node-monitor-grace-period", cluster.NodeGrace,
			// It makes an account for each of its fifty controllers before the first one starts.
			"--kube-api-qps", "300", "--kube-api-burst", "600")
	case "scheduler":
		return append([]string{"scheduler"}, clients("scheduler.kubeconfig")...)
	case "csi":
		return []string{
			"dev-csi", "controller", "--volumes", cluster.Path("volumes"), "--socket", cluster.Path("run", "csi.sock"),
			"--kubeconfig", cluster.Kubeconfig(),
		}
	case "attacher", "snapshotter":
		return []string{"dev-csi", name, "--socket", cluster.Path("run", "csi.sock"), "--kubeconfig", cluster.Kubeconfig()}
	case "snapshot-controller":
		return []string{"dev-csi", name, "--kubeconfig", cluster.Kubeconfig()}
	case "dns":
		return []string{"dns", "--address", address, "--kubeconfig", cluster.Kubeconfig()}
	}
	panic("no process of the control plane is called " + name)
}

// Launch becomes a process of the control plane. It is the first thing that a new process does.
func Launch(dir, name string) error {
	cluster, err := layout.Load(dir)
	if err != nil {
		return err
	}
	if !slices.Contains(ControlPlane, name) {
		return fmt.Errorf("%q is no process of the control plane: these are %v", name, ControlPlane)
	}
	if err := process.RecordSelf(cluster.Record(name)); err != nil {
		return fmt.Errorf("recording this process: %w", err)
	}
	if err := cgroup.Join(cluster.Cgroup() + "/" + name); err != nil {
		return err
	}
	arguments := command(cluster, name)
	var program string
	switch arguments[0] {
	case "etcd":
		program, err = exec.LookPath("etcd")
	case "dev-csi":
		program, err = beside("dev-csi")
	default:
		program, err = os.Executable()
		arguments = append([]string{program}, arguments...)
	}
	if err != nil {
		return err
	}
	return syscall.Exec(program, arguments, os.Environ())
}

// beside finds a program that is built together with this one.
func beside(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	program := filepath.Join(filepath.Dir(self), name)
	if !exists(program) {
		return "", fmt.Errorf("%s is missing: `make cluster-build` makes it together with %s", program, self)
	}
	return program, nil
}

// launch starts a process of the control plane that outlives the caller.
func launch(cluster layout.Cluster, name string) error {
	return detached(cluster, name, []string{"launch", "--dir", cluster.Dir, name}, 0)
}

func detached(cluster layout.Cluster, name string, arguments []string, namespaces uintptr) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	log, err := os.OpenFile(cluster.Path("log", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	network, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return err
	}
	defer network.Close()
	child := exec.Command(self, arguments...)
	child.Stdout, child.Stderr, child.Dir = log, log, "/"
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: namespaces}
	if namespaces != 0 {
		child.ExtraFiles = []*os.File{network} // node.MachineNetwork
	}
	if err := child.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	// Nobody waits for the child; while the caller lives, a child that ends is a zombie, which counts as ended.
	return child.Process.Release()
}

// kill ends a process of the control plane at once, as a crash does. etcd keeps what it has written.
func kill(cluster layout.Cluster, name string, signal unix.Signal) error {
	if running, ok := process.Read(cluster.Record(name)); ok {
		if err := running.Signal(signal); err != nil {
			return err
		}
		if !running.WaitGone(stopPatience) {
			return fmt.Errorf("%s (process %d) does not end", name, running.PID)
		}
	}
	if err := os.Remove(cluster.Record(name)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

const stopPatience = 15 * time.Second

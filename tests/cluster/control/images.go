package control

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"seatrial.dev/tests/cluster/image"
	"seatrial.dev/tests/cluster/layout"
	"seatrial.dev/tests/cluster/node"
	"seatrial.dev/tests/cluster/process"
)

// ownImages are what every cluster has: what pods need to exist, a shell, and etcd of this machine under the name that
// the experiments of this project ask for.
func ownImages(cluster layout.Cluster) error {
	programs := map[string]string{}
	for _, name := range []string{"busybox", "etcd", "etcdctl"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		programs[name] = path
	}
	pause, err := beside("pause")
	if err != nil {
		return err
	}
	shell := programs["busybox"] + ":/bin/busybox"
	return errors.Join(
		image.Write(cluster.Path("images", "pause.tar"), image.Spec{
			Names: []string{node.PauseImage}, Files: []string{pause + ":/pause"}, Entrypoint: []string{"/pause"},
		}),
		image.Write(cluster.Path("images", "busybox.tar"), image.Spec{
			Names: []string{"docker.io/library/busybox:1"}, Files: []string{shell},
		}),
		image.Write(cluster.Path("images", "etcd.tar"), image.Spec{
			Names: []string{"registry.k8s.io/etcd:3.4.23-0", "seatrial.test/etcd:1"},
			Files: []string{shell, programs["etcd"] + ":/usr/local/bin/etcd", programs["etcdctl"] + ":/usr/local/bin/etcdctl"},
		}),
	)
}

// LoadImage makes an image of programs of this machine and gives it to every node; a node that is off gets it when it
// starts.
func LoadImage(dir string, spec image.Spec) error {
	cluster, err := layout.Load(dir)
	if err != nil {
		return err
	}
	for index, name := range spec.Names {
		spec.Names[index] = qualified(name)
	}
	archive := cluster.Path("images", strings.NewReplacer("/", "_", ":", "_").Replace(spec.Names[0])+".tar")
	if err := image.Write(archive, spec); err != nil {
		return fmt.Errorf("making image %s: %w", spec.Names[0], err)
	}
	return inParallel(cluster, func(number int) error {
		running, ok := process.Read(cluster.Record(layout.NodeName(number)))
		if !ok || !running.Alive() {
			return nil
		}
		socket := fmt.Sprintf("/proc/%d/root/run/containerd/containerd.sock", running.PID)
		out, err := exec.Command("ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", archive).CombinedOutput()
		if err != nil {
			return fmt.Errorf("importing image %s into node %s: %w: %s", spec.Names[0], layout.NodeName(number), err, out)
		}
		return nil
	})
}

// qualified writes a name as containerd stores it: with registry and tag.
func qualified(name string) string {
	first, _, isPath := strings.Cut(name, "/")
	switch {
	case !isPath:
		name = "docker.io/library/" + name
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		name = "docker.io/" + name
	}
	if !strings.Contains(name[strings.LastIndexByte(name, '/'):], ":") {
		name += ":latest"
	}
	return name
}

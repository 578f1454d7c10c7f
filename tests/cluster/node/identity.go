package node

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"seatrial.dev/tests/cluster/layout"
)

// makeIdentity gives the node its host name and machine id, which stay, and a boot id, which is new with every start.
func makeIdentity(cluster layout.Cluster, number int) error {
	name := layout.NodeName(number)
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	hex := fmt.Sprintf("%x", random)
	boot := strings.Join([]string{hex[:8], hex[8:12], hex[12:16], hex[16:20], hex[20:]}, "-")
	files := map[string]string{
		"/etc/hostname":   name + "\n",
		"/etc/hosts":      fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", cluster.NodeAddress(number), name),
		"/etc/machine-id": fmt.Sprintf("%s%026d\n", cluster.ID, number),
	}
	for file, text := range files {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return fmt.Errorf("naming the node: %w", err)
		}
	}
	// Kubelet sets the kernel's parameters below, which all of this machine shares. It finds them set already.
	return cover(map[string]string{
		"kernel/random/boot_id":     boot,
		"kernel/keys/root_maxbytes": "25000000",
		"kernel/keys/root_maxkeys":  "1000000",
		"kernel/panic":              "10",
		"kernel/panic_on_oops":      "1",
		"vm/overcommit_memory":      "1",
		"vm/panic_on_oom":           "0",
	})
}

func cover(parameters map[string]string) error {
	for name, value := range parameters {
		own := filepath.Join(given, "sysctl", name)
		if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(own, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(own, filepath.Join("/proc/sys", name), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("covering the kernel parameter %s: %w", name, err)
		}
	}
	return nil
}

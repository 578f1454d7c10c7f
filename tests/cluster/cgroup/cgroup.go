// Package cgroup gives each process of the cluster a group of its own in every hierarchy of this machine, whichever
// version they are. The groups find processes that no record names, and are what a node sees as its root.
package cgroup

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Hierarchy is one mounted tree of groups.
type Hierarchy struct {
	Mount   string
	Version int
	Options string // what to mount it with again: its controllers, or its name
}

// Hierarchies lists what is mounted under /sys/fs/cgroup.
func Hierarchies() ([]Hierarchy, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	var found []Hierarchy
	for _, line := range strings.Split(string(text), "\n") {
		head, tail, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(head), strings.Fields(tail)
		if !ok || len(fields) < 5 || len(kind) < 3 || !strings.HasPrefix(fields[4], "/sys/fs/cgroup") {
			continue
		}
		switch kind[0] {
		case "cgroup":
			var options []string
			for _, option := range strings.Split(kind[2], ",") {
				switch {
				case strings.HasPrefix(option, "name="):
					options = append([]string{"none"}, append(options, option)...)
				case option != "rw" && option != "ro" && option != "xattr" && !strings.Contains(option, "="):
					options = append(options, option)
				}
			}
			found = append(found, Hierarchy{Mount: fields[4], Version: 1, Options: strings.Join(options, ",")})
		case "cgroup2":
			found = append(found, Hierarchy{Mount: fields[4], Version: 2})
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no cgroup hierarchy is mounted under /sys/fs/cgroup: mount one, or run on a machine that has them")
	}
	return found, nil
}

// Join puts the calling process into the group, which is made where it is missing.
func Join(group string) error {
	hierarchies, err := Hierarchies()
	if err != nil {
		return err
	}
	for _, hierarchy := range hierarchies {
		at := hierarchy.Mount
		for _, part := range strings.Split(group, "/") {
			if hierarchy.Version == 2 {
				Delegate(at)
			}
			at = filepath.Join(at, part)
			if err := os.MkdirAll(at, 0o755); err != nil {
				return fmt.Errorf("making cgroup %s: %w", at, err)
			}
			inheritCPUs(at)
		}
		if err := os.WriteFile(filepath.Join(at, "cgroup.procs"), []byte("0"), 0o644); err != nil {
			return fmt.Errorf("joining cgroup %s: %w", at, err)
		}
	}
	return nil
}

// Delegate turns on all controllers below a group of version 2. A controller that cannot be turned on is one that the
// cluster does without: kubelet says so if it matters.
func Delegate(group string) {
	text, _ := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	for _, controller := range strings.Fields(string(text)) {
		_ = os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
}

// A new cpuset group of version 1 has no processors and takes no process (cpuset(7)).
func inheritCPUs(group string) {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(group, name))
		if err != nil || strings.TrimSpace(string(own)) != "" {
			continue
		}
		above, err := os.ReadFile(filepath.Join(filepath.Dir(group), name))
		if err == nil {
			_ = os.WriteFile(filepath.Join(group, name), above, 0o644)
		}
	}
}

// Empty kills whatever is in the group and below it, in every hierarchy, and removes the groups. Frozen groups are
// thawed first, because a frozen process does not die.
func Empty(group string, within time.Duration) error {
	hierarchies, err := Hierarchies()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(within)
	for {
		left := ""
		for _, hierarchy := range hierarchies {
			if at := filepath.Join(hierarchy.Mount, group); !removeTree(at) {
				left = at
			}
		}
		if left == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cgroup %s cannot be emptied: processes %v do not end", left, processes(left))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func removeTree(at string) bool {
	var folders []string
	_ = filepath.WalkDir(at, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return nil
	})
	for _, folder := range folders {
		_ = os.WriteFile(filepath.Join(folder, "cgroup.freeze"), []byte("0"), 0o644)
		_ = os.WriteFile(filepath.Join(folder, "freezer.state"), []byte("THAWED"), 0o644)
		for _, pid := range processes(folder) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	for index := len(folders) - 1; index >= 0; index-- {
		_ = unix.Rmdir(folders[index])
	}
	_, err := os.Stat(at)
	return err != nil
}

func processes(folder string) []int {
	text, _ := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
	var pids []int
	for _, line := range strings.Fields(string(text)) {
		// Zero stands for a process of another pid namespace that this one cannot see.
		if pid, err := strconv.Atoi(line); err == nil && pid > 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}

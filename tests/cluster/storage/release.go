package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const ioctlThaw = 0xC0045878 // FITHAW, _IOWR('X', 120, int)

// Thaw ends whatever freeze holds the volumes that a node has mounted; all nodes' if none is named. A frozen file system
// outlives its node's mounts, and its writers outlive SIGKILL, so a power cut has to thaw as a real one would.
func Thaw(folder, node string) {
	driver := &Driver{folder: folder}
	for _, device := range Devices(folder) {
		id := strings.TrimSuffix(filepath.Base(backing(device)), ".img")
		if known, err := driver.load(id); err == nil && node != "" && known.Node != node {
			continue
		}
		if inUse(device) {
			thaw(device)
		}
	}
}

// thaw reaches the file system by a mount of its own that is attached nowhere (fsopen(2), fsmount(2)).
func thaw(device string) {
	context, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return
	}
	defer unix.Close(context)
	if unix.FsconfigSetString(context, "source", device) != nil || unix.FsconfigCreate(context) != nil {
		return
	}
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(mount)
	root, err := unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(root)
	// A freeze counts (Linux 6.6 and later nest them); EINVAL says that none is left.
	for range 64 {
		if _, err := unix.IoctlGetInt(root, ioctlThaw); err != nil {
			return
		}
	}
}

// Release takes the device from every volume, when no node is left that could use one.
func Release(folder string, within time.Duration) error {
	for deadline := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		var failed error
		for _, device := range Devices(folder) {
			if inUse(device) {
				thaw(device)
			}
			if err := detach(device); err != nil {
				failed = errors.Join(failed, fmt.Errorf("detaching %s: %w", device, err))
			}
		}
		if failed == nil || time.Now().After(deadline) {
			return failed
		}
	}
}

package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

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
			thawAll(device)
		}
	}
}

// Release takes the device from every volume, when no node is left that could use one.
func Release(folder string, within time.Duration) error {
	for deadline := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		var failed error
		for _, device := range Devices(folder) {
			if inUse(device) {
				thawAll(device)
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

package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	ioctlFreeze = 0xC0045877 // FIFREEZE, _IOWR('X', 119, int)
	ioctlThaw   = 0xC0045878 // FITHAW, _IOWR('X', 120, int)
)

// whileFrozen does something while nothing is written to the file system of a mounted device. A frozen ext4 has an empty
// journal and every write that was acknowledged: a copy of the device is one that was unmounted properly. Syncing alone
// would not do, because blocks that are written while others are copied make a file system that never was.
//
// A freeze outlives the process that asked for it: whoever calls this leaves a note first, see thawLeftovers.
func whileFrozen(device string, do func() error) error {
	root, err := openFileSystem(device)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	if err := unix.IoctlSetInt(root, ioctlFreeze, 0); err != nil {
		return fmt.Errorf("freezing the file system of %s: %w", device, err)
	}
	done := do()
	if err := unix.IoctlSetInt(root, ioctlThaw, 0); err != nil {
		// Somebody else may have thawed it, and then the copy is worth nothing.
		return errors.Join(done, fmt.Errorf("thawing the file system of %s: %w", device, err))
	}
	return done
}

// openFileSystem reaches the file system of a mounted device, wherever it is mounted, by a mount of its own that is
// attached nowhere (fsopen(2), fsmount(2)).
func openFileSystem(device string) (int, error) {
	context, err := unix.Fsopen("ext4", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("opening ext4: %w", err)
	}
	defer unix.Close(context)
	if err := unix.FsconfigSetString(context, "source", device); err != nil {
		return -1, fmt.Errorf("naming %s: %w", device, err)
	}
	if err := unix.FsconfigCreate(context); err != nil {
		return -1, fmt.Errorf("reaching the file system of %s: %w", device, err)
	}
	mount, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("mounting the file system of %s: %w", device, err)
	}
	defer unix.Close(mount)
	root, err := unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening the file system of %s: %w", device, err)
	}
	return root, nil
}

// thawAll ends every freeze of a device.
func thawAll(device string) {
	root, err := openFileSystem(device)
	if err != nil {
		return
	}
	defer unix.Close(root)
	// A freeze counts (Linux 6.6 and later nest them); EINVAL says that none is left.
	for range 64 {
		if unix.IoctlSetInt(root, ioctlThaw, 0) != nil {
			return
		}
	}
}

// thawLeftovers ends the freezes of snapshots that a driver was taking when it died. Freezes of others stay.
func (d *Driver) thawLeftovers() error {
	descriptions, err := filepath.Glob(d.description("*"))
	if err != nil {
		return err
	}
	for _, description := range descriptions {
		id := strings.TrimSuffix(filepath.Base(description), ".json")
		known, err := d.load(id)
		if err != nil {
			return err
		}
		if !known.Frozen {
			continue
		}
		if device := deviceOf(d.image(id)); device != "" && inUse(device) {
			root, err := openFileSystem(device)
			if err != nil {
				return err
			}
			err = unix.IoctlSetInt(root, ioctlThaw, 0)
			unix.Close(root)
			if err != nil && !errors.Is(err, unix.EINVAL) { // not frozen: it died before or after
				return fmt.Errorf("thawing the file system of %s: %w", device, err)
			}
		}
		known.Frozen = false
		if err := d.store(id, known); err != nil {
			return err
		}
	}
	return nil
}

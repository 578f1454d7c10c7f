package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const loopMajor = 7 // loop(4)

// attach gives the file a free loop device (loop(4)).
func attach(image string) (string, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("opening the loop devices' control: %w", err)
	}
	defer control.Close()
	file, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	for range 100 {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return "", fmt.Errorf("asking for a free loop device: %w", err)
		}
		device := fmt.Sprintf("/dev/loop%d", number)
		if err := configure(device, file); err == nil {
			return device, nil
		} else if !errors.Is(err, unix.EBUSY) { // somebody else was quicker
			return "", fmt.Errorf("configuring %s: %w", device, err)
		}
	}
	return "", errors.New("each free loop device was taken by somebody else first")
}

// open opens a loop device, and makes its file first where there is none: a container's /dev does not follow the kernel's.
func open(device string, flags int) (*os.File, error) {
	if _, err := os.Stat(device); errors.Is(err, fs.ErrNotExist) {
		var number uint32
		if _, err := fmt.Sscanf(device, "/dev/loop%d", &number); err != nil {
			return nil, fmt.Errorf("%q is no loop device: %w", device, err)
		}
		if err := unix.Mknod(device, unix.S_IFBLK|0o600, int(unix.Mkdev(loopMajor, number))); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("making %s: %w", device, err)
		}
	}
	return os.OpenFile(device, flags, 0)
}

func configure(device string, image *os.File) error {
	opened, err := open(device, os.O_RDWR)
	if err != nil {
		return err
	}
	defer opened.Close()
	config := unix.LoopConfig{Fd: uint32(image.Fd())}
	copy(config.Info.File_name[:], image.Name())
	return unix.IoctlLoopConfigure(int(opened.Fd()), &config)
}

// detach frees the device, or says who keeps it.
func detach(device string) error {
	if inUse(device) {
		return fmt.Errorf("%s is still mounted", device)
	}
	opened, err := open(device, os.O_RDWR)
	if err != nil {
		return err
	}
	image := backing(device)
	err = unix.IoctlSetInt(int(opened.Fd()), unix.LOOP_CLR_FD, 0)
	opened.Close()
	if err != nil && !errors.Is(err, unix.ENXIO) {
		return err
	}
	// A device that somebody holds is cleared when the last one lets go (loop(4)).
	for deadline := time.Now().Add(2 * time.Second); backing(device) == image; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is held open by a process", device)
		}
	}
	return nil
}

// inUse says whether a mounted file system claims the device (open(2), O_EXCL on block devices).
func inUse(device string) bool {
	opened, err := open(device, os.O_RDONLY|unix.O_EXCL)
	if err != nil {
		return errors.Is(err, unix.EBUSY)
	}
	opened.Close()
	return false
}

// backing is the file behind a loop device, or nothing. Of a file that was opened in a mount namespace that is gone, only
// the last part of the path can be relied on.
func backing(device string) string {
	text, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(device), "loop/backing_file"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSpace(string(text)), " (deleted)")
}

// holds says whether a loop device has this very file, whatever the path by which it was opened.
func holds(device, image string) bool {
	opened, err := open(device, os.O_RDONLY)
	if err != nil {
		return false
	}
	defer opened.Close()
	var file unix.Stat_t
	if unix.Stat(image, &file) != nil {
		return false
	}
	held, err := unix.IoctlLoopGetStatus64(int(opened.Fd()))
	return err == nil && held.Inode == file.Ino && held.Device == file.Dev
}

// deviceOf finds the loop device that an image has, or nothing. The kernel is asked and not what was written down,
// because a second device for the same file would destroy what is on it.
func deviceOf(image string) string {
	for _, device := range configured() {
		if filepath.Base(backing(device)) == filepath.Base(image) && holds(device, image) {
			return device
		}
	}
	return ""
}

// configured lists the loop devices that have a file.
func configured() []string {
	var found []string
	blocks, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, block := range blocks {
		found = append(found, "/dev/"+filepath.Base(filepath.Dir(filepath.Dir(block))))
	}
	return found
}

// Devices lists the loop devices whose files lie in the folder, or lay there.
func Devices(folder string) []string {
	var found []string
	for _, device := range configured() {
		file := backing(device)
		if strings.HasPrefix(file, folder+"/") || holds(device, filepath.Join(folder, filepath.Base(file))) {
			found = append(found, device)
		}
	}
	return found
}

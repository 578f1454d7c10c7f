package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

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
		if err := configure(device, number, file); err == nil {
			return device, nil
		} else if !errors.Is(err, unix.EBUSY) { // somebody else was quicker
			return "", fmt.Errorf("configuring %s: %w", device, err)
		}
	}
	return "", errors.New("each free loop device was taken by somebody else first")
}

func configure(device string, number int, image *os.File) error {
	if _, err := os.Stat(device); err != nil {
		// A container's /dev does not follow the kernel's.
		if err := unix.Mknod(device, unix.S_IFBLK|0o600, int(unix.Mkdev(7, uint32(number)))); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	opened, err := os.OpenFile(device, os.O_RDWR, 0)
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
	opened, err := os.OpenFile(device, os.O_RDWR, 0)
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
	opened, err := os.OpenFile(device, os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		return errors.Is(err, unix.EBUSY)
	}
	opened.Close()
	return false
}

// backing is the file behind a loop device, or nothing.
func backing(device string) string {
	text, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(device), "loop/backing_file"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSpace(string(text)), " (deleted)")
}

// Devices lists the loop devices whose files lie in the folder.
func Devices(folder string) []string {
	var found []string
	blocks, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, block := range blocks {
		device := "/dev/" + filepath.Base(filepath.Dir(filepath.Dir(block)))
		if strings.HasPrefix(backing(device), folder+"/") {
			found = append(found, device)
		}
	}
	return found
}

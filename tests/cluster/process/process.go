// Package process names processes so that a number used again is never mistaken for the process that had it.
package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Identity is a pid and the time that process started, in clock ticks since boot (proc_pid_stat(5), field 22).
type Identity struct {
	PID   int    `json:"pid"`
	Start string `json:"start"`
}

// RecordSelf writes the caller's identity, as this machine sees it, before the caller becomes the program that it is
// for. So there is no moment at which a program runs that no record names.
func RecordSelf(file string) error {
	// The mounted /proc belongs to the machine's pid namespace even while the caller is the first process of its own.
	link, err := os.Readlink("/proc/self")
	if err != nil {
		return fmt.Errorf("finding this process in /proc: %w", err)
	}
	pid, err := strconv.Atoi(link)
	if err != nil {
		return fmt.Errorf("reading the link /proc/self: %w", err)
	}
	start, err := startTime(pid)
	if err != nil {
		return err
	}
	text, err := json.Marshal(Identity{PID: pid, Start: start})
	if err != nil {
		return err
	}
	next := file + ".next"
	if err := os.WriteFile(next, text, 0o644); err != nil {
		return err
	}
	return os.Rename(next, file)
}

// Read reads a record; no record is no process.
func Read(file string) (Identity, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Identity{}, false
	}
	var identity Identity
	if json.Unmarshal(text, &identity) != nil || identity.PID <= 1 {
		return Identity{}, false
	}
	return identity, true
}

// Records lists the names of all records in a folder.
func Records(folder string) []string {
	files, _ := filepath.Glob(filepath.Join(folder, "*.json"))
	names := make([]string, 0, len(files))
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	return names
}

// Alive says whether this very process still runs. A zombie does not.
func (i Identity) Alive() bool {
	start, err := startTime(i.PID)
	return err == nil && start == i.Start
}

// Signal reaches this very process or none.
func (i Identity) Signal(signal unix.Signal) error {
	descriptor, err := unix.PidfdOpen(i.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening process %d: %w", i.PID, err)
	}
	defer unix.Close(descriptor)
	if !i.Alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(descriptor, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("sending signal %v to process %d: %w", signal, i.PID, err)
	}
	return nil
}

// WaitGone waits until the process has ended.
func (i Identity) WaitGone(within time.Duration) bool {
	for deadline := time.Now().Add(within); i.Alive(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

var errZombie = errors.New("the process has ended")

func startTime(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			return "", errZombie
		}
		return "", fmt.Errorf("reading the state of process %d: %w", pid, err)
	}
	// The second field is the program's name in parentheses and may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return "", fmt.Errorf("the state of process %d has %d fields", pid, len(fields))
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", errZombie
	}
	return fields[19], nil
}

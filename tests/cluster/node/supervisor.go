package node

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	restartDelay = time.Second
	stopPatience = 10 * time.Second
)

// supervisor is what systemd is on a machine: it starts programs, starts again what dies, and reaps every orphan of the
// pid namespace.
type supervisor struct {
	mutex    sync.Mutex
	exits    map[int]chan syscall.WaitStatus
	stopping chan os.Signal
	ending   atomic.Bool
}

func newSupervisor() *supervisor {
	s := &supervisor{exits: map[int]chan syscall.WaitStatus{}, stopping: make(chan os.Signal, 1)}
	signal.Notify(s.stopping, syscall.SIGTERM)
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	go func() {
		for range children {
			s.reap()
		}
	}()
	return s
}

func (s *supervisor) reap() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
		if exit, ours := s.exits[pid]; ours {
			delete(s.exits, pid)
			exit <- status
		}
	}
}

// start runs a program with its output in its log, and gives the channel that tells of its end.
func (s *supervisor) start(name string, command ...string) (<-chan syscall.WaitStatus, error) {
	log, err := os.OpenFile(filepath.Join(logs, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	program, err := lookUp(command[0])
	if err != nil {
		return nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	started, err := os.StartProcess(program, command, &os.ProcAttr{
		Env:   []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"},
		Files: []*os.File{nil, log, log},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, err
	}
	exit := make(chan syscall.WaitStatus, 1)
	s.exits[started.Pid] = exit
	return exit, started.Release()
}

// keep starts a program and starts it again when it ends, a second later.
func (s *supervisor) keep(name string, command ...string) {
	go func() {
		for ; !s.ending.Load(); time.Sleep(restartDelay) {
			exit, err := s.start(name, command...)
			if err != nil {
				fmt.Fprintf(os.Stderr, "starting %s: %v\n", name, err)
				continue
			}
			status := <-exit
			fmt.Fprintf(os.Stderr, "%s ended (exit code %d, signal %d) and is started again\n", name, status.ExitStatus(), status.Signal())
		}
	}()
}

// run waits for a program's end.
func (s *supervisor) run(name string, command ...string) error {
	exit, err := s.start(name, command...)
	if err != nil {
		return err
	}
	if status := <-exit; status != 0 {
		return fmt.Errorf("%s ended with exit code %d, see %s", command[0], status.ExitStatus(), filepath.Join(logs, name+".log"))
	}
	return nil
}

// waitForStop returns when the node was told to stop and everything has had time to end. The kernel kills what is left
// when this process ends.
func (s *supervisor) waitForStop() {
	<-s.stopping
	s.ending.Store(true)
	_ = syscall.Kill(-1, syscall.SIGTERM)
	for deadline := time.Now().Add(stopPatience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if alone() {
			return
		}
	}
}

// alone says whether no other process is left in the pid namespace.
func alone() bool {
	numbers, err := filepath.Glob("/proc/[0-9]*")
	return err == nil && len(numbers) <= 1
}

func lookUp(program string) (string, error) {
	if filepath.IsAbs(program) {
		return program, nil
	}
	for _, folder := range []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		if info, err := os.Stat(filepath.Join(folder, program)); err == nil && !info.IsDir() {
			return filepath.Join(folder, program), nil
		}
	}
	return "", fmt.Errorf("there is no program %s on this machine", program)
}

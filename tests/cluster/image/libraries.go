package image

import (
	"debug/elf"
	"fmt"
	"os/exec"
	"strings"
)

// libraries asks the program's own loader which shared libraries it would load, as ldd(1) does. A static program and a
// file that is no program need none.
func libraries(file string) ([]string, error) {
	program, err := elf.Open(file)
	if err != nil {
		return nil, nil
	}
	defer program.Close()
	loader := ""
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			text := make([]byte, segment.Filesz)
			if _, err := segment.ReadAt(text, 0); err != nil {
				return nil, fmt.Errorf("reading which loader %s needs: %w", file, err)
			}
			loader = strings.TrimRight(string(text), "\x00")
		}
	}
	if loader == "" {
		return nil, nil
	}
	out, err := exec.Command(loader, "--list", file).Output()
	if err != nil {
		return nil, fmt.Errorf("asking %s for the libraries of %s: %w", loader, file, err)
	}
	found := []string{loader}
	for _, line := range strings.Split(string(out), "\n") {
		_, library, ok := strings.Cut(line, "=> ")
		library, _, _ = strings.Cut(library, " (")
		if ok && strings.HasPrefix(library, "/") {
			found = append(found, library)
		}
	}
	return found, nil
}

// applets are the programs that one busybox is.
func applets(busybox string) ([]string, error) {
	out, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("asking %s for its programs: %w", busybox, err)
	}
	return strings.Fields(string(out)), nil
}

package node

import (
	"fmt"
	"os"
	"path/filepath"
)

// importImages gives containerd every image of the cluster that it does not have yet. What it has is noted on the node's
// disk, by file, size and time of the archive.
func (s *supervisor) importImages() error {
	archives, err := filepath.Glob(filepath.Join(images, "*.tar"))
	if err != nil {
		return err
	}
	for _, archive := range archives {
		note, err := importNote(archive)
		if err != nil {
			return err
		}
		if _, err := os.Stat(note); err == nil {
			continue
		}
		if err := s.run("images", "ctr", "--address", containerds, "--namespace", "k8s.io", "images", "import", archive); err != nil {
			return err
		}
		if err := os.WriteFile(note, nil, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(disk, ImportsDone), nil, 0o644)
}

// ImportsDone is the file on a node's disk that says that all images of its first start are there.
const ImportsDone = "images-imported"

func importNote(archive string) (string, error) {
	info, err := os.Stat(archive)
	if err != nil {
		return "", err
	}
	return filepath.Join(disk, fmt.Sprintf("imported-%s-%d-%d", info.Name(), info.Size(), info.ModTime().UnixNano())), nil
}

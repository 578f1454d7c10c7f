// Package image makes container images out of programs of this machine, without a container engine.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Spec is what an image holds.
type Spec struct {
	Names      []string // all names of the image, as `docker.io/library/busybox:1`
	Files      []string // FILE or FILE:DESTINATION; shared libraries come along
	Entrypoint []string
}

// Write makes a docker-archive of one layer. The archive appears at once or not at all.
func Write(archive string, spec Spec) error {
	layer, err := layer(spec.Files)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": spec.Entrypoint, "Env": []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": digest(config) + ".json", "RepoTags": spec.Names, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(archive), ".image-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	writer := tar.NewWriter(out)
	for _, entry := range []struct {
		name string
		data []byte
	}{{digest(config) + ".json", config}, {"layer.tar", layer}, {"manifest.json", manifest}} {
		if err := put(writer, &tar.Header{Name: entry.name, Mode: 0o644}, entry.data); err != nil {
			return err
		}
	}
	if err := writer.Close(); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(out.Name(), archive)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// layer is a tar of the files with their libraries, in the order of their names, so that the same files make the same
// image.
func layer(files []string) ([]byte, error) {
	contents := map[string]string{} // destination → file of this machine
	links := map[string]string{}
	for _, file := range files {
		source, destination, given := strings.Cut(file, ":")
		if !given {
			destination = source
		}
		contents[path.Clean("/"+destination)] = source
		libraries, err := libraries(source)
		if err != nil {
			return nil, err
		}
		for _, library := range libraries {
			contents[library] = library
		}
		if filepath.Base(destination) == "busybox" {
			names, err := applets(source)
			if err != nil {
				return nil, err
			}
			for _, name := range names {
				links["/bin/"+name] = path.Clean("/" + destination)
			}
		}
	}
	var out bytes.Buffer
	tree := tree{writer: tar.NewWriter(&out), made: map[string]bool{"/": true}}
	for _, folder := range []string{"/dev", "/etc", "/proc", "/run", "/sys", "/var"} {
		tree.folder(folder, 0o755)
	}
	tree.folder("/tmp", 0o1777)
	for destination := range links {
		if _, taken := contents[destination]; taken {
			delete(links, destination)
		}
	}
	destinations := make([]string, 0, len(contents)+len(links))
	for destination := range contents {
		destinations = append(destinations, destination)
	}
	for destination := range links {
		destinations = append(destinations, destination)
	}
	slices.Sort(destinations)
	for _, destination := range destinations {
		tree.folder(path.Dir(destination), 0o755)
		if target, isLink := links[destination]; isLink {
			tree.add(&tar.Header{Name: destination[1:], Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}, nil)
			continue
		}
		data, err := os.ReadFile(contents[destination])
		if err != nil {
			return nil, fmt.Errorf("reading a file of the image: %w", err)
		}
		info, err := os.Stat(contents[destination])
		if err != nil {
			return nil, err
		}
		tree.add(&tar.Header{Name: destination[1:], Mode: int64(info.Mode().Perm())}, data)
	}
	if tree.failed == nil {
		tree.failed = tree.writer.Close()
	}
	return out.Bytes(), tree.failed
}

// tree writes files and the folders above them, and keeps the first error.
type tree struct {
	writer *tar.Writer
	made   map[string]bool
	failed error
}

func (t *tree) folder(name string, mode int64) {
	if t.made[name] {
		return
	}
	t.folder(path.Dir(name), 0o755)
	t.made[name] = true
	t.add(&tar.Header{Name: name[1:] + "/", Typeflag: tar.TypeDir, Mode: mode}, nil)
}

func (t *tree) add(header *tar.Header, data []byte) {
	if t.failed == nil {
		t.failed = put(t.writer, header, data)
	}
}

func put(writer *tar.Writer, header *tar.Header, data []byte) error {
	header.Size = int64(len(data))
	if err := writer.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(writer, bytes.NewReader(data))
	return err
}

// Package snapshots holds the definitions of VolumeSnapshots as upstream publishes them.
package snapshots

import (
	"embed"
	"fmt"
	"io/fs"

	"sigs.k8s.io/yaml"
)

//go:embed volume*.yaml
var files embed.FS

// Definitions are the CustomResourceDefinitions as JSON.
func Definitions() ([][]byte, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	var definitions [][]byte
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		definition, err := yaml.YAMLToJSON(text)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		definitions = append(definitions, definition)
	}
	return definitions, nil
}

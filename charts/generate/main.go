// Command generate makes what is made of the chart, and what the chart takes over from elsewhere:
//
//	values.yaml                 -> values.schema.json, closed, and README.md
//	k8s/crds, stack/config      -> files/ of the chart
//	stack/config                -> k8s/samples/dialects
//	the chart and ci/*-values   -> k8s/base and k8s/overlays, for kustomize
//
// Run it in the folder of the charts, as `make generate` does. Nothing else writes these files; a test holds them to it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"cloakroom.dev/charts/internal/made"
)

func main() {
	for _, step := range made.Steps {
		files, err := step("..")
		if err == nil {
			err = write("..", files)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "generate:", err)
			os.Exit(1)
		}
	}
}

func write(root string, files map[string][]byte) error {
	for name, body := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // sources are for everyone to read
			return err
		}
		if err := os.WriteFile(path, body, 0o644); err != nil { //nolint:gosec // likewise
			return err
		}
	}
	return nil
}

// Observe makes what a cluster watches Cloakroom with: dashboards for Grafana, and recording rules and alerts for
// Prometheus, as a plain rule file and as the object that the Prometheus operator reads.
//
//	go run . [-thresholds FILE] [-runbooks URL] [-out DIR]
//
// Everything comes from code and from one file of thresholds, so that a changed metric or a new threshold is changed in one place. The
// output is the same for the same input.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"cloakroom.dev/k8s/observe/alerts"
	"cloakroom.dev/k8s/observe/dashboards"
)

func main() {
	out := flag.String("out", "..", "folder that gets dashboards/ and alerts/")
	own := flag.String("thresholds", "", "file of thresholds that take the place of the built-in ones")
	runbooks := flag.String("runbooks", "", "address of the folder where your people read the runbooks (default: the path in the repository)")
	flag.Parse()
	if err := generate(*out, *own, *runbooks); err != nil {
		fmt.Fprintln(os.Stderr, "observe:", err)
		os.Exit(1)
	}
}

func generate(out, own, runbooks string) error {
	thresholds, err := alerts.Defaults()
	if err != nil {
		return err
	}
	if own != "" {
		raw, err := os.ReadFile(own)
		if err != nil {
			return err
		}
		if thresholds, err = thresholds.With(raw); err != nil {
			return fmt.Errorf("%s: %w", own, err)
		}
	}
	written, err := alerts.Files(thresholds, runbooks)
	if err != nil {
		return err
	}
	boards, err := dashboards.Files()
	if err != nil {
		return err
	}
	return write(out, map[string]map[string][]byte{"alerts": written, "dashboards": boards})
}

func write(out string, folders map[string]map[string][]byte) error {
	for folder, files := range folders {
		if err := os.MkdirAll(filepath.Join(out, folder), 0o750); err != nil {
			return err
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(out, folder, name), content, 0o644); err != nil { //nolint:gosec // files of the repository, for everybody
				return err
			}
		}
	}
	return nil
}

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What is committed is what the code makes; `make verify` says the same of the whole tree.
func TestGenerate_MakesWhatIsCommitted(t *testing.T) {
	out := t.TempDir()
	if err := generate(out, "", ""); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"alerts", "dashboards"} {
		made, err := filepath.Glob(filepath.Join(out, folder, "*"))
		if err != nil || len(made) == 0 {
			t.Fatalf("%s: %q %v", folder, made, err)
		}
		for _, path := range made {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join("..", folder, filepath.Base(path)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s/%s is not what the code makes: run `make generate` (%v)", folder, filepath.Base(path), err)
			}
		}
	}
}

func TestGenerate_TakesThresholdsOfAFile(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own.yaml")
	if err := os.WriteFile(own, []byte("revocationLagSeconds: 1.25\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := generate(dir, own, ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cloakroom.rules.yaml", "prometheusrule.yaml"} {
		raw, err := os.ReadFile(filepath.Join(dir, "alerts", name))
		if err != nil || !bytes.Contains(raw, []byte("1.25")) {
			t.Errorf("%s knows nothing of it: %v", name, err)
		}
	}
}

package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"cloakroom.dev/libs/run"
)

// made makes this very command's image twice over, for it is the smallest program at hand.
func made(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	authorities := filepath.Join(dir, "authorities")
	if err := os.WriteFile(authorities, []byte("authorities\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := plan{out: dir, prefix: "test", tag: "one", version: "v1.2.3"}
	raw, err := os.ReadFile(authorities)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.make(t.Context(), program{"images", "cloakroom.dev/stack/images", []string{"1/tcp"}, "itself"}, raw); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestImage_IsTheSameBytesEachTime(t *testing.T) {
	first, second := made(t), made(t)
	for _, name := range []string{"images.tar", "images.cdx.json"} {
		a, errA := os.ReadFile(filepath.Join(first, name))
		b, errB := os.ReadFile(filepath.Join(second, name))
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs between two makings of one source", name)
		}
	}
	checkImage(t, unpack(t, readFile(t, filepath.Join(first, "images.tar"))))
	checkBill(t, readFile(t, filepath.Join(first, "images.cdx.json")))
}

func checkImage(t *testing.T, image map[string][]byte) {
	t.Helper()
	var manifest []struct {
		Config   string
		RepoTags []string
	}
	if err := json.Unmarshal(image["manifest.json"], &manifest); err != nil || len(manifest) != 1 || manifest[0].RepoTags[0] != "test/images:one" {
		t.Fatalf("manifest is %s (%v)", image["manifest.json"], err)
	}
	var c imageConfig
	if err := json.Unmarshal(image[manifest[0].Config], &c); err != nil {
		t.Fatal(err)
	}
	if c.Config.User != "65532:65532" || c.Config.Labels["org.opencontainers.image.version"] != "v1.2.3" {
		t.Errorf("the image runs as %q with labels %v", c.Config.User, c.Config.Labels)
	}
	if _, ok := c.Config.Volumes["/tmp"]; !ok {
		t.Error("/tmp is no volume: a read-only root would leave nowhere to write")
	}
	if want := "sha256:" + digest(image["layer.tar"]); c.RootFS.DiffIDs[0] != want {
		t.Errorf("the layer is %s, the image says %s", want, c.RootFS.DiffIDs[0])
	}
	layer := unpack(t, image["layer.tar"])
	for name := range layer {
		switch name {
		case "data/", "etc/", "etc/cloakroom/", "etc/ssl/", "etc/ssl/certs/", "etc/ssl/certs/ca-certificates.crt", "images", "tmp/":
		default:
			t.Errorf("the image has %s, which nobody needs", name)
		}
	}
	if !bytes.HasPrefix(layer["images"], []byte("\x7fELF")) {
		t.Error("the program in the image is none for Linux")
	}
}

func checkBill(t *testing.T, raw []byte) {
	t.Helper()
	var b bill
	if err := json.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, c := range b.Components {
		if c.Version == "" || found[c.Name] {
			t.Errorf("component %+v has no version, or is there twice", c)
		}
		found[c.Name] = true
	}
	if !found["std"] || !found["cloakroom.dev/libs"] || b.Metadata.Component.Version != "v1.2.3" {
		t.Errorf("the bill is %s", raw)
	}
}

func TestChoose_KnowsThePrograms(t *testing.T) {
	if all, err := choose(nil); err != nil || len(all) != 4 {
		t.Errorf("without names %d programs, %v", len(all), err)
	}
	if _, err := choose([]string{"gateway", "nobody"}); !errors.Is(err, run.ErrUsage) {
		t.Errorf("an unknown program: %v, want usage", err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 0 {
			t.Errorf("%s has a time", h.Name)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

package dir

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"

	"sigs.k8s.io/yaml"
)

// statusFiles keeps one file per object. The zero value keeps none.
type statusFiles struct {
	folder  string
	kinds   []string          // only files of these kinds are ours; empty means all
	written map[string]string // file name to content
}

// write brings the folder up to date. Files whose content didn't change are left alone.
func (f *statusFiles) write(records []resource.Record) error {
	if f.folder == "" {
		return nil
	}
	current := map[string]bool{}
	for _, r := range records {
		name := fileName(r.Kind, r.Name)
		current[name] = true
		text, err := statusText(r)
		if err != nil {
			return err
		}
		if f.written[name] == text {
			continue
		}
		if err := replace(filepath.Join(f.folder, name), text); err != nil {
			return err
		}
		f.written[name] = text
	}
	return f.sweep(current)
}

// fileName fits into the 255 bytes a file system allows, whatever the name.
func fileName(kind, name string) string {
	if len(name) > 200 {
		sum := sha256.Sum256([]byte(name))
		name = name[:180] + "-" + hex.EncodeToString(sum[:8])
	}
	return strings.ToLower(kind) + "-" + name + ".yaml"
}

// sweep removes the status of objects that are gone, those of an earlier process included.
func (f *statusFiles) sweep(current map[string]bool) error {
	entries, err := os.ReadDir(f.folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !current[e.Name()] && f.ours(e.Name()) {
			if err := os.Remove(filepath.Join(f.folder, e.Name())); err != nil && !os.IsNotExist(err) {
				return err
			}
			delete(f.written, e.Name())
		}
	}
	return nil
}

func (f *statusFiles) ours(name string) bool {
	prefix, _, ok := strings.Cut(name, "-")
	if !ok || filepath.Ext(name) != ".yaml" {
		return false
	}
	kinds := f.kinds
	if len(kinds) == 0 {
		kinds = v1alpha1.Kinds()
	}
	return slices.ContainsFunc(kinds, func(k string) bool { return strings.ToLower(k) == prefix })
}

// statusText has the shape of the object as a cluster would show it, without its spec.
func statusText(r resource.Record) (string, error) {
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(),
		"kind":       r.Kind,
		"metadata":   map[string]any{"name": r.Name, "generation": r.Generation},
		"status":     map[string]any{"conditions": r.Conditions},
	})
	if err != nil {
		return "", fmt.Errorf("write status of %s/%s: %w", r.Kind, r.Name, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Written by Cloakroom about %s:%d; changes here are lost.\n", r.File, r.Line)
	b.Write(text)
	return b.String(), nil
}

// replace puts a whole file in place, so that a reader never sees half of one.
func replace(path, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".status-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if closing := tmp.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

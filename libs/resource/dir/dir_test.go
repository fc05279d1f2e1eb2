package dir

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/board"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestLoad_NeedsSomethingToRead(t *testing.T) {
	if _, err := New(t.TempDir(), Options{}).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "no resource in") {
		t.Error(err)
	}
	if _, err := New(filepath.Join(t.TempDir(), "none"), Options{}).Load(t.Context()); err == nil {
		t.Error("loaded a folder that doesn't exist")
	}
}

func TestLoad_OnlyTheKindsAskedFor(t *testing.T) {
	folder := t.TempDir()
	r := &rig{t: t, folder: folder}
	r.write("a.yaml", policy("a", "10Gi")+"---\napiVersion: cloakroom.dev/v1alpha1\nkind: Route\nmetadata: {name: bad}\nspec: {}\n")
	s := New(folder, Options{Kinds: []string{v1alpha1.KindStoragePolicy}})
	snapshot, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantQuotas(t, snapshot, map[string]string{"a": "10Gi"})
	if f := s.Findings(); len(f) != 0 {
		t.Errorf("judged another service's object: %v", f)
	}
}

func TestRead_IsBounded(t *testing.T) {
	folder := t.TempDir()
	r := &rig{t: t, folder: folder}
	many := strings.Repeat(policy("a", "1Gi")+"---\n", maxObjects)
	r.write("a.yaml", policy("a", "10Gi"), "big.yaml", strings.Repeat("#", maxFileBytes+1), "many.yaml", many)
	if err := os.Mkdir(filepath.Join(folder, "folder.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(folder, filepath.Join(folder, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	got, err := read(folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, f := range got.look.Unreadable {
		told = append(told, strings.TrimPrefix(f.String(), folder+"/"))
	}
	want := []string{
		"big.yaml: larger than 1048576 bytes",
		"link.yaml: " + folder + "/link.yaml is not a regular file",
		"many.yaml: the folder holds more than 1000 objects: this file is left out",
	}
	if diff := cmp.Diff(want, told); diff != "" || len(got.look.Documents) != 1 {
		t.Errorf("%d documents, %s", len(got.look.Documents), diff)
	}
}

func TestKeepStatus_WritesAndSweeps(t *testing.T) {
	r := newRig(t, Options{}, "a.yaml", policy("a", "10Gi")+"---\n"+policy("b", "10Gi"))
	state := t.TempDir()
	status := filepath.Join(state, "status")
	if err := os.Mkdir(status, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, stale := range []string{"route-of-yesterday.yaml", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(status, stale), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.KeepStatus(state); err != nil {
		t.Fatal(err)
	}
	snapshot, _ := r.Load(t.Context())
	a, _ := resource.Named[*v1alpha1.StoragePolicy](snapshot, "a")
	if err := r.Report(t.Context(), []resource.Status{resource.Programmed(a)}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(status, "storagepolicy-a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Written by Cloakroom about " + r.folder + "/a.yaml:1;", "kind: StoragePolicy", "generation: 1", "type: Ready", "observedGeneration: 1"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("status lacks %q:\n%s", want, text)
		}
	}
	if diff := cmp.Diff([]string{"notes.txt", "storagepolicy-a.yaml", "storagepolicy-b.yaml"}, names(t, status)); diff != "" {
		t.Error(diff)
	}
	r.write("a.yaml", policy("a", "10Gi"))
	r.next()
	r.until("the status of b is gone", func() bool { return len(names(t, status)) == 2 })
	long := strings.Repeat("x", 60) + "." + strings.Repeat("y", 192)
	r.write("b.yaml", policy(long, "10Gi"))
	r.next()
	r.until("a long name has its status", func() bool { return len(names(t, status)) == 3 })
}

func names(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestServeHTTP(t *testing.T) {
	r := newRig(t, Options{}, "a.yaml", policy("a", "10Gi")+"---\n"+policy("b", "lots"), "c.yaml", "just text\n")
	snapshot, _ := r.Load(t.Context())
	a, _ := resource.Named[*v1alpha1.StoragePolicy](snapshot, "a")
	if err := r.Report(t.Context(), []resource.Status{resource.Programmed(a)}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.ReplaceAll(r.page("*/*"), r.folder, "DIR"), "\n")
	if len(lines) < 4 || lines[0] != "folder    DIR" || !strings.HasPrefix(lines[1], "snapshot  sha256:") {
		t.Fatalf("%q", lines)
	}
	want := `
KIND           NAME  ACCEPTED  PROGRAMMED  READY  GENERATION  SERVING  SOURCE
StoragePolicy  a     True      True        True   1           1        DIR/a.yaml:1
StoragePolicy  b     False     -           False  1           0        DIR/a.yaml:6

DIR/c.yaml:1: not an object: a document is apiVersion, kind, metadata and spec

StoragePolicy/b: Invalid: nothing of it is served; DIR/a.yaml:9: spec.quota: Invalid value: "lots": spec.quota in body should match '^([1-9][0-9]{0,17}|[1-9][0-9]{0,8}(Ki|Mi|Gi)|[1-9][0-9]{0,5}Ti)$'; DIR/a.yaml:9: spec: Invalid value: rule`
	got := strings.Join(lines[3:], "\n")
	if diff := cmp.Diff(strings.Split(want, "\n")[:7], strings.Split(got, "\n")[:7]); diff != "" {
		t.Error(diff)
	}
	var page board.Page
	if err := json.Unmarshal([]byte(r.page("application/json")), &page); err != nil {
		t.Fatal(err)
	}
	if page.Snapshot != snapshot.Digest || len(page.Resources) != 2 || len(page.Findings) != 1 || len(page.Resources[1].Findings) == 0 {
		t.Errorf("%+v", page)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	r := newRig(t, Options{Registerer: reg}, "a.yaml", policy("a", "10Gi")+"---\n"+policy("b", "lots"))
	snapshot, _ := r.Load(t.Context())
	number := board.Number(snapshot)
	if number == 0 {
		t.Error("the snapshot has no number")
	}
	want := fmt.Sprintf(`
# HELP cloakroom_config_objects Resources by whether their present content is accepted.
# TYPE cloakroom_config_objects gauge
cloakroom_config_objects{state="accepted"} 1
cloakroom_config_objects{state="rejected"} 1
# HELP cloakroom_config_last_reload_success Whether the last reading was accepted whole.
# TYPE cloakroom_config_last_reload_success gauge
cloakroom_config_last_reload_success 0
# HELP cloakroom_config_snapshot First 48 bits of the snapshot's digest as a number: replicas with the same value serve the same configuration.
# TYPE cloakroom_config_snapshot gauge
cloakroom_config_snapshot %g
`, number)
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "cloakroom_config_objects", "cloakroom_config_last_reload_success", "cloakroom_config_snapshot"); err != nil {
		t.Error(err)
	}
}

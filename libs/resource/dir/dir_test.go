package dir

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/board"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const settle = 30 * time.Millisecond

// rig is a source over a folder of the test, watched.
type rig struct {
	*Source
	t      *testing.T
	folder string
	seen   chan *resource.Snapshot
}

func newRig(t *testing.T, opts Options, files ...string) *rig {
	t.Helper()
	r := &rig{t: t, folder: t.TempDir(), seen: make(chan *resource.Snapshot, 64)}
	r.write(files...)
	if opts.Settle == 0 {
		opts.Settle = settle
	}
	if opts.Rescan == 0 {
		opts.Rescan = time.Hour
	}
	r.Source = New(r.folder, opts)
	if _, err := r.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Watch(ctx, func(s *resource.Snapshot) { r.seen <- s }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	time.Sleep(3 * settle) // the first look of Watch is over
	return r
}

func (r *rig) write(files ...string) {
	r.t.Helper()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(r.folder, files[i]), []byte(files[i+1]), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
}

// next waits for the next snapshot.
func (r *rig) next() *resource.Snapshot {
	r.t.Helper()
	select {
	case s := <-r.seen:
		return s
	case <-time.After(10 * time.Second):
		r.t.Fatal("no snapshot came")
		return nil
	}
}

// still fails if a snapshot comes within the time that even a careful change takes.
func (r *rig) still() {
	r.t.Helper()
	select {
	case s := <-r.seen:
		r.t.Fatalf("a snapshot came: %v", quotas(s))
	case <-time.After(3 * patience * settle):
	}
}

// until waits for something that takes a reading.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(settle) {
		if time.Now().After(end) {
			r.t.Fatal("never: " + what)
		}
	}
}

func (r *rig) page(accept string) string {
	q := httptest.NewRequest("GET", "/-/resources", nil)
	q.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, q)
	return w.Body.String()
}

func quotas(s *resource.Snapshot) map[string]string {
	all := map[string]string{}
	for _, p := range resource.All[*v1alpha1.StoragePolicy](s) {
		all[p.Name] = string(p.Spec.Quota)
	}
	return all
}

func wantQuotas(t *testing.T, s *resource.Snapshot, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, quotas(s)); diff != "" {
		t.Error(diff)
	}
}

func policy(name, quota string) string {
	return "apiVersion: cloakroom.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {name: " + name + "}\nspec: {quota: " + quota + "}\n"
}

func TestWatch_ChangeAndRemoval(t *testing.T) {
	r := newRig(t, Options{}, "a.yaml", policy("a", "10Gi"), "b.yaml", policy("b", "10Gi"))
	r.write("a.yaml", policy("a", "20Gi"))
	wantQuotas(t, r.next(), map[string]string{"a": "20Gi", "b": "10Gi"})
	if err := os.Remove(filepath.Join(r.folder, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	wantQuotas(t, r.next(), map[string]string{"a": "20Gi"})
	r.write("c.yml", policy("c", "30Gi"), "ignored.txt", policy("d", "30Gi"), ".hidden.yaml", policy("e", "30Gi"))
	wantQuotas(t, r.next(), map[string]string{"a": "20Gi", "c": "30Gi"})
	r.still()
}

func TestWatch_SeesWhatHappenedBeforeIt(t *testing.T) {
	folder := t.TempDir()
	r := &rig{t: t, folder: folder}
	r.write("a.yaml", policy("a", "10Gi"))
	s := New(folder, Options{Settle: settle})
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.write("a.yaml", policy("a", "20Gi"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var got *resource.Snapshot
	if err := s.Watch(ctx, func(s *resource.Snapshot) { got = s; cancel() }); err != nil {
		t.Fatal(err)
	}
	if got == nil {
		t.Fatal("the change between Load and Watch is lost")
	}
	wantQuotas(t, got, map[string]string{"a": "20Gi"})
}

func TestWatch_EveryWatcherIsTold(t *testing.T) {
	r := newRig(t, Options{}, "a.yaml", policy("a", "10Gi"))
	second := make(chan *resource.Snapshot, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = r.Watch(ctx, func(s *resource.Snapshot) { second <- s }) }()
	r.write("a.yaml", policy("a", "20Gi"))
	wantQuotas(t, r.next(), map[string]string{"a": "20Gi"})
	select {
	case s := <-second:
		wantQuotas(t, s, map[string]string{"a": "20Gi"})
	case <-time.After(10 * time.Second):
		t.Error("the second watcher was not told")
	}
}

func TestWatch_HalfWrittenFileIsNoVerdict(t *testing.T) {
	two := policy("a", "10Gi") + "---\n" + policy("b", "10Gi")
	r := newRig(t, Options{}, "a.yaml", two)
	changed := strings.ReplaceAll(two, "10Gi", "20Gi")
	f, err := os.Create(filepath.Join(r.folder, "a.yaml")) // empty at first, as many programs write
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range changed { // slower than the folder needs to settle
		if _, err := f.WriteString(changed[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if i%40 == 0 {
			time.Sleep(2 * settle)
		}
		select {
		case s := <-r.seen:
			if got := quotas(s); len(got) != 2 {
				t.Fatalf("after %d of %d bytes only %v is served", i, len(changed), got)
			}
		default:
		}
	}
	r.until("the whole file is served", func() bool {
		now, _ := r.Load(t.Context())
		return cmp.Equal(quotas(now), map[string]string{"a": "20Gi", "b": "20Gi"})
	})
}

func TestWatch_BrokenFileKeepsLastGood(t *testing.T) {
	r := newRig(t, Options{}, "a.yaml", policy("a", "10Gi"))
	r.write("a.yaml", "apiVersion: [\n")
	r.until("the refusal is told", func() bool { return strings.Contains(r.page(""), "serving generation 1") })
	r.still()
	now, _ := r.Load(t.Context())
	wantQuotas(t, now, map[string]string{"a": "10Gi"})
}

// A ConfigMap is mounted as links through ..data, and ..data is swapped.
func TestWatch_ConfigMapSwap(t *testing.T) {
	folder := t.TempDir()
	version := func(name, quota string) {
		sub := filepath.Join(folder, name)
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sub, "a.yaml"), []byte(policy("a", quota)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name, filepath.Join(folder, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	version("..2026_01", "10Gi")
	if err := os.Symlink("..data/a.yaml", filepath.Join(folder, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	s := New(folder, Options{Settle: settle, Rescan: time.Hour})
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := make(chan *resource.Snapshot, 8)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = s.Watch(ctx, func(s *resource.Snapshot) { seen <- s }) }()
	time.Sleep(3 * settle)
	version("..2026_02", "20Gi")
	if err := os.RemoveAll(filepath.Join(folder, "..2026_01")); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-seen:
		wantQuotas(t, got, map[string]string{"a": "20Gi"})
	case <-time.After(10 * time.Second):
		t.Fatal("the swap was not seen")
	}
}

// lastReload is the metric that says whether the last reading was accepted whole.
func lastReload(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "cloakroom_config_last_reload_success" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("there is no cloakroom_config_last_reload_success")
	return 0
}

func TestWatch_EmptyOrVanishedFolderKeepsTheSnapshot(t *testing.T) {
	reg := prometheus.NewRegistry()
	r := newRig(t, Options{Rescan: 2 * settle, Registerer: reg}, "a.yaml", policy("a", "10Gi"))
	if err := os.Remove(filepath.Join(r.folder, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	r.until("the page says empty", func() bool { return strings.Contains(r.page(""), "holds no resource: keeping the last snapshot") })
	if got := lastReload(t, reg); got != 0 {
		t.Errorf("last_reload_success is %v over an empty folder", got)
	}
	if err := os.Remove(r.folder); err != nil {
		t.Fatal(err)
	}
	r.until("the page says unreadable", func() bool { return strings.Contains(r.page(""), "can't be read") })
	r.still()
	if err := os.Mkdir(r.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	r.write("a.yaml", policy("a", "20Gi"))
	wantQuotas(t, r.next(), map[string]string{"a": "20Gi"})
	if strings.Contains(r.page(""), "trouble") {
		t.Error("the trouble is over but still told")
	}
	if got := lastReload(t, reg); got != 1 {
		t.Errorf("last_reload_success is %v after all is well", got)
	}
}

func TestWatch_FindsChangesWithoutEvents(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "real.yaml") // events of a link's target aren't told
	if err := os.WriteFile(elsewhere, []byte(policy("b", "10Gi")), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Options{Rescan: 4 * settle}, "a.yaml", policy("a", "10Gi"))
	if err := os.Symlink(elsewhere, filepath.Join(r.folder, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	wantQuotas(t, r.next(), map[string]string{"a": "10Gi", "b": "10Gi"})
	if err := os.WriteFile(elsewhere, []byte(policy("b", "20Gi")), 0o600); err != nil {
		t.Fatal(err)
	}
	wantQuotas(t, r.next(), map[string]string{"a": "10Gi", "b": "20Gi"})
}

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

package dir

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/resource"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

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
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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
	case <-time.After(time.Minute):
		t.Error("the second watcher was not told")
	}
}

func TestWatch_HalfWrittenFileIsNoVerdict(t *testing.T) {
	const settle = 5 * settle // a writer that stands still for longer than a careful change is believed, as a busy machine may make it
	two := policy("a", "10Gi") + "---\n" + policy("b", "10Gi")
	r := newRig(t, Options{Settle: settle}, "a.yaml", two)
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
	case <-time.After(time.Minute):
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

// A change that waits for the next start is said where people look after they have saved a file, and once.
func TestWatch_WhatWaitsForTheNextStartIsSaid(t *testing.T) {
	said := make(chan string, 64)
	boot := func(audience string) string {
		return "apiVersion: cloakroom.dev/v1alpha1\nkind: FilesConfig\nmetadata: {name: files}\nspec: {store: {sqlite: {path: f.db}}, blobs: {disk: {path: b}}, verifier: {issuer: i, audiences: [" + audience + "]}}\n"
	}
	r := newRig(t, Options{Log: slog.New(slog.NewTextHandler(lines(said), nil))}, "boot.yaml", boot("one"), "a.yaml", policy("a", "10Gi"))
	r.write("boot.yaml", boot("two"))
	r.write("a.yaml", policy("a", "20Gi"))
	wantQuotas(t, r.next(), map[string]string{"a": "20Gi"})
	r.write("a.yaml", policy("a", "30Gi"))
	wantQuotas(t, r.next(), map[string]string{"a": "30Gi"})
	waiting := 0
	for len(said) > 0 {
		if line := <-said; strings.Contains(line, "waits for the next start") && strings.Contains(line, "kind=FilesConfig") {
			waiting++
		}
	}
	if waiting != 1 {
		t.Errorf("it was said %d times", waiting)
	}
}

// lines is a writer that hands on each line of a log.
type lines chan<- string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

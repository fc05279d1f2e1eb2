package dir

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"

	"github.com/google/go-cmp/cmp"
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
	case <-time.After(time.Minute):
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
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(settle) {
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

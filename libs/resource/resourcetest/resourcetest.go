// Package resourcetest gives tests snapshots and sources made of YAML text, judged by the real schemas.
package resourcetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/admit"
	"cloakroom.dev/libs/resource/dir"
	"cloakroom.dev/libs/resource/ledger"
)

// shared keeps schemas compiled for the whole test binary.
var shared = admit.New()

// Snapshot returns the snapshot of these documents. Any finding fails the test.
func Snapshot(t testing.TB, documents ...string) *resource.Snapshot {
	t.Helper()
	snapshot, findings := Judge(t, documents...)
	for _, f := range findings {
		t.Errorf("resource refused: %s", f)
	}
	if t.Failed() {
		t.FailNow()
	}
	return snapshot
}

// Judge returns the snapshot of these documents and what was found wrong with them.
func Judge(t testing.TB, documents ...string) (*resource.Snapshot, []resource.Finding) {
	t.Helper()
	look, err := dir.Parse("test.yaml", strings.NewReader(strings.Join(documents, "\n---\n")))
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New(shared, time.Now)
	l.Apply(t.Context(), look)
	return l.Snapshot(), l.Findings()
}

// Source is a resource.Source whose content a test sets.
type Source struct {
	mu       sync.Mutex
	snapshot *resource.Snapshot
	watchers []chan *resource.Snapshot
	reports  map[string]resource.Status
}

var _ resource.Source = (*Source)(nil)

// NewSource returns a source that holds a snapshot.
func NewSource(s *resource.Snapshot) *Source {
	return &Source{snapshot: s, reports: map[string]resource.Status{}}
}

// Set replaces the snapshot and tells every watcher.
func (s *Source) Set(next *resource.Snapshot) {
	s.mu.Lock()
	watchers := slices.Clone(s.watchers)
	s.snapshot = next
	s.mu.Unlock()
	for _, w := range watchers {
		w <- next
	}
}

// Load returns the snapshot.
func (s *Source) Load(context.Context) (*resource.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot, nil
}

// Watch hands on what Set sets. It takes up to 16 snapshots ahead of changed.
func (s *Source) Watch(ctx context.Context, changed func(*resource.Snapshot)) error {
	next := make(chan *resource.Snapshot, 16)
	s.mu.Lock()
	s.watchers = append(s.watchers, next)
	s.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return nil
		case snapshot := <-next:
			changed(snapshot)
		}
	}
}

// Report keeps the statuses for Reported.
func (s *Source) Report(_ context.Context, statuses []resource.Status) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, status := range statuses {
		s.reports[status.Kind+"/"+status.Name] = status
	}
	return nil
}

// Reported returns what was reported last about an object.
func (s *Source) Reported(kind, name string) (resource.Status, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status, ok := s.reports[kind+"/"+name]
	return status, ok
}

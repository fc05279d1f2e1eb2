// Package split is a resource.Source over two others: boot kinds come from one, live kinds from the other. That is how a process
// is told in a file where it listens, and in a cluster what it serves.
//
// Each of the two must be limited to its kinds, so that no object can come from both. Everything else is as each of them does
// it: a trouble of one doesn't touch what the other brought.
package split

import (
	"context"
	"sync"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"

	"golang.org/x/sync/errgroup"
)

var _ resource.Source = (*Source)(nil)

// Source joins two sources.
type Source struct{ boot, live resource.Source }

// New returns a source of boot's boot kinds and live's live kinds.
func New(boot, live resource.Source) *Source { return &Source{boot, live} }

// Kinds parts a list of kinds into those that belong to each of the two.
func Kinds(kinds []string) (boot, live []string) {
	for _, k := range kinds {
		if v1alpha1.Boot(k) {
			boot = append(boot, k)
		} else {
			live = append(live, k)
		}
	}
	return boot, live
}

// Load reads both; it fails when one of them does.
func (s *Source) Load(ctx context.Context) (*resource.Snapshot, error) {
	boot, err := s.boot.Load(ctx)
	if err != nil {
		return nil, err
	}
	live, err := s.live.Load(ctx)
	if err != nil {
		return nil, err
	}
	return resource.Join(boot, live), nil
}

// Watch follows both until ctx ends.
func (s *Source) Watch(ctx context.Context, changed func(*resource.Snapshot)) error {
	boot, err := s.boot.Load(ctx)
	if err != nil {
		return err
	}
	live, err := s.live.Load(ctx)
	if err != nil {
		return err
	}
	var mu sync.Mutex // one call of changed at a time
	follow := func(source resource.Source, half **resource.Snapshot) func() error {
		return func() error {
			return source.Watch(ctx, func(next *resource.Snapshot) {
				mu.Lock()
				defer mu.Unlock()
				*half = next
				changed(resource.Join(boot, live))
			})
		}
	}
	var both errgroup.Group
	both.Go(follow(s.boot, &boot))
	both.Go(follow(s.live, &live))
	return both.Wait()
}

// Report passes each status on to where its object came from.
func (s *Source) Report(ctx context.Context, statuses []resource.Status) error {
	var boot, live []resource.Status
	for _, status := range statuses {
		if v1alpha1.Boot(status.Kind) {
			boot = append(boot, status)
		} else {
			live = append(live, status)
		}
	}
	if err := s.boot.Report(ctx, boot); err != nil {
		return err
	}
	return s.live.Report(ctx, live)
}

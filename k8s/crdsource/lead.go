package crdsource

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lead takes part in the election until ctx ends, and writes status while it is won.
func (s *Source) lead(ctx context.Context) {
	lock := &lock{source: s, Interface: &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: s.opts.Namespace, Name: s.manager()},
		Client:     s.cluster.leases,
		LockConfig: resourcelock.ResourceLockConfig{Identity: s.opts.Identity},
	}}
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: s.opts.Lease, RenewDeadline: s.opts.Lease * 2 / 3, RetryPeriod: s.opts.Lease / 8,
			ReleaseOnCancel: true, Name: s.manager(),
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) {
					s.metrics.leads.Set(1)
					s.write(ctx)
				},
				OnStoppedLeading: func() { s.metrics.leads.Set(0) },
			},
		})
		if err != nil { // our own durations don't fit each other
			s.unwritable(fmt.Sprintf("status is not written: %v", err))
			return
		}
		elector.Run(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(s.opts.Lease / 8):
		}
	}
}

// manager owns the fields we write, and names the Lease.
func (s *Source) manager() string { return "cloakroom-" + s.opts.Service }

// unwritable notes why status can't be written, or with "" that it can.
func (s *Source) unwritable(why string) {
	s.mu.Lock()
	changed := s.writing != why
	s.writing = why
	s.mu.Unlock()
	if changed {
		s.sign()
	}
}

// lock is a Lease whose troubles are told.
type lock struct {
	resourcelock.Interface
	source *Source
}

func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	return record, raw, l.tell(err)
}

func (l *lock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.tell(l.Interface.Create(ctx, r))
}

func (l *lock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.tell(l.Interface.Update(ctx, r))
}

func (l *lock) tell(err error) error {
	if apierrors.IsForbidden(err) {
		l.source.unwritable(fmt.Sprintf("status is not written: no right to get, create and update leases in namespace %s (%v)", l.source.opts.Namespace, err))
	}
	return err
}

func random() string { return rand.Text()[:8] }

package files

import (
	"context"
	"errors"
	"time"
)

// beatsPerLease is how often a lease is renewed within its time: two beats may be lost.
const beatsPerLease = 3

// Run keeps this writer's lease, reaps, and ends downloads by links that are gone until ctx ends; then it fences its own epoch, so end it after the last upload.
func (s *Service) Run(ctx context.Context) error {
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		s.every(ctx, s.opts.ReapEvery, "reaper's pass failed", s.Reap)
	}()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.every(ctx, linkLookEvery, "downloads by link could not be looked after", s.lookAtLinks)
	}()
	s.every(ctx, s.opts.LeaseTTL/beatsPerLease, "writer's lease could not be renewed", s.beat)
	<-reaped
	<-watched

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	return s.resign(ctx)
}

// every calls work at once and then at each interval until ctx ends. A failure is logged here: nobody else waits for it.
func (s *Service) every(ctx context.Context, interval time.Duration, failed string, work func(context.Context) error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := work(ctx); err != nil && !errors.Is(err, context.Canceled) {
			s.log.ErrorContext(ctx, failed, "error", err.Error())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

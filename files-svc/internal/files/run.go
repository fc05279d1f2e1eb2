package files

import (
	"context"
	"errors"
	"sync"
	"time"
)

// beatsPerLease is how often a lease is renewed within its time: two beats may be lost.
const beatsPerLease = 3

// Run keeps this writer's lease, reaps, scrubs, and ends downloads by links that are gone until ctx ends; then it fences its
// own epoch, so end it after the last upload.
func (s *Service) Run(ctx context.Context) error {
	var behind sync.WaitGroup
	behind.Go(func() { s.every(ctx, s.opts.ReapEvery, "reaper's pass failed", s.reapInTurn) })
	behind.Go(func() { s.every(ctx, linkLookEvery, "downloads by link could not be looked after", s.lookAtLinks) })
	behind.Go(func() { s.scrubInTurn(ctx) })
	behind.Go(func() { s.lookAtSuspects(ctx) })
	s.every(ctx, s.opts.LeaseTTL/beatsPerLease, "writer's lease could not be renewed", s.beat)
	behind.Wait()

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

// reapInTurn makes a pass when no other process does: each finds what the others have left. Every process makes its own
// passes, for only it knows which of its uploads have ended.
func (s *Service) reapInTurn(ctx context.Context) error { return s.inTurn(ctx, reaperTurn, s.Reap) }

// scrubInTurn scrubs while no other process does, so that bytes are read once.
func (s *Service) scrubInTurn(ctx context.Context) {
	err := s.inTurn(ctx, scrubTurn, func(ctx context.Context) error {
		s.keepScrubbing(ctx)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "scrub has ended", "error", err.Error())
	}
}

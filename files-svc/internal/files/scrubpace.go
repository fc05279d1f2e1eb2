package files

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// lookCost is what looking at a blob costs beside its bytes: a disk's arm has to move.
	lookCost = 16 << 10
	// stepBack is by how much the scrub is slower while there is traffic.
	stepBack = 8
	// shortestNap is below what sleeping is not worth it.
	shortestNap = 20 * time.Millisecond
)

// pace spreads reading over time.
type pace struct {
	rate int64       // bytes a second; 0: no limit
	slow func() bool // whether others need the disk
	owed time.Duration
}

// spend waits until reading n bytes is paid for. It returns the cause when ctx ends.
func (p *pace) spend(ctx context.Context, n int64) error {
	if p.rate > 0 {
		cost := time.Duration(float64(n) / float64(p.rate) * float64(time.Second))
		if p.slow() {
			cost *= stepBack
		}
		p.owed += cost
	}
	if p.owed >= shortestNap {
		nap(ctx, p.owed)
		p.owed = 0
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// nap sleeps until d has passed or ctx ends.
func nap(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// hasTraffic reports whether contents are being written or read.
func (s *Service) hasTraffic() bool {
	if s.reading.Load() > 0 {
		return true
	}
	w := s.liveWriter()
	return w != nil && w.working()
}

// keepScrubbing verifies what is due, and sleeps until more is, until ctx ends.
func (s *Service) keepScrubbing(ctx context.Context) {
	if s.opts.Scrub.Rate <= 0 {
		return
	}
	for ctx.Err() == nil {
		_, err := s.Scrub(ctx, ScrubPass{Rate: s.opts.Scrub.Rate, Until: s.now().Add(-s.opts.Scrub.Every)})
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			s.log.ErrorContext(ctx, "scrub failed", "error", err.Error())
		}
		nap(ctx, scrubIdle)
	}
}

// reportSoundness tells the meter how old the oldest verification is, if somebody is to verify, and what is flawed. Every process does so
// in its passes of the reaper, whoever's turn it is to scrub: what one said when it was its turn would stand for ever.
func (s *Service) reportSoundness(ctx context.Context) error {
	var oldest time.Time
	var flawed map[Flaw]BlobStat
	err := s.catalog.Read(ctx, func(tx ReadTx) error {
		if s.opts.Scrub.Rate > 0 {
			rows, err := tx.LiveBlobs(ctx, VerifyPlace{}, endOfTime, 1)
			if err != nil {
				return err
			}
			if len(rows) > 0 {
				oldest = rows[0].VerifiedAt
			}
		}
		var err error
		flawed, err = tx.FlawStats(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("look how sound the store is: %w", err)
	}
	s.opts.Meter.Soundness(oldest, flawed)
	return nil
}

// Scrubbed implements Meter.
func (deaf) Scrubbed(string, int64) {}

// Soundness implements Meter.
func (deaf) Soundness(time.Time, map[Flaw]BlobStat) {}

package identity

import (
	"context"
	"fmt"
	"time"
)

// sweepBatch rows go in one transaction, with a pause after each, so that nobody waits behind a sweep.
const (
	sweepBatch = 200
	sweepPause = 20 * time.Millisecond
)

// sweep removes what has expired: it can't be used any more, so this is only about space.
func (s *Service) sweep(ctx context.Context) error {
	for _, what := range []struct {
		name string
		some func(Tx) (int, error)
	}{
		{"sessions", func(tx Tx) (int, error) { return tx.SweepSessions(ctx, sweepBatch) }},
		{"mail links", func(tx Tx) (int, error) { return tx.SweepMailTokens(ctx, sweepBatch) }},
		{"login challenges", func(tx Tx) (int, error) { return tx.SweepChallenges(ctx, sweepBatch) }},
		{"sign-ins", func(tx Tx) (int, error) { return tx.SweepHandoffs(ctx, sweepBatch) }},
		{"spent passkey challenges", func(tx Tx) (int, error) { return tx.SweepPasskeyChallenges(ctx, sweepBatch) }},
		{"counters", func(tx Tx) (int, error) { return tx.SweepCounters(ctx, sweepBatch) }},
		{"revocations", func(tx Tx) (int, error) { return tx.SweepRevocations(ctx, sweepBatch) }},
	} {
		total, err := s.sweepAll(ctx, what.some)
		s.opts.Observer.Swept(what.name, total)
		if err != nil {
			return fmt.Errorf("sweep %s: %w", what.name, err)
		}
	}
	return nil
}

func (s *Service) sweepAll(ctx context.Context, some func(Tx) (int, error)) (total int, err error) {
	for {
		n := 0
		err := s.store.InTx(ctx, func(tx Tx) (err error) {
			n, err = some(tx)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
		if n < sweepBatch {
			return total, nil
		}
		if err := pause(ctx, sweepPause); err != nil {
			return total, err
		}
	}
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

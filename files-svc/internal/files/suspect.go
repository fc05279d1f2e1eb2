package files

import (
	"context"
	"errors"
	"fmt"

	"cloakroom.dev/libs/fault"
)

// maxSuspects bounds how many blobs wait to be looked at. One that finds no room is found again by whoever reads it next, and
// by the scrub.
const maxSuspects = 64

// suspect has a blob looked at that a reader found missing or damaged: at once, and beside the reader, who has been cut off.
func (s *Service) suspect(ctx context.Context, blob BlobID, err error) {
	s.corrupt(ctx, blob, err)
	s.LookAt(blob)
}

// LookAt has a blob looked at beside whoever reads parts of it. Where too many wait it is left to the scrub.
func (s *Service) LookAt(blob BlobID) {
	select {
	case s.suspects <- blob:
	default:
	}
}

// lookAtSuspects reads suspects back until ctx ends. What is damaged, on the second look too, goes into quarantine without
// waiting for the scrub to come by.
func (s *Service) lookAtSuspects(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case blob := <-s.suspects:
			if err := s.lookAtSuspect(ctx, blob); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "suspect blob could not be looked at", "blob", blob, "error", err.Error())
			}
		}
	}
}

func (s *Service) lookAtSuspect(ctx context.Context, blob BlobID) error {
	var row Blob
	err := s.catalog.Read(ctx, func(tx ReadTx) (err error) {
		row, err = tx.Blob(ctx, blob)
		return err
	})
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)), err == nil && (row.State != BlobLive || row.Flaw != FlawNone):
		return nil // gone, or known already
	case err != nil:
		return fmt.Errorf("find a suspect blob: %w", err)
	}
	p := &scrub{s: s, pace: pace{slow: s.hasTraffic}, kept: s.opts.Now()}
	if err := p.look(ctx, row); err != nil {
		return err
	}
	return p.keep(ctx)
}

package identity

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// logTick is how often the log is looked at for what this process has not written: another replica may, and so does the
// command line while the service runs.
const logTick = time.Second

// foreign notices what others append to the log.
type foreign struct {
	service *Service
	started bool
	seen    int64
}

// LogGrew tells the service that another process has appended to the log, or may have: streams look at once.
func (s *Service) LogGrew() { s.feed.wake() }

// notice wakes the followers when the log has grown, and reads the keys anew when one was killed: a token signed with
// it from now on would be dead on arrival.
func (f *foreign) notice(ctx context.Context) error {
	s, killed := f.service, false
	var head int64
	err := s.store.View(ctx, func(tx Tx) (err error) {
		if head, err = tx.RevocationHead(ctx); err != nil || head == f.seen || !f.started {
			return err
		}
		entries, err := tx.Revocations(ctx, f.seen, logBatch)
		// A head that went back is another store, and a full batch may hide the rest: better read once too often.
		killed = head < f.seen || len(entries) == logBatch ||
			slices.ContainsFunc(entries, func(r Revocation) bool { return r.Kind == KindSigningKey })
		return err
	})
	if err != nil {
		return fmt.Errorf("look at the log: %w", err)
	}
	moved := f.started && head != f.seen
	// The first look has nothing to compare with, and a key may have been killed since the keys were read.
	killed = killed || !f.started
	if moved {
		s.feed.wake()
	}
	if killed {
		if err := s.keepKeys(ctx); err != nil {
			return err // seen stays: the next look tries again
		}
	}
	f.seen, f.started = head, true
	return nil
}

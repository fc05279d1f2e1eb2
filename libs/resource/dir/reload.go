package dir

import (
	"context"
	"fmt"
)

// fingerprint returns the fingerprint of what is applied.
func (s *Source) fingerprint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied
}

// removes reports whether a reading would take an object away.
func (s *Source) removes(r reading) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.Removes(r.look)
}

// take applies a reading.
func (s *Source) take(ctx context.Context, r reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.fingerprint != s.applied {
		s.apply(ctx, r)
	}
}

// unreadable notes that the folder itself can't be read, once.
func (s *Source) unreadable(ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	trouble := fmt.Sprintf("the folder can't be read: %v: keeping the last snapshot", err)
	if s.trouble == trouble {
		return
	}
	s.trouble = trouble
	s.metrics.Failed()
	s.log.ErrorContext(ctx, "configuration not read, last snapshot kept", "error", err.Error(), "snapshot", s.ledger.Snapshot().Short())
}

// readable notes that the folder is again what was applied.
func (s *Source) readable() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble != "" && !s.ledger.Empty() {
		s.trouble = ""
		accepted, rejected := s.ledger.Counts()
		s.metrics.Applied(s.ledger.Snapshot(), accepted, rejected, true)
	}
}

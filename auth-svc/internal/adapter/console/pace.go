package console

import (
	"context"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
)

// pace keeps an import out of the way of a service that writes the same store. A batch holds the store's lock to its commit, so its size
// follows how long the last one took: on a quick machine many people share a commit, on a busy one nobody waits for
// them. After each, the importer steps aside for as long as it took.
type pace struct {
	size int // of the next batch
}

const (
	firstBatch = 25
	minBatch   = 5
	longBatch  = 20 * time.Millisecond // one that took longer is followed by one half its size
	quickBatch = 10 * time.Millisecond // one that took less is followed by one twice its size

	minAside = 5 * time.Millisecond
	maxAside = 250 * time.Millisecond
)

func newPace() pace { return pace{size: firstBatch} }

// step takes what a batch took, chooses the next one's size and waits for its turn.
func (p *pace) step(ctx context.Context, took time.Duration) error {
	p.size = p.next(took)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(max(took, minAside), maxAside)):
		return nil
	}
}

func (p *pace) next(took time.Duration) int {
	switch {
	case took > longBatch:
		return max(p.size/2, minBatch)
	case took < quickBatch:
		return min(2*p.size, identity.MaxImportBatch)
	}
	return p.size
}

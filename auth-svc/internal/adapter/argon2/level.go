package argon2

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"cloakroom.dev/auth-svc/internal/foreignhash"
	"cloakroom.dev/auth-svc/internal/identity"
)

// level holds every refusal back until the dearest hash in the store would have been checked. Otherwise the time of a
// refusal would tell who has an account here, and where it came from. Waiting costs no core and no memory of the gate; it
// begins when the gate lets in, so that the line is the same for all.
type level struct {
	floor atomic.Int64 // nanoseconds; 0 while all hashes cost the same
}

const (
	// spare is added to what a check has taken: a busy machine must not lift the dearest above the floor every time.
	sparePercent = 30
	maxFloor     = 5 * time.Second
)

// raise lifts the floor above d.
func (l *level) raise(d time.Duration) {
	want := int64(min(d+d*sparePercent/100, maxFloor))
	for now := l.floor.Load(); now < want && !l.floor.CompareAndSwap(now, want); now = l.floor.Load() {
	}
}

// hold waits for the floor. A check of a foreign hash that took longer lifts it: the machine is slower now than when it
// was measured, or nobody has measured yet.
func (l *level) hold(ctx context.Context, began time.Time, foreign bool) error {
	floor, took := time.Duration(l.floor.Load()), time.Since(began)
	if took >= floor {
		if foreign {
			l.raise(took)
		}
		return nil
	}
	timer := time.NewTimer(floor - took)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("hold a refusal back: %w", context.Cause(ctx))
	}
}

// Expect tells which kinds of hashes (identity.HashKind) the store has, and measures the dearest of each sort, behind the
// gate. It returns fault.Overloaded when the gate is full, and then changes nothing.
func (h *Hasher) Expect(ctx context.Context, kinds []string) error {
	own := identity.HashKind(*h.dummy.Load())
	dearest := map[string]foreignhash.Hash{}
	for _, kind := range kinds {
		if kind == own || kind == "" {
			continue
		}
		d, err := foreignhash.Dummy(kind)
		if err != nil {
			continue // dearer than an import may bring: our own, under another policy, or damaged
		}
		if best, ok := dearest[d.Algorithm()]; !ok || best.Effort() < d.Effort() {
			dearest[d.Algorithm()] = d
		}
	}
	if len(dearest) == 0 {
		h.level.floor.Store(0)
		return nil
	}
	texts := []string{*h.dummy.Load()}
	for _, name := range slices.Sorted(maps.Keys(dearest)) {
		texts = append(texts, dearest[name].String())
	}
	return h.measure(ctx, texts)
}

// measure sets the floor above the slowest of a few checks of each.
func (h *Hasher) measure(ctx context.Context, texts []string) error {
	const rounds = 3
	var slowest time.Duration
	for _, text := range slices.Repeat(texts, rounds) {
		c, err := h.read(text)
		if err != nil {
			return fmt.Errorf("measure a %s hash: %w", strings.SplitN(text, "$", 3)[1], err)
		}
		began, _, err := h.run(ctx, c, "measure")
		if err != nil {
			return err
		}
		slowest = max(slowest, time.Since(began))
	}
	var fresh level
	fresh.raise(slowest)
	h.level.floor.Store(fresh.floor.Load())
	return nil
}

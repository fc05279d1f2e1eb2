package token

import (
	"context"
	"math/rand/v2"
	"time"
)

// jitter shortens d by up to a share of it, so that replicas don't do things in step.
func jitter(d time.Duration, share float64) time.Duration {
	return d - time.Duration(float64(d)*share*rand.Float64()) //nolint:gosec // no secret: whoever guesses it has won nothing
}

// sleep returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

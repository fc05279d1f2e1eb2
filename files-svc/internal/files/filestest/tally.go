package filestest

import (
	"errors"
	"sync/atomic"
	"testing"

	"cloakroom.dev/libs/fault"
)

// Tally counts those who race for the last room of a quota.
type Tally struct{ won, lost atomic.Int64 }

// Count counts one by what it got; any error but fault.QuotaExceeded fails the test.
func (c *Tally) Count(t *testing.T, err error) {
	t.Helper()
	switch {
	case err == nil:
		c.won.Add(1)
	case errors.Is(err, fault.Of(fault.QuotaExceeded)):
		c.lost.Add(1)
	default:
		t.Error(err)
	}
}

// Want fails the test unless so many have got room, and so many were refused.
func (c *Tally) Want(t *testing.T, won, lost int64) {
	t.Helper()
	if c.won.Load() != won || c.lost.Load() != lost {
		t.Errorf("%d won and %d were refused, want %d and %d", c.won.Load(), c.lost.Load(), won, lost)
	}
}

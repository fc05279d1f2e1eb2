package identity

import (
	"context"
	"time"
)

// Counter is how often something has happened within a window: failed passwords, mails asked for.
type Counter struct {
	Key         [32]byte // a MAC of what is counted: a stolen table does not tell whose it is
	Count       int
	Since       time.Time // when the window began
	LockedUntil time.Time // zero for never
	Until       time.Time // from then on the counter means nothing
}

// Counters keeps counters.
type Counters interface {
	// Counter finds a counter, the zero one with that key when there is none. For a writer it holds the key until the
	// end of the transaction.
	Counter(ctx context.Context, key [32]byte) (Counter, error)
	// PutCounter adds or replaces a counter.
	PutCounter(ctx context.Context, c Counter) error
	// SweepCounters removes counters past their Until, at most limit.
	SweepCounters(ctx context.Context, limit int) (int, error)
}

// Devices remembers what people have come in from.
type Devices interface {
	// KnownDevice reports whether the person has come in from there before. It locks nothing.
	KnownDevice(ctx context.Context, userID string, device [32]byte) (bool, error)
	// PutDevice remembers one, seen now, and forgets all but the keep newest of that person.
	PutDevice(ctx context.Context, userID string, device [32]byte, keep int) error
}

package identity

import (
	"log/slog"
	"time"
)

// Options are what New can do without or has a default for; NewID, Policy and MAC are needed.
type Options struct {
	NewID  func() string // UUIDv7 as text
	Policy func() Policy // read at each use, so that it can change while the service runs
	MAC    MAC           // proves refresh tokens and API keys ours before the store is asked

	Log      *slog.Logger // default: discard
	Observer Observer     // default: none
	Attempts Attempts     // default: none

	JWKSLifetime    time.Duration // how long verifiers may keep the key set; default 5 min
	RotateKeysEvery time.Duration // default 0: only when asked
	AckTimeout      time.Duration // how long WaitAcked waits; default 2 s
	SweepEvery      time.Duration // default 1 h
	MaxFollowers    int           // streams open at once; default 1024
}

// Service is the core. It is safe for concurrent use.
type Service struct {
	store  Store
	signer Signer
	hasher Hasher
	opts   Options
}

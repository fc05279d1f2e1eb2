package token

import (
	"context"
	"crypto"
)

// Key is a public key that may verify tokens, with the one algorithm it may do so by.
type Key struct {
	ID        string // kid
	Algorithm string // EdDSA, ES256, ES512, RS256 or RS512
	Public    crypto.PublicKey
}

// KeySource finds verification keys.
type KeySource interface {
	// Key finds the key that kid names. It returns fault.NotFound when there is no such key, and fault.Unavailable when
	// that can't be known now. It may wait for a fetch, never longer than a few seconds.
	Key(ctx context.Context, kid string) (Key, error)
}

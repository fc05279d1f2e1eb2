package identity

import (
	"time"

	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"
)

// APIKey lets a program call as a person, with at most that person's rights.
type APIKey struct {
	ID          string
	UserID      string
	Name        string
	SecretHash  [32]byte
	Permissions []principal.Permission // sorted by their text
	CreatedAt   time.Time
	ExpiresAt   time.Time // zero for never
	LastUsedAt  time.Time // zero for never
	AccessUntil time.Time // no access token of this key outlives this
}

// NewAPIKey is what a caller asks for.
type NewAPIKey struct {
	Name        string
	Permissions []principal.Permission
	ExpiresAt   time.Time // zero for never
}

// MadeAPIKey is a new key with its secret, shown this once.
type MadeAPIKey struct {
	APIKey APIKey
	Secret secret.String // crk_…
}

// ExchangedAPIKey is the short access token for a key.
type ExchangedAPIKey struct {
	AccessToken secret.String
	ExpiresIn   time.Duration
}

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

func (k APIKey) expired(now time.Time) bool { return !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt) }

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

// makeAPIKey draws a secret for a key and puts both together.
func makeAPIKey(mac MAC, k APIKey) (MadeAPIKey, error) {
	live := newSecret()
	k.SecretHash = hashSecret(live)
	id, ok := parseID(k.ID)
	if !ok {
		return MadeAPIKey{}, errBadID
	}
	text, err := sealCredential(mac, apiKeyPrefix, append(id[:], live[:]...))
	return MadeAPIKey{APIKey: k, Secret: text}, err
}

// openAPIKey returns the id of a key of ours, and the hash of the secret it shows.
func openAPIKey(mac MAC, raw string) (id string, hash [32]byte, ok bool) {
	body, ok := openCredential(mac, apiKeyPrefix, apiKeyBody, raw)
	if !ok {
		return "", hash, false
	}
	return formatID([16]byte(body[:16])), hashSecret([secretBytes]byte(body[16:])), true
}

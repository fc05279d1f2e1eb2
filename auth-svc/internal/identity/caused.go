package identity

import (
	"context"
	"slices"
	"sync"

	"cloakroom.dev/libs/principal"
)

// Caused are the entries of the log that one request has brought about. Whoever answers it can tell a caller who ended what
// they came with from one whom somebody else did.
type Caused struct {
	mu      sync.Mutex
	entries []Revocation
}

type causedKey struct{}

// WithCaused returns a context under which what transactions append, once it is committed, is noted.
func WithCaused(ctx context.Context) (context.Context, *Caused) {
	c := &Caused{}
	return context.WithValue(ctx, causedKey{}, c), c
}

// NoteCaused is told by the store what a transaction under ctx has appended. Under other contexts it does nothing.
func NoteCaused(ctx context.Context, appended []Revocation) {
	c, ok := ctx.Value(causedKey{}).(*Caused)
	if !ok || len(appended) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries = append(c.entries, appended...)
}

// Ended reports whether the caller's credential no longer holds because of it.
func (c *Caused) Ended(caller principal.Principal) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.entries, func(r Revocation) bool { return r.ends(caller) })
}

// ends reports whether a token of p, which is older than the entry, no longer holds.
func (r Revocation) ends(p principal.Principal) bool {
	switch r.Kind {
	case KindSession:
		return p.SessionID == r.ID
	case KindAPIKey:
		return p.APIKeyID == r.ID
	case KindUserEpoch, KindUserDeleted:
		return p.UserID == r.ID
	case KindSigningKey:
		return p.KeyID == r.ID
	case KindRoleEpoch:
		return slices.Contains(p.Roles, r.ID) || slices.Contains(p.EpochRoles, r.ID)
	}
	return false
}

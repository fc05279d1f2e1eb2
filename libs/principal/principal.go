// Package principal says who is calling, and holds the door through which that travels in a context.
//
// A Principal is only ever made by package token out of a verified access token (or by a service for its own
// command line); everyone else reads it.
package principal

import (
	"context"
	"strings"
	"time"
)

// Scope says whose things a permission is about.
type Scope string

// Self is the caller's own things, All is everybody's.
const (
	Self Scope = "self"
	All  Scope = "all"
)

// Permission allows one action on one kind of resource, in a scope.
type Permission struct {
	Resource string `json:"resource"`
	Action   string `json:"action"` // read, create, update, delete
	Scope    Scope  `json:"scope"`
}

// String is the form permissions have in tokens: `files:read:self`.
func (p Permission) String() string { return p.Resource + ":" + p.Action + ":" + string(p.Scope) }

// ParsePermission reads the form String writes.
func ParsePermission(s string) (Permission, bool) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return Permission{}, false
	}
	p := Permission{Resource: parts[0], Action: parts[1], Scope: Scope(parts[2])}
	return p, p.Scope == Self || p.Scope == All
}

// Principal is a verified caller. Exactly one of SessionID and APIKeyID is set.
type Principal struct {
	UserID      string
	SessionID   string
	APIKeyID    string
	TokenID     string // jti
	KeyID       string // kid of the key that signed
	Roles       []string
	Permissions []Permission
	EpochRoles  []string // for an API key: the roles of its owner, which it does not have, but whose change makes the token stale
	Epoch       int64    // position in the revocation log of the newest change of rights the token knows
	IssuedAt    time.Time
	ExpiresAt   time.Time
}

// May reports whether the caller's permissions allow action on resource. own says whether the thing is the caller's:
// a permission of scope self covers only own things, one of scope all covers every thing.
func (p Principal) May(resource, action string, own bool) bool {
	for _, has := range p.Permissions {
		if has.Resource == resource && has.Action == action && (has.Scope == All || (has.Scope == Self && own)) {
			return true
		}
	}
	return false
}

type contextKey struct{}

// With returns a context that carries p.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns the caller, and whether there is one.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}

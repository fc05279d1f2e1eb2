package wire

import (
	"time"

	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

// User is a person.
type User struct {
	ID            string                 `json:"id"`
	Name          string                 `json:"name"`
	Email         *string                `json:"email"`
	EmailVerified bool                   `json:"email_verified"`
	Phone         *string                `json:"phone"`
	Username      *string                `json:"username"`
	Status        identity.Status        `json:"status"`
	Roles         []string               `json:"roles"`
	Permissions   []principal.Permission `json:"permissions"`
	CreatedAt     web.Time               `json:"created_at"`
	UpdatedAt     web.Time               `json:"updated_at"`
}

// NewUser renders a person.
func NewUser(u identity.User) User {
	return User{
		ID: u.ID, Name: u.Name, Email: OrNull(u.Email), EmailVerified: !u.EmailVerifiedAt.IsZero(), Phone: OrNull(u.Phone), Username: OrNull(u.Username),
		Status: u.Status, Roles: OrEmpty(u.Roles), Permissions: OrEmpty(u.Permissions),
		CreatedAt: web.Time(u.CreatedAt), UpdatedAt: web.Time(u.UpdatedAt),
	}
}

// Device is a session, as the person whose it is sees it.
type Device struct {
	ID            string    `json:"id"`
	DeviceName    string    `json:"device_name"`
	UserAgent     string    `json:"user_agent"`
	IP            *string   `json:"ip"`
	CreatedAt     web.Time  `json:"created_at"`
	LastRefreshAt *web.Time `json:"last_refresh_at"`
	RefreshCount  int64     `json:"refresh_count"`
	Current       bool      `json:"current"`
}

// NewDevice renders a session; current is the id of the caller's own.
func NewDevice(s identity.Session, current string) Device {
	d := Device{
		ID: s.ID, DeviceName: s.DeviceName, UserAgent: s.UserAgent, CreatedAt: web.Time(s.CreatedAt),
		LastRefreshAt: TimeOrNull(s.RefreshedAt), RefreshCount: s.RefreshCount(), Current: s.ID == current,
	}
	if s.Address.IsValid() {
		d.IP = OrNull(s.Address.String())
	}
	return d
}

// Factor is what a person shows besides the password, without what it shows.
type Factor struct {
	ID         string              `json:"id"`
	Type       identity.FactorKind `json:"type"`
	Name       string              `json:"name"`
	Confirmed  bool                `json:"confirmed"`
	CreatedAt  web.Time            `json:"created_at"`
	LastUsedAt *web.Time           `json:"last_used_at"`
}

// NewFactor renders a factor.
func NewFactor(f identity.Factor) Factor {
	return Factor{
		ID: f.ID, Type: f.Kind, Name: f.Name, Confirmed: f.Confirmed(), CreatedAt: web.Time(f.CreatedAt),
		LastUsedAt: TimeOrNull(f.UsedAt()),
	}
}

// APIKey is a key without its secret.
type APIKey struct {
	ID          string                 `json:"id"`
	Name        string                 `json:"name"`
	Permissions []principal.Permission `json:"permissions"`
	CreatedAt   web.Time               `json:"created_at"`
	ExpiresAt   *web.Time              `json:"expires_at"`
	LastUsedAt  *web.Time              `json:"last_used_at"`
}

// NewAPIKey renders a key.
func NewAPIKey(k identity.APIKey) APIKey {
	return APIKey{
		ID: k.ID, Name: k.Name, Permissions: OrEmpty(k.Permissions), CreatedAt: web.Time(k.CreatedAt),
		ExpiresAt: TimeOrNull(k.ExpiresAt), LastUsedAt: TimeOrNull(k.LastUsedAt),
	}
}

// SigningKey is a key that access tokens are signed with, without its private half.
type SigningKey struct {
	KeyID          string            `json:"kid"`
	Algorithm      string            `json:"algorithm"`
	State          identity.KeyState `json:"state"`
	CreatedAt      web.Time          `json:"created_at"`
	SignsFrom      *web.Time         `json:"signs_from"`
	PublishedUntil *web.Time         `json:"published_until"`
}

// NewSigningKey renders a key.
func NewSigningKey(k identity.SigningKey) SigningKey {
	return SigningKey{
		KeyID: k.ID, Algorithm: k.Algorithm, State: k.State, CreatedAt: web.Time(k.CreatedAt),
		SignsFrom: TimeOrNull(k.ActivateAt), PublishedUntil: TimeOrNull(k.GoneAt),
	}
}

// OrNull makes no text null.
func OrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// TimeOrNull makes the zero time null.
func TimeOrNull(t time.Time) *web.Time {
	if t.IsZero() {
		return nil
	}
	return (*web.Time)(&t)
}

// OrEmpty makes lists [] and never null.
func OrEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

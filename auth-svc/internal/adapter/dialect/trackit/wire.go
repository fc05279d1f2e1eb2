package trackit

import (
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
)

type failure struct {
	Success bool   `json:"success"`
	Error   string `json:"error"`
}

type done struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

type user struct {
	ID       string  `json:"id"`
	Username *string `json:"username"` // null for people who came another way and have none
	Email    *string `json:"email"`
}

func newUser(u identity.User) user {
	return user{ID: u.ID, Username: orNull(u.Username), Email: orNull(u.Email)}
}

type adminUser struct {
	user
	Password string `json:"password"`
}

type entry struct {
	Success       bool   `json:"success"`
	Authenticated bool   `json:"authenticated"`
	Message       string `json:"message"`
	AccessToken   string `json:"accessToken"`
	RefreshToken  string `json:"refreshToken"`
	APIKey        string `json:"apiKey"` // the caller's own, back again
	DeviceID      string `json:"deviceId"`
	User          user   `json:"user"`
}

func newEntry(message string, e identity.Entry, apiKey, deviceID string) entry {
	return entry{
		Success: true, Authenticated: true, Message: message, AccessToken: e.Tokens.AccessToken.Reveal(),
		RefreshToken: e.Tokens.RefreshToken.Reveal(), APIKey: apiKey, DeviceID: deviceID, User: newUser(e.User),
	}
}

type refreshed struct {
	Success      bool   `json:"success"`
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
	DeviceID     string `json:"deviceId"`
}

type checked struct {
	Success         bool   `json:"success"`
	IsAuthenticated bool   `json:"isAuthenticated"`
	Message         string `json:"message"`
	DeviceID        string `json:"deviceId,omitempty"`
	User            *user  `json:"user,omitempty"`
}

type sessionList struct {
	Success  bool      `json:"success"`
	Sessions []session `json:"sessions"`
}

type session struct {
	ID            string  `json:"id"`
	DeviceID      string  `json:"device_id"`
	CreatedAt     *string `json:"created_at"`
	LastRefreshAt *string `json:"last_refresh_at"`
	RefreshCount  int64   `json:"refresh_count"`
}

// second is a time in whole seconds, nil for none.
func second(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.RFC3339)
	return &s
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

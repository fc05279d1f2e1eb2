package siteworks

import (
	"time"

	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/identity"
)

type answer struct {
	Success bool    `json:"success"`
	Message string  `json:"message,omitempty"`
	User    *user   `json:"user,omitempty"`
	Tokens  *tokens `json:"tokens,omitempty"`
}

type user struct {
	ID          string          `json:"id"`
	Email       *string         `json:"email"` // null for people who came another way and have none
	Name        *string         `json:"name"`
	IsVerified  bool            `json:"isVerified"`
	IsActive    bool            `json:"isActive"`
	LastLoginAt *dialect.Millis `json:"lastLoginAt,omitempty"`
	CreatedAt   *dialect.Millis `json:"createdAt,omitempty"`
	UpdatedAt   *dialect.Millis `json:"updatedAt,omitempty"`
}

func newUser(u identity.User) user {
	return user{
		ID: u.ID, Email: orNull(u.Email), Name: orNull(u.Name),
		IsVerified: !u.EmailVerifiedAt.IsZero(), IsActive: u.Status == identity.Active,
	}
}

// wholeUser is a user with all its times, as the profile has them.
func wholeUser(u identity.User) *user {
	out := newUser(u)
	out.LastLoginAt, out.CreatedAt, out.UpdatedAt = at(u.LastLoginAt), at(u.CreatedAt), at(u.UpdatedAt)
	return &out
}

// tokens are those of a session. ExpiresAt is when the refresh token does.
type tokens struct {
	AccessToken  string         `json:"accessToken"`
	RefreshToken string         `json:"refreshToken"`
	ExpiresAt    dialect.Millis `json:"expiresAt"`
}

func newTokens(t identity.Tokens) *tokens {
	return &tokens{
		AccessToken: t.AccessToken.Reveal(), RefreshToken: t.RefreshToken.Reveal(), ExpiresAt: dialect.Millis(t.RefreshExpiresAt),
	}
}

type failure struct {
	Success bool           `json:"success"`
	Error   failureError   `json:"error"`
	Errors  []failureField `json:"errors,omitempty"`
}

type failureError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type failureField struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func at(t time.Time) *dialect.Millis {
	m := dialect.Millis(t)
	return &m
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

package identity

import (
	"context"
	"time"
)

// Purpose says what a link in a mail is for.
type Purpose string

// The purposes.
const (
	PurposeVerify Purpose = "verify_email"
	PurposeReset  Purpose = "reset_password"
)

// MailToken is the row behind a link in a mail. Used, replaced and outdated ones have none.
type MailToken struct {
	ID        string
	UserID    string
	Purpose   Purpose
	EmailKey  string   // where it was sent: it proves nothing about another address
	Hash      [32]byte // of the secret in the link
	CreatedAt time.Time
	ExpiresAt time.Time
}

// MailTokens keeps at most one token for each person and purpose.
type MailTokens interface {
	// MailToken finds a token and locks it until the end of the transaction. It returns fault.NotFound.
	MailToken(ctx context.Context, id string) (MailToken, error)
	// PutMailToken adds a token in the place of the one before.
	PutMailToken(ctx context.Context, t MailToken) error
	// DeleteMailTokens ends a person's tokens, of one purpose or, with none given, of all.
	DeleteMailTokens(ctx context.Context, userID string, purposes ...Purpose) error
	// SweepMailTokens removes tokens that have expired, at most limit.
	SweepMailTokens(ctx context.Context, limit int) (int, error)
}

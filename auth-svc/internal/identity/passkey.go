package identity

import (
	"context"
	"time"
)

// Passkey is the public half of a key pair that an authenticator keeps for its owner.
type Passkey struct {
	CredentialID   []byte   // how the authenticator calls it; unique among everybody's
	PublicKey      []byte   // as the adapter reads it
	SignCount      uint32   // of the last answer; authenticators that don't count say 0
	BackupEligible bool     // it may be on several devices; this never changes
	Transports     []string // how browsers may reach it: hints, sorted words
	UsedAt         time.Time
}

// Passkeys keeps what a factor that is a passkey needs besides.
type Passkeys interface {
	// FactorByCredential finds a confirmed passkey by its CredentialID. It locks nothing. It returns fault.NotFound.
	FactorByCredential(ctx context.Context, credentialID []byte) (Factor, error)
	// ConfirmPasskey writes ConfirmedAt and the passkey. It returns fault.NotFound, and fault.Conflict when the
	// CredentialID is somebody's already.
	ConfirmPasskey(ctx context.Context, id string, at time.Time, p Passkey) error
	// CountPasskey writes SignCount and UsedAt where count is past the stored one, or both are 0, and reports whether
	// it did.
	CountPasskey(ctx context.Context, id string, count uint32, at time.Time) (bool, error)
	// SpendPasskeyChallenge reports whether the challenge had not been spent before, and keeps it as spent at least
	// until it would have expired.
	SpendPasskeyChallenge(ctx context.Context, nonce [16]byte, expires time.Time) (bool, error)
	// SweepPasskeyChallenges forgets spent ones that have expired, at most limit.
	SweepPasskeyChallenges(ctx context.Context, limit int) (int, error)
}

// PasskeyOwner is a person as browsers show them when they ask which passkey to use.
type PasskeyOwner struct {
	Handle []byte // what the authenticator gives back with a passkey: whose it is
	Name   string
}

// PasskeyAnswer is what a browser has brought back, before anybody has judged it. It is not true until then.
type PasskeyAnswer struct {
	Challenge    string // base64url
	CredentialID []byte
	Handle       []byte // may be empty where the question named passkeys
}

// WebAuthn speaks the W3C's Web Authentication for one site, whose name and origins are its own. Challenges are base64url.
// Options are JSON as browsers take it, answers JSON as browsers give it.
type WebAuthn interface {
	// CreationOptions asks an authenticator for a new passkey, unless it holds one of have. alone says that it will be the only
	// way in: it must be found without a name, and the authenticator must have seen that it is its owner.
	CreationOptions(challenge string, owner PasskeyOwner, have []Passkey, alone bool) ([]byte, error)
	// RequestOptions asks for an answer of one of allow, or of any passkey for this site when there are none. verify
	// says that the authenticator must have seen that it is its owner, by a PIN or a finger.
	RequestOptions(challenge string, allow []Passkey, verify bool) ([]byte, error)
	// ReadCreated and ReadAnswer read an answer without judging it. They return fault.InvalidCredentials.
	ReadCreated(answer []byte) (PasskeyAnswer, error)
	ReadAnswer(answer []byte) (PasskeyAnswer, error)
	// Created judges a new passkey, alone as it was asked for. It returns fault.InvalidCredentials.
	Created(challenge string, owner PasskeyOwner, alone bool, answer []byte) (Passkey, error)
	// Answered judges the answer of a passkey, and returns the authenticator's count, not compared with any. A zero
	// Passkey costs what another does. It returns fault.InvalidCredentials.
	Answered(challenge string, p Passkey, verify bool, answer []byte) (count uint32, err error)
}

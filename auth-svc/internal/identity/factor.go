package identity

import (
	"context"
	"time"

	"cloakroom.dev/libs/secret"
)

// FactorKind says what a factor is.
type FactorKind string

// The kinds. A recovery code is no factor: it stands in for one.
const (
	FactorTOTP    FactorKind = "totp"    // an app that makes codes
	FactorPasskey FactorKind = "passkey" // a key pair of WebAuthn
)

// Factor is something a person has besides the password.
type Factor struct {
	ID          string
	UserID      string
	Kind        FactorKind
	Name        string // what the person calls it
	CreatedAt   time.Time
	ConfirmedAt time.Time // zero while nobody has shown it; it guards nothing until then

	Sealed   []byte // of an app: the shared secret, sealed for this very row
	LastStep int64  // of an app: the newest time step whose code was taken; that code and older ones are spent

	Passkey Passkey // of a passkey: zero until it is confirmed
}

// Confirmed reports whether the factor guards its owner.
func (f Factor) Confirmed() bool { return !f.ConfirmedAt.IsZero() }

// UsedAt is when it was last shown, zero for never; of an app, to the half minute.
func (f Factor) UsedAt() time.Time {
	if f.Kind == FactorPasskey {
		return f.Passkey.UsedAt
	}
	if f.LastStep == 0 {
		return time.Time{}
	}
	return time.Unix(f.LastStep*int64(codeStep/time.Second), 0).UTC()
}

// Challenge is the half of a login that a password has paid for.
type Challenge struct {
	ID         string
	UserID     string
	Hash       [32]byte // of the token's secret
	Proved     [32]byte // hash of the password hash that was proved: a changed password ends the challenge
	DeviceName string
	Attempts   int
	CreatedAt  time.Time
	ExpiresAt  time.Time
}

// Proof says what a session's owner has shown, and ProvedAt of the session when.
type Proof string

// The proofs. Only ProofFactor opens what a second factor guards.
const (
	ProofPassword Proof = "password"
	ProofFactor   Proof = "factor"
	ProofProvider Proof = "provider" // an identity provider's word
	ProofVouched  Proof = "vouched"  // the word of a service with the permission to give it: nothing was shown here
)

// Methods are the proof in the words of RFC 8176, for the amr of tokens. A factor is shown on top of the password or of a
// provider's word: which of them the session does not say, so neither does the token. For a provider's word alone
// there is no word.
func (p Proof) Methods() []string {
	switch p {
	case ProofPassword:
		return []string{"pwd"}
	case ProofFactor:
		return []string{"otp", "mfa"}
	}
	return nil
}

// Level is the proof as one word, for the acr of tokens: aal1 for one factor, aal2 for two.
func (p Proof) Level() string {
	switch p {
	case ProofPassword, ProofProvider:
		return "aal1"
	case ProofFactor:
		return "aal2"
	}
	return ""
}

// Factors keeps second factors.
type Factors interface {
	// Factors lists a person's factors, oldest first. For a writer it locks them until the end of the transaction.
	Factors(ctx context.Context, userID string) ([]Factor, error)
	// InsertFactor adds a factor that is not confirmed.
	InsertFactor(ctx context.Context, f Factor) error
	// ConfirmFactor writes ConfirmedAt. It returns fault.NotFound.
	ConfirmFactor(ctx context.Context, id string, at time.Time) error
	// SpendStep takes a time step where it is newer than the stored LastStep, and reports whether it was.
	SpendStep(ctx context.Context, id string, step int64) (bool, error)
	// NameFactor changes the name of one factor of that person. It returns fault.NotFound.
	NameFactor(ctx context.Context, userID, id, name string) error
	// DeleteFactor forgets one factor of that person. It returns fault.NotFound.
	DeleteFactor(ctx context.Context, userID, id string) error
}

// RecoveryCodes keeps the hashes of the codes that stand in for a lost factor.
type RecoveryCodes interface {
	// PutRecoveryCodes gives a person exactly these, in place of any before.
	PutRecoveryCodes(ctx context.Context, userID string, hashes [][32]byte) error
	// SpendRecoveryCode removes a code and reports whether it was there.
	SpendRecoveryCode(ctx context.Context, userID string, hash [32]byte) (bool, error)
	CountRecoveryCodes(ctx context.Context, userID string) (int, error)
}

// Challenges keeps half-done logins.
type Challenges interface {
	// InsertChallenge adds one, and forgets all but the keep newest of that person.
	InsertChallenge(ctx context.Context, c Challenge, keep int) error
	// TryChallenge counts an attempt and returns the challenge with it, in one statement. It returns fault.NotFound
	// when there is none, or it has had most attempts.
	TryChallenge(ctx context.Context, id string, most int) (Challenge, error)
	// DeleteChallenge ends one. It returns fault.NotFound.
	DeleteChallenge(ctx context.Context, id string) error
	// SweepChallenges removes what is past its ExpiresAt, at most limit.
	SweepChallenges(ctx context.Context, limit int) (int, error)
}

// SessionProofs keeps how strong sessions are.
type SessionProofs interface {
	// ProveSession writes ProvedAt and Proof. It returns fault.NotFound.
	ProveSession(ctx context.Context, id string, at time.Time, proof Proof) error
}

// OTP makes time-based one-time codes (RFC 6238).
type OTP interface {
	// Generate makes a secret, and the otpauth URI an app reads it from; account is shown there.
	Generate(account string) (shared, uri secret.String, err error)
	// Code is the code of a time step.
	Code(shared secret.String, step int64) (string, error)
}

// Sealer encrypts secrets at rest, bound to a label that must be given again.
type Sealer interface {
	Seal(label string, plain []byte) []byte
	Open(label string, sealed []byte) ([]byte, error)
}

// Package totp makes time-based one-time codes as authenticator apps know them: RFC 6238 with SHA-1, six digits and
// 30 seconds, the only parameters that all of them take.
package totp

import (
	"fmt"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
)

// secretBytes is the length of the hash, as RFC 4226 advises.
const secretBytes = 20

// Maker makes secrets and codes. It is safe for concurrent use.
type Maker struct{ issuer string }

var _ identity.OTP = (*Maker)(nil)

// New returns a Maker whose secrets are shown under this issuer's name.
func New(issuer string) *Maker { return &Maker{issuer: issuer} }

// Generate makes a random secret in base32, and the otpauth URI that a QR code carries.
func (m *Maker) Generate(account string) (shared, uri secret.String, err error) {
	key, err := totp.Generate(totp.GenerateOpts{Issuer: m.issuer, AccountName: account, SecretSize: secretBytes})
	if err != nil {
		return shared, uri, fmt.Errorf("generate a TOTP secret: %w", err)
	}
	return secret.NewString(key.Secret()), secret.NewString(key.URL()), nil
}

// Code is the code of a time step: Unix time divided by 30 seconds.
func (*Maker) Code(shared secret.String, step int64) (string, error) {
	code, err := hotp.GenerateCodeCustom(shared.Reveal(), uint64(step), hotp.ValidateOpts{
		Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil {
		return "", fmt.Errorf("generate a TOTP code: %w", err)
	}
	return code, nil
}

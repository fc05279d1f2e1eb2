package identitytest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/secret"
)

// OTP makes codes of its own kind: six digits that follow from the secret and the step.
type OTP struct{}

var _ identity.OTP = OTP{}

// Generate makes a random secret.
func (OTP) Generate(account string) (shared, uri secret.String, err error) {
	var b [20]byte
	_, _ = rand.Read(b[:])
	text := base32.StdEncoding.EncodeToString(b[:])
	return secret.NewString(text), secret.NewString("otpauth://totp/test:" + account + "?secret=" + text), nil
}

// Code hashes.
func (OTP) Code(shared secret.String, step int64) (string, error) {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(shared.Reveal()), uint64(step)))
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[:])%1_000_000), nil
}

// Sealer seals under a key that everybody could read here.
type Sealer struct{}

var _ identity.Sealer = Sealer{}

func (Sealer) aead() cipher.AEAD {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// Seal encrypts.
func (s Sealer) Seal(label string, plain []byte) []byte {
	return s.aead().Seal(nil, nil, plain, []byte(label)) //nolint:gosec // this AEAD draws its nonce itself
}

// Open undoes Seal.
func (s Sealer) Open(label string, sealed []byte) ([]byte, error) {
	return s.aead().Open(nil, nil, sealed, []byte(label))
}

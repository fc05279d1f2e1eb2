package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"

	"github.com/golang-jwt/jwt/v5"
)

// Key is a public key that may verify tokens, with the one algorithm it may do so by.
type Key struct {
	ID        string // kid
	Algorithm string // EdDSA, ES256, ES512, RS256 or RS512
	Public    crypto.PublicKey
}

// KeySource finds verification keys.
type KeySource interface {
	// Key finds the key that kid names. It returns fault.NotFound when there is no such key, and fault.Unavailable when
	// that can't be known now. It may wait for a fetch, never longer than a few seconds.
	Key(ctx context.Context, kid string) (Key, error)
}

const (
	minRSABits = 2048
	maxRSABits = 8192 // a larger one only serves to keep verifiers busy
)

// algorithm is a way to sign that we accept. All are asymmetric: whoever can verify can't sign.
type algorithm struct {
	method jwt.SigningMethod
	fits   func(crypto.PublicKey) bool
}

var algorithms = map[string]algorithm{
	"EdDSA": {jwt.SigningMethodEdDSA, isEd25519},
	"ES256": {jwt.SigningMethodES256, isECDSA(elliptic.P256())},
	"ES512": {jwt.SigningMethodES512, isECDSA(elliptic.P521())},
	"RS256": {jwt.SigningMethodRS256, isRSA},
	"RS512": {jwt.SigningMethodRS512, isRSA},
}

// usable says whether the key's material is of the kind its algorithm needs.
func (k Key) usable() bool {
	a, known := algorithms[k.Algorithm]
	return known && a.fits(k.Public)
}

// verify checks a signature by the key's own algorithm, which the token must name too but doesn't choose.
func (k Key) verify(j *jws) error {
	switch {
	case j.algorithm != k.Algorithm:
		return reason("algorithm is not the key's")
	case !k.usable():
		return reason("key does not fit its algorithm")
	case algorithms[k.Algorithm].method.Verify(j.signed, j.signature, k.Public) != nil:
		return reason("signature does not match")
	default:
		return nil
	}
}

// same says whether other is this key still: a kid may have been given to another one.
func (k Key) same(other Key) bool {
	public, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Algorithm == other.Algorithm && public.Equal(other.Public)
}

func isEd25519(public crypto.PublicKey) bool {
	k, ok := public.(ed25519.PublicKey)
	return ok && len(k) == ed25519.PublicKeySize
}

func isECDSA(curve elliptic.Curve) func(crypto.PublicKey) bool {
	return func(public crypto.PublicKey) bool {
		k, ok := public.(*ecdsa.PublicKey)
		return ok && k.Curve == curve
	}
}

func isRSA(public crypto.PublicKey) bool {
	k, ok := public.(*rsa.PublicKey)
	return ok && k.N.BitLen() >= minRSABits && k.N.BitLen() <= maxRSABits && k.E >= 3 && k.E&1 == 1
}

package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	golangjwt "github.com/golang-jwt/jwt/v5"
)

// rsaBits is for those who must have RSA; EdDSA is the default and signs thirty times faster.
const rsaBits = 2048

// algorithm is one row of what we sign with. There is no symmetric one, and no none: what is not in this table
// can't be configured, generated, or read back.
type algorithm struct {
	method   golangjwt.SigningMethod
	generate func() (crypto.Signer, error)
	fits     func(public crypto.PublicKey) bool
}

var algorithms = map[string]algorithm{
	"EdDSA": {golangjwt.SigningMethodEdDSA, generateEd25519, isEd25519},
	"RS256": {golangjwt.SigningMethodRS256, generateRSA, isRSA},
	"RS512": {golangjwt.SigningMethodRS512, generateRSA, isRSA},
	"ES256": {golangjwt.SigningMethodES256, generateECDSA(elliptic.P256()), isECDSA(elliptic.P256())},
	"ES512": {golangjwt.SigningMethodES512, generateECDSA(elliptic.P521()), isECDSA(elliptic.P521())},
}

func lookUp(name string) (algorithm, error) {
	a, ok := algorithms[name]
	if !ok {
		return algorithm{}, fmt.Errorf("signing algorithm %q is not one of EdDSA, RS256, RS512, ES256, ES512", name)
	}
	return a, nil
}

func generateEd25519() (crypto.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return private, err
}

func generateRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }

func generateECDSA(curve elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) }
}

func isEd25519(public crypto.PublicKey) bool {
	_, ok := public.(ed25519.PublicKey)
	return ok
}

func isRSA(public crypto.PublicKey) bool {
	key, ok := public.(*rsa.PublicKey)
	return ok && key.N.BitLen() >= rsaBits
}

func isECDSA(curve elliptic.Curve) func(crypto.PublicKey) bool {
	return func(public crypto.PublicKey) bool {
		key, ok := public.(*ecdsa.PublicKey)
		return ok && key.Curve == curve
	}
}

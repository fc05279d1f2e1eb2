package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"

	"cloakroom.dev/auth-svc/internal/identity"
)

// jwk is the public half of one signing key, as RFC 7517 writes it. Alg pins the key to one algorithm: a verifier
// must never let a token's own header choose.
type jwk struct {
	KeyType   string `json:"kty"`
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	N         string `json:"n,omitempty"`
	E         string `json:"e,omitempty"`
}

// KeySet renders keys as the JSON document of RFC 7517. It fails when a key does not belong to its algorithm.
func KeySet(keys []identity.SigningKey) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: make([]jwk, 0, len(keys))}
	for _, key := range keys {
		k, err := publicJWK(key)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, k)
	}
	return json.Marshal(set)
}

func publicJWK(key identity.SigningKey) (jwk, error) {
	public, err := ParsePublic(key.Algorithm, key.Public)
	if err != nil {
		return jwk{}, fmt.Errorf("signing key %s: %w", key.ID, err)
	}
	k := jwk{ID: key.ID, Algorithm: key.Algorithm, Use: "sig"}
	return k, k.fill(public)
}

func (k *jwk) fill(public crypto.PublicKey) error {
	b64 := base64.RawURLEncoding.EncodeToString
	switch key := public.(type) {
	case ed25519.PublicKey:
		k.KeyType, k.Curve, k.X = "OKP", "Ed25519", b64(key)
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, X, Y, each coordinate padded to the size of the field
		if err != nil {
			return fmt.Errorf("signing key %s: %w", k.ID, err)
		}
		half := (len(point) - 1) / 2
		k.KeyType, k.Curve = "EC", key.Curve.Params().Name
		k.X, k.Y = b64(point[1:1+half]), b64(point[1+half:])
	case *rsa.PublicKey:
		k.KeyType, k.N, k.E = "RSA", b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes())
	default:
		return fmt.Errorf("signing key %s: no JWK form for a %T", k.ID, public)
	}
	return nil
}

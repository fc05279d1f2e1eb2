package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"slices"
)

const maxKeys = 64

// decodeKeySet reads an RFC 7517 set. Keys that can't verify our tokens are left out and counted: one bad key must not
// take the good ones down.
func decodeKeySet(data []byte) (keys map[string]Key, skipped int, err error) {
	o, err := parseObject(data)
	if err != nil {
		return nil, 0, err
	}
	var list []json.RawMessage
	if json.Unmarshal(o["keys"], &list) != nil {
		return nil, 0, reason("no array of keys")
	}
	keys = map[string]Key{}
	named := map[string]int{}
	for _, raw := range list[:min(len(list), maxKeys)] {
		k, err := decodeKey(raw)
		if err != nil {
			continue
		}
		keys[k.ID] = k
		named[k.ID]++
	}
	for kid, times := range named {
		if times > 1 { // a name for two keys is a name for none
			delete(keys, kid)
		}
	}
	if len(keys) == 0 {
		return nil, len(list), reason("no usable key")
	}
	return keys, len(list) - len(keys), nil
}

func decodeKey(raw json.RawMessage) (Key, error) {
	o, err := parseObject(raw)
	if err != nil {
		return Key{}, err
	}
	// What holds a private part has been published by mistake, and may be in anyone's hands.
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, private := o[name]; private {
			return Key{}, reason("private or symmetric key")
		}
	}
	if err := o.forSignatures(); err != nil {
		return Key{}, err
	}
	k := Key{}
	if k.ID, err = o.id("kid"); err != nil {
		return Key{}, err
	}
	var only string
	if k.Public, only, err = decodePublic(o); err != nil {
		return Key{}, err
	}
	if k.Algorithm, err = o.text("alg"); err != nil {
		return Key{}, err
	}
	if k.Algorithm == "" {
		k.Algorithm = only
	}
	if !k.usable() {
		return Key{}, reason("key does not fit its algorithm")
	}
	return k, nil
}

// forSignatures checks what a key says of its own purpose, if it does.
func (o object) forSignatures() error {
	use, err := o.text("use")
	if err != nil {
		return err
	}
	if use != "" && use != "sig" {
		return reason("not a signature key")
	}
	ops, err := o.texts("key_ops")
	if err != nil {
		return err
	}
	if ops != nil && !slices.Equal(ops, []string{"verify"}) {
		return reason("not a verification key")
	}
	return nil
}

// decodePublic reads the key's material, and names the one algorithm it can serve where there is only one.
func decodePublic(o object) (public crypto.PublicKey, only string, err error) {
	kind, err := o.text("kty")
	if err != nil {
		return nil, "", err
	}
	curve, err := o.text("crv")
	if err != nil {
		return nil, "", err
	}
	switch kind + " " + curve {
	case "OKP Ed25519":
		x, err := o.bytes("x")
		return ed25519.PublicKey(x), "EdDSA", err
	case "EC P-256":
		public, err = decodePoint(o, elliptic.P256(), 32)
		return public, "ES256", err
	case "EC P-521":
		public, err = decodePoint(o, elliptic.P521(), 66)
		return public, "ES512", err
	case "RSA ":
		public, err = decodeRSA(o)
		return public, "", err
	default:
		return nil, "", reason("unknown kind of key")
	}
}

func decodePoint(o object, curve elliptic.Curve, size int) (crypto.PublicKey, error) {
	x, err := o.bytes("x")
	if err != nil {
		return nil, err
	}
	y, err := o.bytes("y")
	if err != nil {
		return nil, err
	}
	if len(x) != size || len(y) != size {
		return nil, reason("coordinate of the wrong size")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, reason("not a point of the curve")
	}
	return public, nil
}

func decodeRSA(o object) (crypto.PublicKey, error) {
	n, err := o.bytes("n")
	if err != nil {
		return nil, err
	}
	e, err := o.bytes("e")
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if exponent.BitLen() > 31 {
		return nil, reason("exponent too large")
	}
	modulus := new(big.Int).SetBytes(n)
	if weakROCA(modulus) {
		return nil, reason("modulus of a faulty generator")
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

// bytes reads a base64url member.
func (o object) bytes(name string) ([]byte, error) {
	s, err := o.text(name)
	if err != nil {
		return nil, err
	}
	return decodeSegment(s)
}

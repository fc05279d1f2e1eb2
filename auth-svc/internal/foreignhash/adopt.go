package foreignhash

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"cloakroom.dev/auth-svc/internal/identity"
)

// New reads a hash as an import brings it. The error says for people what is wrong, and does not tell the hash.
func New(f identity.ForeignHash) (Hash, error) {
	if f.Encoded != "" {
		if f != (identity.ForeignHash{Encoded: f.Encoded}) {
			return Hash{}, errors.New("is given encoded and as fields at once")
		}
		return parseHash(f.Encoded)
	}
	if f.Algorithm == "bcrypt" {
		if f != (identity.ForeignHash{Algorithm: "bcrypt", Hash: f.Hash}) {
			return Hash{}, errors.New("is bcrypt, whose hash holds salt and cost by itself")
		}
		return parseBcrypt(f.Hash)
	}
	w, err := costOf(f)
	if err != nil {
		return Hash{}, err
	}
	key, err := decode(f.Hash, f.Encoding)
	if err != nil {
		return Hash{}, fmt.Errorf("hash: %w", err)
	}
	encoding := f.SaltEncoding
	if encoding == "" {
		encoding = f.Encoding
	}
	salt, err := decode(f.Salt, encoding)
	if err != nil {
		return Hash{}, fmt.Errorf("salt: %w", err)
	}
	return made(w, salt, key)
}

// costOf takes the parameters an algorithm has, and refuses those it has not: one that means nothing here may have meant
// something where the hash was made.
func costOf(f identity.ForeignHash) (work, error) {
	rest := f
	rest.Algorithm, rest.Hash, rest.Salt, rest.Encoding, rest.SaltEncoding = "", "", "", "", ""
	var w work
	switch f.Algorithm {
	case "pbkdf2":
		w = pbkdf2Cost{f.Digest, f.Iterations}
		rest.Digest, rest.Iterations = "", 0
	case "scrypt":
		w = scryptCost{log2(f.N), f.R, f.P}
		rest.N, rest.R, rest.P = 0, 0, 0
	case "argon2i", "argon2id":
		w = argonCost{f.Algorithm == "argon2id", f.MemoryKiB, f.Iterations, f.P}
		rest.MemoryKiB, rest.Iterations, rest.P = 0, 0, 0
	default:
		return nil, fmt.Errorf("algorithm %.16q is not one of bcrypt, argon2i, argon2id, scrypt, pbkdf2", f.Algorithm)
	}
	if rest != (identity.ForeignHash{}) {
		return nil, fmt.Errorf("has parameters that %s does not have", f.Algorithm)
	}
	return w, w.check()
}

func decode(text, encoding string) ([]byte, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("is longer than %d bytes", maxText)
	}
	var raw []byte
	var err error
	switch encoding {
	case "hex":
		raw, err = hex.DecodeString(text)
	case "text":
		raw = []byte(text)
	case "", "base64":
		encoder := base64.RawStdEncoding
		if strings.ContainsAny(text, "-_") {
			encoder = base64.RawURLEncoding
		}
		raw, err = encoder.DecodeString(strings.TrimRight(text, "="))
	default:
		return nil, fmt.Errorf("encoding %.16q is not one of base64, hex, text", encoding)
	}
	if err != nil {
		return nil, errors.New("can't be decoded")
	}
	return raw, nil
}

// Dummy makes a hash of this kind (identity.HashKind) that no password made: it costs nothing to make, and exactly as
// much as a real one to check.
func Dummy(kind string) (Hash, error) {
	random := make([]byte, 16+32)
	_, _ = rand.Read(random) // never fails
	if strings.HasPrefix(kind, "$2") {
		const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		text := make([]byte, 53)
		_, _ = rand.Read(text)
		for i := range text {
			text[i] = alphabet[text[i]%64]
		}
		return parseBcrypt(kind + "$" + string(text))
	}
	return parseHash(kind + "$" + b64.EncodeToString(random[:16]) + "$" + b64.EncodeToString(random[16:]))
}

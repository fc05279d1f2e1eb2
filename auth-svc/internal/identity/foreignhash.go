package identity

import (
	"strings"
)

// ForeignHash is a password hash that another system has made: Encoded in PHC or modular crypt form, or everything else
// as fields of its own.
type ForeignHash struct {
	Encoded string

	Algorithm    string // bcrypt, argon2i, argon2id, scrypt, pbkdf2
	Digest       string // of pbkdf2: sha1, sha256, sha512
	Hash, Salt   string
	Encoding     string // of Hash, and of Salt when SaltEncoding is empty: base64 (default) or hex
	SaltEncoding string // base64, hex, or text when the salt was used as it is written
	Iterations   int64  // of pbkdf2 and argon2
	N, R, P      int64  // of scrypt; P is also the lanes of argon2
	MemoryKiB    int64  // of argon2
}

// IsZero reports whether there is no hash at all.
func (h ForeignHash) IsZero() bool { return h == ForeignHash{} }

// HashKind is what an encoded hash says of its own cost: all that stands before salt and key. Two hashes of one kind take
// the same time to check. It is empty for no hash.
func HashKind(encoded string) string {
	drop := 2
	if strings.HasPrefix(encoded, "$2") {
		drop = 1 // bcrypt writes salt and key as one
	}
	for range drop {
		i := strings.LastIndexByte(encoded, '$')
		if i < 0 {
			return ""
		}
		encoded = encoded[:i]
	}
	return encoded
}

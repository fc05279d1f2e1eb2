// Package foreignhash checks passwords against hashes that other systems have made: bcrypt, argon2i, argon2id, scrypt and
// PBKDF2.
//
// New reads the many ways in which such hashes are written down and brings each to one: `$kind$cost$salt$key` in the
// style of PHC, or bcrypt's own form. Parse reads only that one. Both refuse what would hurt: a hash is input, and a
// single line of an import must not be able to ask for gigabytes or for minutes. So whatever Parse has let through is
// safe to check. Nothing here bounds how many are checked at once; that is the caller's gate.
package foreignhash

import (
	"crypto/subtle"
	"fmt"
	"strings"
)

// The caps. The dearest of each sort takes about a second of a core; what serious systems use stays well below.
const (
	maxMemoryBytes = 256 << 20

	minBcryptCost = 4
	maxBcryptCost = 14

	maxPBKDF2Iterations = 4_000_000

	maxScryptR    = 32
	maxScryptP    = 16
	maxScryptWork = 1 << 22 // N·r·p

	maxArgonPasses = 16
	maxArgonLanes  = 8
	maxArgonWork   = 1 << 20 // KiB · passes

	minSaltBytes = 1
	maxSaltBytes = 128
	minKeyBytes  = 16
	maxKeyBytes  = 64
	maxText      = 4096
)

// Hash is a hash that is safe to check.
type Hash struct {
	work      work
	salt, key []byte
	bcrypt    string // its whole text, which holds salt and key by itself
}

// work is how one sort of hash is made.
type work interface {
	// kind is what stands before salt and key, and check what is wrong with it.
	kind() string
	check() error
	// memory in bytes, and time in no particular unit: it orders the costs of one sort.
	memory() int64
	effort() int64
	derive(password string, salt []byte, keyBytes int) ([]byte, error)
}

// String is the one form in which a hash is kept.
func (h Hash) String() string {
	if h.bcrypt != "" {
		return h.bcrypt
	}
	return h.work.kind() + "$" + b64.EncodeToString(h.salt) + "$" + b64.EncodeToString(h.key)
}

// Memory is how many bytes a check takes.
func (h Hash) Memory() int64 { return h.work.memory() }

// Effort orders hashes of one Algorithm by the time a check takes.
func (h Hash) Effort() int64 { return h.work.effort() }

// Algorithm is the first word of the hash.
func (h Hash) Algorithm() string {
	if h.bcrypt != "" {
		return "bcrypt"
	}
	name, _, _ := strings.Cut(h.work.kind()[1:], "$")
	return name
}

// Check reports whether the password made the hash. It takes the same time for every password.
func (h Hash) Check(password string) (bool, error) {
	if h.bcrypt != "" {
		return checkBcrypt(password, h.bcrypt)
	}
	key, err := h.work.derive(password, h.salt, len(h.key))
	if err != nil {
		return false, fmt.Errorf("check a %s hash: %w", h.Algorithm(), err)
	}
	return subtle.ConstantTimeCompare(key, h.key) == 1, nil
}

// finish is the last look at a hash, whichever way it came.
func (h Hash) finish() (Hash, error) {
	if err := h.work.check(); err != nil {
		return Hash{}, err
	}
	if h.bcrypt != "" {
		return h, nil
	}
	switch {
	case len(h.salt) < minSaltBytes || len(h.salt) > maxSaltBytes:
		return Hash{}, fmt.Errorf("a salt of %d bytes is outside %d to %d", len(h.salt), minSaltBytes, maxSaltBytes)
	case len(h.key) < minKeyBytes:
		return Hash{}, fmt.Errorf("a hash of %d bytes is too short to prove anything", len(h.key))
	case len(h.key) > maxKeyBytes:
		return Hash{}, fmt.Errorf("a hash of %d bytes is longer than %d", len(h.key), maxKeyBytes)
	}
	return h, nil
}

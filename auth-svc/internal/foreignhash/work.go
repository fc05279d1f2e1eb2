package foreignhash

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // old systems used it here, where collisions don't matter; the first login replaces it
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"math/bits"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// bcryptCost is the power of two of bcrypt's rounds.
type bcryptCost int64

func (c bcryptCost) kind() string  { return fmt.Sprintf("$2b$%02d", int64(c)) }
func (c bcryptCost) memory() int64 { return 4 << 10 }
func (c bcryptCost) effort() int64 { return 1 << c }

func (c bcryptCost) check() error {
	if c < minBcryptCost || c > maxBcryptCost {
		return fmt.Errorf("bcrypt with cost %d is outside %d to %d", int64(c), minBcryptCost, maxBcryptCost)
	}
	return nil
}

func (bcryptCost) derive(string, []byte, int) ([]byte, error) {
	return nil, errors.New("bcrypt has its own way")
}

// bcryptBytes is all of a password that bcrypt ever looks at.
const bcryptBytes = 72

// checkBcrypt refuses a password longer than bcrypt can see: the hash says nothing about the rest of it, and would let in
// whoever knows the beginning. It does the work all the same.
func checkBcrypt(password, text string) (bool, error) {
	whole := len(password) <= bcryptBytes
	err := bcrypt.CompareHashAndPassword([]byte(text), []byte(password[:min(len(password), bcryptBytes)]))
	switch {
	case err == nil:
		return whole, nil
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return false, nil
	default:
		return false, errors.New("check a bcrypt hash: it can't be read")
	}
}

// pbkdf2Cost is PBKDF2 with HMAC.
type pbkdf2Cost struct {
	digest     string
	iterations int64
}

var digests = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

func (c pbkdf2Cost) kind() string {
	return fmt.Sprintf("$pbkdf2-%s$i=%d", c.digest, c.iterations)
}
func (c pbkdf2Cost) memory() int64 { return 4 << 10 }
func (c pbkdf2Cost) effort() int64 { return c.iterations }

func (c pbkdf2Cost) check() error {
	switch {
	case digests[c.digest] == nil:
		return fmt.Errorf("pbkdf2 with digest %.16q: only sha1, sha256 and sha512 can be checked", c.digest)
	case c.iterations < 1 || c.iterations > maxPBKDF2Iterations:
		return fmt.Errorf("pbkdf2 with %d iterations is outside 1 to %d", c.iterations, maxPBKDF2Iterations)
	}
	return nil
}

// keep is how much of a key is looked at. PBKDF2 makes every block by itself: more than one costs more and proves nothing
// more.
func (c pbkdf2Cost) keep(key []byte) []byte {
	if d := digests[c.digest]; d != nil {
		return key[:min(len(key), d().Size())]
	}
	return key
}

func (c pbkdf2Cost) derive(password string, salt []byte, keyBytes int) ([]byte, error) {
	return pbkdf2.Key(digests[c.digest], password, salt, int(c.iterations), keyBytes)
}

type scryptCost struct{ logN, r, p int64 }

func (c scryptCost) kind() string  { return fmt.Sprintf("$scrypt$ln=%d,r=%d,p=%d", c.logN, c.r, c.p) }
func (c scryptCost) memory() int64 { return 128 * c.r << c.logN }
func (c scryptCost) effort() int64 { return c.r * c.p << c.logN }

func (c scryptCost) check() error {
	switch {
	case c.r < 1 || c.r > maxScryptR:
		return fmt.Errorf("scrypt with r=%d is outside 1 to %d", c.r, maxScryptR)
	case c.p < 1 || c.p > maxScryptP:
		return fmt.Errorf("scrypt with p=%d is outside 1 to %d", c.p, maxScryptP)
	case c.logN < 1 || c.logN > 32, c.memory() > maxMemoryBytes:
		return fmt.Errorf("scrypt with N=2^%d, r=%d asks for more than %d MiB, or for nothing", c.logN, c.r, maxMemoryBytes>>20)
	case c.effort() > maxScryptWork:
		return fmt.Errorf("scrypt with N=2^%d, r=%d, p=%d is too much work", c.logN, c.r, c.p)
	}
	return nil
}

func (c scryptCost) derive(password string, salt []byte, keyBytes int) ([]byte, error) {
	return scrypt.Key([]byte(password), salt, 1<<c.logN, int(c.r), int(c.p), keyBytes)
}

// log2 is the power of two that n is, or -1.
func log2(n int64) int64 {
	if n < 1 || n&(n-1) != 0 {
		return -1
	}
	return int64(bits.TrailingZeros64(uint64(n)))
}

type argonCost struct {
	id                       bool
	memoryKiB, passes, lanes int64
}

func (c argonCost) kind() string {
	name := "argon2i"
	if c.id {
		name = "argon2id"
	}
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d", name, argon2.Version, c.memoryKiB, c.passes, c.lanes)
}
func (c argonCost) memory() int64 { return c.memoryKiB << 10 }
func (c argonCost) effort() int64 { return c.memoryKiB * c.passes }

func (c argonCost) check() error {
	switch {
	case c.lanes < 1 || c.lanes > maxArgonLanes:
		return fmt.Errorf("argon2 with %d lanes is outside 1 to %d", c.lanes, maxArgonLanes)
	case c.passes < 1 || c.passes > maxArgonPasses:
		return fmt.Errorf("argon2 with %d passes is outside 1 to %d", c.passes, maxArgonPasses)
	case c.memoryKiB < 8*c.lanes || c.memoryKiB > maxMemoryBytes>>10:
		return fmt.Errorf("argon2 with %d KiB of memory is outside %d to %d", c.memoryKiB, 8*c.lanes, maxMemoryBytes>>10)
	case c.effort() > maxArgonWork:
		return fmt.Errorf("argon2 with %d passes over %d KiB is too much work", c.passes, c.memoryKiB)
	}
	return nil
}

func (c argonCost) derive(password string, salt []byte, keyBytes int) ([]byte, error) {
	key := argon2.Key
	if c.id {
		key = argon2.IDKey
	}
	return key([]byte(password), salt, uint32(c.passes), uint32(c.memoryKiB), uint8(c.lanes), uint32(keyBytes)), nil
}

package argon2

import (
	"fmt"

	"github.com/alexedwards/argon2id"

	"cloakroom.dev/libs/fault"
)

// Params is what one hash costs. The zero value of a field means the default.
type Params struct {
	MemoryKiB uint32 // default 19456 (19 MiB)
	Passes    uint32 // default 2
	Lanes     uint8  // default 1
}

// The default is the second of OWASP's equivalent settings; the caps are those of AuthConfig, and what one stored hash
// may cost us at most. A hash in the database is input: a row written by an import, or by whoever got at the table,
// must not be able to ask for 4 GiB.
const (
	defaultMemoryKiB = 19 << 10
	defaultPasses    = 2
	defaultLanes     = 1

	minMemoryKiB = 7 << 10
	maxMemoryKiB = 1 << 20
	maxPasses    = 16
	maxLanes     = 8
	maxSaltBytes = 64
	minSaltBytes = 8
	maxKeyBytes  = 64
	minKeyBytes  = 16
	maxEncoded   = 512

	saltBytes = 16
	keyBytes  = 32
)

func (p Params) withDefaults() Params {
	if p.MemoryKiB == 0 {
		p.MemoryKiB = defaultMemoryKiB
	}
	if p.Passes == 0 {
		p.Passes = defaultPasses
	}
	if p.Lanes == 0 {
		p.Lanes = defaultLanes
	}
	return p
}

// check refuses parameters outside what a policy may ask for.
func (p Params) check() error {
	switch {
	case p.MemoryKiB < minMemoryKiB || p.MemoryKiB > maxMemoryKiB:
		return fmt.Errorf("argon2 memory of %d KiB is outside %d to %d", p.MemoryKiB, minMemoryKiB, maxMemoryKiB)
	case p.Passes > maxPasses:
		return fmt.Errorf("argon2 with %d passes is above %d", p.Passes, maxPasses)
	case p.Lanes > maxLanes:
		return fmt.Errorf("argon2 with %d lanes is above %d", p.Lanes, maxLanes)
	}
	return nil
}

func (p Params) library() *argon2id.Params {
	return &argon2id.Params{
		Memory: p.MemoryKiB, Iterations: p.Passes, Parallelism: p.Lanes, SaltLength: saltBytes, KeyLength: keyBytes,
	}
}

// weight is the memory one hash with these parameters takes, in bytes.
func (p Params) weight() int64 { return int64(p.MemoryKiB) << 10 }

// cheaper reports whether a hash made with p is weaker than want in any dimension, and so is due for a new hash.
func (p Params) cheaper(want Params) bool {
	return p.MemoryKiB < want.MemoryKiB || p.Passes < want.Passes
}

// stored reads the parameters of an encoded hash and refuses those that would hurt us: too much memory, too many
// passes, or counts of zero, on which the library panics.
func stored(encoded string) (Params, error) {
	if len(encoded) > maxEncoded {
		return Params{}, errStored("is %d bytes long", len(encoded))
	}
	lib, salt, key, err := argon2id.DecodeHash(encoded)
	if err != nil {
		return Params{}, errStored("can't be read: %v", err)
	}
	p := Params{MemoryKiB: lib.Memory, Passes: lib.Iterations, Lanes: lib.Parallelism}
	switch {
	case p.MemoryKiB > maxMemoryKiB || p.MemoryKiB < 8*uint32(p.Lanes):
		return Params{}, errStored("asks for %d KiB of memory", p.MemoryKiB)
	case p.Passes < 1 || p.Passes > maxPasses:
		return Params{}, errStored("asks for %d passes", p.Passes)
	case p.Lanes < 1 || p.Lanes > maxLanes:
		return Params{}, errStored("asks for %d lanes", p.Lanes)
	case len(salt) < minSaltBytes || len(salt) > maxSaltBytes:
		return Params{}, errStored("has a salt of %d bytes", len(salt))
	case len(key) < minKeyBytes || len(key) > maxKeyBytes:
		return Params{}, errStored("has a key of %d bytes", len(key))
	}
	return p, nil
}

// errStored is an internal fault on purpose: the caller typed nothing wrong, our own row is damaged. The hash itself
// stays out of the message.
func errStored(format string, args ...any) error {
	return fault.Wrap(fault.Internal, "the stored password can't be checked",
		fmt.Errorf("stored hash "+format, args...))
}

package argon2

import (
	"errors"
	"fmt"
	"strings"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/foreignhash"
	"cloakroom.dev/auth-svc/internal/identity"
)

// checkable is a stored hash that is safe to check.
type checkable struct {
	weight   int64 // bytes of memory
	encoded  string
	outdated bool // a match is due for a new hash
	foreign  bool
}

// minWeight is what even the lightest hash takes of the gate, so that the line stays meaningful.
const minWeight = 64 << 10

// read finds out who has made a hash, and refuses what would hurt to check.
func (h *Hasher) read(encoded string) (checkable, error) {
	if !strings.HasPrefix(encoded, "$argon2id$") {
		f, err := foreignhash.Parse(encoded)
		if err != nil {
			return checkable{}, errStored("%v", err)
		}
		return checkable{weight: max(f.Memory(), minWeight), encoded: encoded, outdated: true, foreign: true}, nil
	}
	p, err := stored(encoded)
	if err != nil {
		return checkable{}, err
	}
	now := *h.params.Load()
	return checkable{weight: p.weight(), encoded: encoded, outdated: p.cheaper(now), foreign: p != now}, nil
}

// Adopt brings a hash of another system into the form in which Verify reads it. It returns fault.Invalid on the field
// password for one that is damaged, unknown, or dearer than a check may be.
func (h *Hasher) Adopt(f identity.ForeignHash) (encoded string, err error) {
	adopted, err := foreignhash.New(f)
	if err == nil && strings.HasPrefix(adopted.String(), "$argon2id$") {
		_, err = stored(adopted.String()) // the stricter rules of our own kind
	}
	if err != nil {
		return "", fault.Validation(fault.Field{Field: "password", Code: "INVALID", Detail: fmt.Sprintf("the hash %v", reason(err))})
	}
	return adopted.String(), nil
}

// reason is an error without what is meant for logs.
func reason(err error) error {
	var f *fault.Error
	if errors.As(err, &f) && errors.Unwrap(f) != nil {
		return errors.Unwrap(f)
	}
	return err
}

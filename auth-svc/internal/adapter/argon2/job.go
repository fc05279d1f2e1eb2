package argon2

import (
	"errors"
	"fmt"
	"strings"

	"github.com/alexedwards/argon2id"

	"cloakroom.dev/auth-svc/internal/foreignhash"
)

// job is the work on one password: to check it against a stored hash, or, without one, to make a new hash.
type job struct {
	Password []byte `json:"password"` // bytes, so that what is no UTF-8 stays what it is
	Encoded  string `json:"encoded,omitempty"`
	Params   Params `json:"params"`
}

// outcome is what a job came to.
type outcome struct {
	Match   bool   `json:"match,omitempty"`
	Encoded string `json:"encoded,omitempty"`
	Failed  string `json:"failed,omitempty"`
}

// run does the work here and now. What a stored hash asks for has been held against the caps before (read).
func (j job) run() (o outcome, err error) {
	switch {
	case j.Encoded == "":
		if o.Encoded, err = argon2id.CreateHash(string(j.Password), j.Params.library()); err != nil {
			return o, fmt.Errorf("hash password: %w", err)
		}
	case strings.HasPrefix(j.Encoded, "$argon2id$"):
		if o.Match, _, err = argon2id.CheckHash(string(j.Password), j.Encoded); err != nil {
			return o, errors.New("check password: the stored hash can't be read")
		}
	default:
		f, err := foreignhash.Parse(j.Encoded)
		if err != nil {
			return o, errStored("%v", err)
		}
		if o.Match, err = f.Check(string(j.Password)); err != nil {
			return o, err
		}
	}
	return o, nil
}

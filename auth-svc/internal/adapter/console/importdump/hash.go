package importdump

import (
	"fmt"
	"strconv"
	"strings"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Hash is how a system that writes down only hash and salt has made them.
type Hash struct{ with identity.ForeignHash }

// programsOwn is how user-management's program hashes: scrypt as Node.js does by default, with the salt as it is written.
var programsOwn = identity.ForeignHash{Algorithm: "scrypt", N: 16384, R: 8, P: 1, SaltEncoding: "text"}

// ParseHash reads ALGORITHM,NAME=VALUE,…: scrypt with n, r and p, or pbkdf2 with digest and iterations, each with
// salt=text|hex|base64 and encoding=hex|base64 (of the hash). What is left out is as user-management's program has it.
func ParseHash(spec string) (h Hash, err error) {
	words := strings.Split(spec, ",")
	h.with = identity.ForeignHash{Algorithm: words[0], SaltEncoding: "text"}
	switch words[0] {
	case "scrypt":
		h.with = programsOwn
	case "pbkdf2":
	default:
		return h, fmt.Errorf("a hash is scrypt or pbkdf2, not %.20q", words[0])
	}
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		if err := h.set(name, value); err != nil {
			return h, err
		}
	}
	if words[0] == "pbkdf2" && (h.with.Digest == "" || h.with.Iterations == 0) {
		return h, fmt.Errorf("pbkdf2 needs digest and iterations, as in pbkdf2,digest=sha512,iterations=100000")
	}
	return h, nil
}

func (h *Hash) set(name, value string) (err error) {
	w := &h.with
	number := map[string]*int64{"n": &w.N, "r": &w.R, "p": &w.P}
	texts := map[string]*string{"salt": &w.SaltEncoding, "encoding": &w.Encoding}
	if w.Algorithm == "pbkdf2" {
		number = map[string]*int64{"iterations": &w.Iterations}
		texts["digest"] = &w.Digest
	}
	switch {
	case number[name] != nil:
		if *number[name], err = strconv.ParseInt(value, 10, 64); err != nil {
			return fmt.Errorf("%s of a hash is a number, not %.20q", name, value)
		}
	case texts[name] != nil && value != "":
		*texts[name] = value
	default:
		return fmt.Errorf("%s knows no %.40q", w.Algorithm, name+"="+value)
	}
	return nil
}

// of is the hash of a person.
func (h Hash) of(hash, salt string) identity.ForeignHash {
	f := h.with
	if f.Algorithm == "" {
		f = programsOwn
	}
	if f.Encoding == "" {
		f.Encoding = "hex"
	}
	f.Hash, f.Salt = hash, salt
	return f
}

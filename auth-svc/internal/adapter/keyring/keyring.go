// Package keyring derives every symmetric key of the service from the one configured key-encryption secret, and keeps
// the older secrets that data at rest may still need.
//
// The secret itself is never used as a key: HKDF-SHA-256 makes an own key for each purpose, so that a MAC over a
// refresh token says nothing about the key that seals private keys. New work uses the first secret; what an
// older one sealed or signed can be opened and checked as long as that secret stays listed. Each derived key has an id
// of one byte that travels with what it made; the id is derived too, so the order of the list carries no meaning
// but "first is current".
package keyring

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"cloakroom.dev/libs/secret"
)

// minSecretBytes: a secret is a random string of at least 32 characters, not a pass phrase. Nothing here
// slows a guess down.
const minSecretBytes = 32

// maxSecrets bounds the list: a rotation needs two.
const maxSecrets = 8

// salt separates this program's derivations from any other use of the same secret.
const salt = "cloakroom auth-svc keyring v1"

// Ring holds the secrets. It is immutable and safe for concurrent use.
type Ring struct{ secrets [][]byte }

// New makes a ring: current makes new work, previous ones only open and check old work. It refuses secrets that are
// too short, and a list that names one twice.
func New(current secret.String, previous ...secret.String) (*Ring, error) {
	if len(previous) >= maxSecrets {
		return nil, fmt.Errorf("%d key-encryption secrets are listed, %d are allowed", len(previous)+1, maxSecrets)
	}
	r := &Ring{}
	seen := map[string]bool{}
	for i, s := range append([]secret.String{current}, previous...) {
		switch v := s.Reveal(); {
		case len(v) < minSecretBytes:
			return nil, fmt.Errorf("key-encryption secret %d has %d bytes, at least %d are needed", i+1, len(v), minSecretBytes)
		case seen[v]:
			return nil, fmt.Errorf("key-encryption secret %d is listed twice", i+1)
		default:
			seen[v] = true
			r.secrets = append(r.secrets, []byte(v))
		}
	}
	return r, nil
}

// derived is a key for one purpose, with its id.
type derived struct {
	id  byte
	key []byte
}

// derive makes the keys of a purpose, current first. Two secrets may give one purpose the same id, once in 256; that
// is an error here, at start, and not a riddle later.
func (r *Ring) derive(purpose string) ([]derived, error) {
	if purpose == "" {
		return nil, errors.New("a derived key needs a purpose")
	}
	var out []derived
	seen := map[byte]bool{}
	for _, s := range r.secrets {
		b, err := hkdf.Key(sha256.New, s, []byte(salt), purpose, 33)
		if err != nil {
			return nil, fmt.Errorf("derive the key for %s: %w", purpose, err)
		}
		if seen[b[0]] {
			return nil, fmt.Errorf("two key-encryption secrets share the id %d for %s: make the new one afresh", b[0], purpose)
		}
		seen[b[0]] = true
		out = append(out, derived{id: b[0], key: b[1:]})
	}
	return out, nil
}

// Key derives a 32-byte key of the current secret for a purpose that needs no memory of older ones, such as sealing
// cursors.
func (r *Ring) Key(purpose string) ([32]byte, error) {
	keys, err := r.derive(purpose)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(keys[0].key), nil
}

// MAC is a keyed checksum for one purpose. It is safe for concurrent use.
type MAC struct {
	current derived
	byID    map[byte][]byte
}

// MAC makes the checksum of a purpose.
func (r *Ring) MAC(purpose string) (*MAC, error) {
	keys, err := r.derive(purpose)
	if err != nil {
		return nil, err
	}
	m := &MAC{current: keys[0], byID: map[byte][]byte{}}
	for _, k := range keys {
		m.byID[k.id] = k.key
	}
	return m, nil
}

// Current returns the id of the key that Sum uses for new work.
func (m *MAC) Current() byte { return m.current.id }

// Sum returns HMAC-SHA-256 of message under the key with this id, and false when no such key is held.
func (m *MAC) Sum(id byte, message []byte) ([]byte, bool) {
	key, ok := m.byID[id]
	if !ok {
		return nil, false
	}
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil), true
}

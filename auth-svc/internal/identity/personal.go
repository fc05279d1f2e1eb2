package identity

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"cloakroom.dev/libs/fault"
)

// PersonKeys keeps a key for each person, under which the audit trail seals what it says of them.
type PersonKeys interface {
	// PersonKey finds a person's key. It returns fault.NotFound.
	PersonKey(ctx context.Context, userID string) ([32]byte, error)
	// InsertPersonKey adds it. DeleteUser forgets it, past recovery from the store's own files as far as they allow.
	InsertPersonKey(ctx context.Context, userID string, key [32]byte) error
}

// personal is what an audit row may say of a person.
type personal struct {
	IP         string `json:"ip,omitempty"`
	UserAgent  string `json:"user_agent,omitempty"`
	DeviceName string `json:"device_name,omitempty"`
}

// personal is the personal part of an act that somebody's client did.
func (c Client) personal() *personal {
	p := personal{UserAgent: c.UserAgent, DeviceName: c.DeviceName}
	if c.Address.IsValid() {
		p.IP = c.Address.String()
	}
	if p == (personal{}) {
		return nil
	}
	return &p
}

// sealFor seals p for a row. The person gets a key with the first such row.
func sealFor(ctx context.Context, tx Tx, userID string, seq int64, p *personal) ([]byte, error) {
	key, err := tx.PersonKey(ctx, userID)
	if errors.Is(err, fault.Of(fault.NotFound)) {
		_, _ = rand.Read(key[:]) // never fails
		err = tx.InsertPersonKey(ctx, userID, key)
	}
	if err != nil {
		return nil, fmt.Errorf("the person's audit key: %w", err)
	}
	plain, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	aead, err := personAEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, personLabel(userID, seq)), nil //nolint:gosec // this AEAD draws its nonce itself
}

// reader opens the personal part of rows, with one look-up for each person.
type reader struct {
	tx   Tx
	keys map[string]*[32]byte // nil: forgotten
}

func newReader(tx Tx) *reader { return &reader{tx: tx, keys: map[string]*[32]byte{}} }

func (r *reader) entry(ctx context.Context, row AuditRow) (AuditEntry, error) {
	e := AuditEntry{AuditRow: row}
	if row.Subject == "" {
		return e, nil
	}
	key, err := r.key(ctx, row.Subject)
	if err != nil || key == nil {
		e.Forgotten = true
		return e, err
	}
	aead, err := personAEAD(*key)
	if err != nil {
		return e, err
	}
	// What does not open was tampered with: Verify says so; a list shows the rest of the row.
	if plain, err := aead.Open(nil, nil, row.Sealed, personLabel(row.Subject, row.Seq)); err == nil {
		e.Personal = plain
	}
	return e, nil
}

func (r *reader) key(ctx context.Context, userID string) (*[32]byte, error) {
	if key, seen := r.keys[userID]; seen {
		return key, nil
	}
	key, err := r.tx.PersonKey(ctx, userID)
	switch {
	case errors.Is(err, fault.Of(fault.NotFound)):
		r.keys[userID] = nil
	case err != nil:
		return nil, err
	default:
		r.keys[userID] = &key
	}
	return r.keys[userID], nil
}

func personAEAD(key [32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("personal detail: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// personLabel ties the sealed bytes to their row.
func personLabel(userID string, seq int64) []byte {
	return binary.BigEndian.AppendUint64([]byte("cloakroom audit personal v1 "+userID), uint64(seq))
}

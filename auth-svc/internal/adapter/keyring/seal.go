package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// ErrOpen is what Open returns for bytes no held secret sealed under this label: damaged, moved from
// another row, or sealed under a secret that is no longer listed.
var ErrOpen = errors.New("sealed bytes can't be opened: they are damaged, or their key-encryption secret is missing")

// sealVersion starts everything sealed, so that the format can change.
const sealVersion = 1

// Sealer encrypts data at rest with AES-256-GCM for one purpose. It is safe for concurrent use.
type Sealer struct {
	current byte
	byID    map[byte]cipher.AEAD
}

// Sealer makes the sealer of a purpose.
func (r *Ring) Sealer(purpose string) (*Sealer, error) {
	keys, err := r.derive(purpose)
	if err != nil {
		return nil, err
	}
	s := &Sealer{current: keys[0].id, byID: map[byte]cipher.AEAD{}}
	for _, k := range keys {
		block, err := aes.NewCipher(k.key)
		if err != nil {
			return nil, fmt.Errorf("sealer for %s: %w", purpose, err)
		}
		// The nonce is random and kept in front of the text: keys are sealed a few times a year, far below the
		// 2^32 messages at which random nonces become a risk.
		if s.byID[k.id], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("sealer for %s: %w", purpose, err)
		}
	}
	return s, nil
}

// Seal encrypts plain and binds it to label, which must be given again to open it: sealed bytes moved to another row
// do not open there.
func (s *Sealer) Seal(label string, plain []byte) []byte {
	head := []byte{sealVersion, s.current}
	return s.byID[s.current].Seal(head, nil, plain, bound(head, label)) //nolint:gosec // this AEAD draws its own nonce and refuses one
}

// Open decrypts what Seal made under the same label. It returns ErrOpen for everything else.
func (s *Sealer) Open(label string, sealed []byte) ([]byte, error) {
	if len(sealed) < 2 || sealed[0] != sealVersion {
		return nil, ErrOpen
	}
	aead, ok := s.byID[sealed[1]]
	if !ok {
		return nil, ErrOpen
	}
	plain, err := aead.Open(nil, nil, sealed[2:], bound(sealed[:2], label))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

func bound(head []byte, label string) []byte {
	return append(append(make([]byte, 0, len(head)+len(label)), head...), label...)
}

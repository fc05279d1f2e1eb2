package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// A successor is kept so that only the holder of the token it follows can read it: sealed under a key derived from that
// token's secret, of which the store has no more than the hash. Each secret seals at most a handful of candidates, of
// which one is ever kept.

const successorPurpose = "cloakroom refresh successor v1"

var errSuccessor = errors.New("a sealed successor does not open under the secret whose hash stands beside it")

// sealSuccessor seals the secret of t's successor under t's own.
func sealSuccessor(t refreshToken, successor [secretBytes]byte) ([]byte, error) {
	aead, err := successorAEAD(t)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, successor[:], successorLabel(t)), nil //nolint:gosec // this AEAD draws its nonce itself
}

// openSuccessor undoes sealSuccessor.
func openSuccessor(t refreshToken, sealed []byte) (successor [secretBytes]byte, err error) {
	aead, err := successorAEAD(t)
	if err != nil {
		return successor, err
	}
	plain, err := aead.Open(nil, nil, sealed, successorLabel(t))
	if err != nil || len(plain) != secretBytes {
		return successor, errSuccessor
	}
	return [secretBytes]byte(plain), nil
}

func successorAEAD(t refreshToken) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, t.secret[:], nil, successorPurpose, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the successor's key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal the successor: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// successorLabel ties the sealed bytes to their row and generation.
func successorLabel(t refreshToken) []byte {
	return binary.BigEndian.AppendUint64([]byte(t.sessionID), uint64(t.generation))
}

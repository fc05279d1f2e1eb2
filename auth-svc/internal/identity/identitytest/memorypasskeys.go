package identitytest

import (
	"bytes"
	"context"
	"time"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
)

var errCredentialTaken = fault.New(fault.Conflict, "the credential is registered already")

func (tx *memoryTx) FactorByCredential(_ context.Context, credentialID []byte) (identity.Factor, error) {
	for _, f := range tx.factors {
		if len(f.Passkey.CredentialID) > 0 && bytes.Equal(f.Passkey.CredentialID, credentialID) {
			return f, nil
		}
	}
	return identity.Factor{}, errNotFound
}

func (tx *memoryTx) ConfirmPasskey(ctx context.Context, id string, at time.Time, p identity.Passkey) error {
	f, err := find(tx.factors, id)
	if err != nil {
		return err
	}
	if other, err := tx.FactorByCredential(ctx, p.CredentialID); err == nil && other.ID != id {
		return errCredentialTaken
	}
	f.ConfirmedAt, f.Passkey = at, p
	f.Passkey.UsedAt = time.Time{}
	return put(tx, tx.factors, id, f)
}

func (tx *memoryTx) CountPasskey(_ context.Context, id string, count uint32, at time.Time) (bool, error) {
	f, ok := tx.factors[id]
	if had := f.Passkey.SignCount; !ok || count <= had && (count != 0 || had != 0) {
		return false, nil
	}
	f.Passkey.SignCount, f.Passkey.UsedAt = count, at
	return true, put(tx, tx.factors, id, f)
}

func (tx *memoryTx) SpendPasskeyChallenge(_ context.Context, nonce [16]byte, expires time.Time) (bool, error) {
	if _, spent := tx.spentNonces[nonce]; spent {
		return false, nil
	}
	return true, put(tx, tx.spentNonces, nonce, expires)
}

func (tx *memoryTx) SweepPasskeyChallenges(_ context.Context, limit int) (n int, err error) {
	for nonce, expires := range tx.spentNonces {
		if n < limit && !expires.After(tx.at) {
			if err := remove(tx, tx.spentNonces, nonce); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

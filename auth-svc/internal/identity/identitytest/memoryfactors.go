package identitytest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
)

// factorBox is the part of the store in memory that second factors and half-done logins are in.
type factorBox struct {
	factors       map[string]identity.Factor
	recoveryCodes map[recoveryKey]bool
	challenges    map[string]identity.Challenge
	spentNonces   map[[16]byte]time.Time
}

type recoveryKey struct {
	userID string
	hash   [32]byte
}

func newFactorBox() factorBox {
	return factorBox{
		factors: map[string]identity.Factor{}, recoveryCodes: map[recoveryKey]bool{}, challenges: map[string]identity.Challenge{},
		spentNonces: map[[16]byte]time.Time{},
	}
}

// dropFactors is what ON DELETE CASCADE does.
func (tx *memoryTx) dropFactors(userID string) {
	for id, f := range tx.factors {
		if f.UserID == userID {
			_ = remove(tx, tx.factors, id)
		}
	}
	for k := range tx.recoveryCodes {
		if k.userID == userID {
			_ = remove(tx, tx.recoveryCodes, k)
		}
	}
	for id, c := range tx.challenges {
		if c.UserID == userID {
			_ = remove(tx, tx.challenges, id)
		}
	}
}

func (tx *memoryTx) Factors(_ context.Context, userID string) (out []identity.Factor, _ error) {
	for _, f := range tx.factors {
		if f.UserID == userID {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b identity.Factor) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

func (tx *memoryTx) InsertFactor(_ context.Context, f identity.Factor) error {
	if _, err := find(tx.users, f.UserID); err != nil {
		return err
	}
	return put(tx, tx.factors, f.ID, f)
}

func (tx *memoryTx) ConfirmFactor(_ context.Context, id string, at time.Time) error {
	f, err := find(tx.factors, id)
	if err != nil {
		return err
	}
	f.ConfirmedAt = at
	return put(tx, tx.factors, id, f)
}

func (tx *memoryTx) SpendStep(_ context.Context, id string, step int64) (bool, error) {
	f, ok := tx.factors[id]
	if !ok || f.LastStep >= step {
		return false, nil
	}
	f.LastStep = step
	return true, put(tx, tx.factors, id, f)
}

func (tx *memoryTx) NameFactor(_ context.Context, userID, id, name string) error {
	f, ok := tx.factors[id]
	if !ok || f.UserID != userID {
		return errNotFound
	}
	f.Name = name
	return put(tx, tx.factors, id, f)
}

func (tx *memoryTx) DeleteFactor(_ context.Context, userID, id string) error {
	if f, ok := tx.factors[id]; !ok || f.UserID != userID {
		return errNotFound
	}
	return remove(tx, tx.factors, id)
}

func (tx *memoryTx) PutRecoveryCodes(_ context.Context, userID string, hashes [][32]byte) error {
	for k := range tx.recoveryCodes {
		if k.userID == userID {
			if err := remove(tx, tx.recoveryCodes, k); err != nil {
				return err
			}
		}
	}
	for _, h := range hashes {
		if err := put(tx, tx.recoveryCodes, recoveryKey{userID, h}, true); err != nil {
			return err
		}
	}
	return nil
}

func (tx *memoryTx) SpendRecoveryCode(_ context.Context, userID string, hash [32]byte) (bool, error) {
	k := recoveryKey{userID, hash}
	if !tx.recoveryCodes[k] {
		return false, nil
	}
	return true, remove(tx, tx.recoveryCodes, k)
}

func (tx *memoryTx) CountRecoveryCodes(_ context.Context, userID string) (n int, _ error) {
	for k := range tx.recoveryCodes {
		if k.userID == userID {
			n++
		}
	}
	return n, nil
}

func (tx *memoryTx) InsertChallenge(_ context.Context, c identity.Challenge, keep int) error {
	if err := put(tx, tx.challenges, c.ID, c); err != nil {
		return err
	}
	var mine []identity.Challenge
	for _, o := range tx.challenges {
		if o.UserID == c.UserID {
			mine = append(mine, o)
		}
	}
	slices.SortFunc(mine, func(a, b identity.Challenge) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	for _, o := range mine[min(keep, len(mine)):] {
		if err := remove(tx, tx.challenges, o.ID); err != nil {
			return err
		}
	}
	return nil
}

func (tx *memoryTx) TryChallenge(_ context.Context, id string, most int) (identity.Challenge, error) {
	c, ok := tx.challenges[id]
	if !ok || c.Attempts >= most {
		return identity.Challenge{}, errNotFound
	}
	c.Attempts++
	return c, put(tx, tx.challenges, id, c)
}

func (tx *memoryTx) DeleteChallenge(_ context.Context, id string) error {
	if _, err := find(tx.challenges, id); err != nil {
		return err
	}
	return remove(tx, tx.challenges, id)
}

func (tx *memoryTx) SweepChallenges(_ context.Context, limit int) (n int, err error) {
	for id, c := range tx.challenges {
		if n < limit && !c.ExpiresAt.After(tx.at) {
			if err := remove(tx, tx.challenges, id); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

func (tx *memoryTx) ProveSession(_ context.Context, id string, at time.Time, proof identity.Proof) error {
	s, err := find(tx.sessions, id)
	if err != nil {
		return err
	}
	s.ProvedAt, s.Proof = at, proof
	return put(tx, tx.sessions, id, s)
}

package identitytest

import (
	"cmp"
	"context"
	"slices"

	"cloakroom.dev/auth-svc/internal/identity"
)

func (tx *memoryTx) APIKey(_ context.Context, id string) (identity.APIKey, error) {
	return find(tx.apiKeys, id)
}

func (tx *memoryTx) InsertAPIKey(_ context.Context, k identity.APIKey) error {
	if _, err := find(tx.users, k.UserID); err != nil {
		return err
	}
	return put(tx, tx.apiKeys, k.ID, k)
}

func (tx *memoryTx) TouchAPIKey(_ context.Context, k identity.APIKey) error {
	old, err := find(tx.apiKeys, k.ID)
	if err != nil {
		return err
	}
	old.LastUsedAt, old.AccessUntil = k.LastUsedAt, k.AccessUntil
	return put(tx, tx.apiKeys, k.ID, old)
}

func (tx *memoryTx) DeleteAPIKey(_ context.Context, id string) error {
	if _, err := find(tx.apiKeys, id); err != nil {
		return err
	}
	return remove(tx, tx.apiKeys, id)
}

func (tx *memoryTx) APIKeysOf(_ context.Context, userID string, after identity.Cursor, limit int) ([]identity.APIKey, error) {
	var out []identity.APIKey
	for _, k := range tx.apiKeys {
		if k.UserID == userID {
			out = append(out, k)
		}
	}
	at := func(k identity.APIKey) identity.Cursor { return identity.Cursor{At: k.CreatedAt, ID: k.ID} }
	return newestFirst(out, at, after, limit), nil
}

func (tx *memoryTx) SigningKeys(context.Context) ([]identity.SigningKey, error) {
	out := slices.Clone(tx.signingKeys)
	slices.SortFunc(out, func(a, b identity.SigningKey) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

func (tx *memoryTx) InsertSigningKey(_ context.Context, k identity.SigningKey) error {
	return assign(tx, &tx.signingKeys, append(slices.Clone(tx.signingKeys), k))
}

func (tx *memoryTx) UpdateSigningKey(_ context.Context, k identity.SigningKey) error {
	i := slices.IndexFunc(tx.signingKeys, func(o identity.SigningKey) bool { return o.ID == k.ID })
	if i < 0 {
		return errNotFound
	}
	keys := slices.Clone(tx.signingKeys)
	keys[i].State, keys[i].ActivateAt, keys[i].GoneAt = k.State, k.ActivateAt, k.GoneAt
	return assign(tx, &tx.signingKeys, keys)
}

func (tx *memoryTx) DeleteSigningKey(_ context.Context, id string) error {
	keys := slices.DeleteFunc(slices.Clone(tx.signingKeys), func(k identity.SigningKey) bool { return k.ID == id })
	if len(keys) == len(tx.signingKeys) {
		return errNotFound
	}
	return assign(tx, &tx.signingKeys, keys)
}

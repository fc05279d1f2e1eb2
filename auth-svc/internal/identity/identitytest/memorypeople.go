package identitytest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
)

var (
	errNotFound = fault.New(fault.NotFound, "not found")
	errMoved    = fault.New(fault.Conflict, "changed meanwhile")
	errTaken    = fault.New(fault.UserExists, "an identifier is taken")
)

func find[K comparable, V any](m map[K]V, k K) (V, error) {
	v, ok := m[k]
	if !ok {
		return v, errNotFound
	}
	return v, nil
}

func (tx *memoryTx) User(_ context.Context, id string) (identity.User, error) {
	return find(tx.users, id)
}

func (tx *memoryTx) UserByIdentifier(_ context.Context, i identity.Identifier) (identity.User, error) {
	for _, u := range tx.users {
		if i.Key != "" && map[identity.IdentifierKind]string{
			identity.Email: u.EmailKey, identity.Phone: u.Phone, identity.Username: u.UsernameKey,
		}[i.Kind] == i.Key {
			return u, nil
		}
	}
	return identity.User{}, errNotFound
}

// taken reports whether somebody else has one of the user's identifiers.
func (tx *memoryTx) taken(u identity.User) bool {
	same := func(a, b string) bool { return a != "" && a == b }
	for _, o := range tx.users {
		if o.ID != u.ID && (same(o.EmailKey, u.EmailKey) || same(o.Phone, u.Phone) || same(o.UsernameKey, u.UsernameKey)) {
			return true
		}
	}
	return false
}

func (tx *memoryTx) InsertUser(_ context.Context, u identity.User) error {
	if tx.taken(u) {
		return errTaken
	}
	u.Roles = slices.Sorted(slices.Values(u.Roles))
	return put(tx, tx.users, u.ID, u)
}

func (tx *memoryTx) UpdateUser(_ context.Context, u identity.User) error {
	old, ok := tx.users[u.ID]
	switch {
	case !ok || old.Version != u.Version:
		return errMoved
	case tx.taken(u):
		return errTaken
	}
	u.Version++
	u.CreatedAt, u.Roles = old.CreatedAt, old.Roles
	return put(tx, tx.users, u.ID, u)
}

func (tx *memoryTx) DeleteUser(_ context.Context, id string) error {
	if _, err := find(tx.users, id); err != nil {
		return err
	}
	for _, s := range tx.sessions {
		if s.UserID == id {
			_ = remove(tx, tx.sessions, s.ID)
		}
	}
	for _, k := range tx.apiKeys {
		if k.UserID == id {
			_ = remove(tx, tx.apiKeys, k.ID)
		}
	}
	tx.dropPerson(id)
	tx.dropForeignIDs(id)
	_ = remove(tx, tx.personKeys, id)
	return remove(tx, tx.users, id)
}

func (tx *memoryTx) Role(_ context.Context, name string) (identity.Role, error) {
	return find(tx.roles, name)
}

func (tx *memoryTx) PutRole(_ context.Context, r identity.Role) error {
	return put(tx, tx.roles, r.Name, r)
}

func (tx *memoryTx) SetRoles(_ context.Context, userID string, roles []string) error {
	u, err := find(tx.users, userID)
	if err != nil {
		return err
	}
	for _, r := range roles {
		if _, err := find(tx.roles, r); err != nil {
			return err
		}
	}
	u.Roles = slices.Sorted(slices.Values(roles))
	return put(tx, tx.users, userID, u)
}

func (tx *memoryTx) CountActive(_ context.Context, role string) (n int, _ error) {
	for _, u := range tx.users {
		if u.Status == identity.Active && slices.Contains(u.Roles, role) {
			n++
		}
	}
	return n, nil
}

func (tx *memoryTx) Rights(_ context.Context, userID string) (identity.Rights, error) {
	u, err := find(tx.users, userID)
	if err != nil {
		return identity.Rights{}, err
	}
	all, epoch := slices.Clone(u.Permissions), u.Epoch
	for _, name := range u.Roles {
		all, epoch = append(all, tx.roles[name].Permissions...), max(epoch, tx.roles[name].Epoch)
	}
	return identity.Rights{Status: u.Status, Roles: u.Roles, Permissions: identity.SortPermissions(all), Epoch: epoch}, nil
}

func (tx *memoryTx) TokensUntil(_ context.Context, userID string) (until time.Time, _ error) {
	latest := func(owner string, t time.Time) {
		if owner == userID && t.After(until) {
			until = t
		}
	}
	for _, s := range tx.sessions {
		latest(s.UserID, s.AccessUntil)
	}
	for _, k := range tx.apiKeys {
		latest(k.UserID, k.AccessUntil)
	}
	return until, nil
}

// newestFirst orders a list and cuts out one page of it.
func newestFirst[T any](items []T, at func(T) identity.Cursor, after identity.Cursor, limit int) []T {
	order := func(a, b identity.Cursor) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID))
	}
	slices.SortFunc(items, func(a, b T) int { return order(at(a), at(b)) })
	if !after.IsZero() {
		items = slices.DeleteFunc(items, func(v T) bool { return order(at(v), after) <= 0 })
	}
	return items[:min(limit, len(items))]
}

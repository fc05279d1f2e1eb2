package identitytest

import (
	"cmp"
	"context"
	"slices"

	"cloakroom.dev/auth-svc/internal/identity"
)

func (tx *memoryTx) Roles(_ context.Context, after string, limit int) (out []identity.Role, _ error) {
	for _, r := range tx.roles {
		if r.Name > after {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b identity.Role) int { return cmp.Compare(a.Name, b.Name) })
	return out[:min(limit, len(out))], nil
}

func (tx *memoryTx) CountHolders(_ context.Context, role string, limit int) (n int, _ error) {
	for _, u := range tx.users {
		if n < limit && slices.Contains(u.Roles, role) {
			n++
		}
	}
	return n, nil
}

func (tx *memoryTx) DeleteRole(_ context.Context, name string) error {
	if _, err := find(tx.roles, name); err != nil {
		return err
	}
	for id, u := range tx.users {
		if !slices.Contains(u.Roles, name) {
			continue
		}
		u.Roles = slices.DeleteFunc(slices.Clone(u.Roles), func(r string) bool { return r == name })
		if err := put(tx, tx.users, id, u); err != nil {
			return err
		}
	}
	return remove(tx, tx.roles, name)
}

package identitytest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"cloakroom.dev/auth-svc/internal/identity"
)

func (tx *memoryTx) FindUsers(_ context.Context, f identity.UserFilter, after identity.Cursor, limit int) ([]identity.User, error) {
	var out []identity.User
	for _, u := range tx.users {
		if matches(u, f) {
			out = append(out, u)
		}
	}
	at := func(u identity.User) identity.Cursor { return identity.Cursor{At: u.CreatedAt, ID: u.ID} }
	return newestFirst(out, at, after, limit), nil
}

func (tx *memoryTx) UsersInOrder(_ context.Context, o identity.UserOrder, skip int64, limit int) ([]identity.User, error) {
	by := func(u identity.User) string {
		switch o.By {
		case identity.ByUsername:
			return u.UsernameKey
		case identity.ByChange:
			return u.UpdatedAt.UTC().Format("20060102150405.000000")
		default:
			return u.CreatedAt.UTC().Format("20060102150405.000000")
		}
	}
	out := slices.SortedFunc(maps.Values(tx.users), func(a, b identity.User) int {
		c := cmp.Or(strings.Compare(by(a), by(b)), strings.Compare(a.ID, b.ID))
		if o.Descending {
			return -c
		}
		return c
	})
	out = out[min(skip, int64(len(out))):]
	return out[:min(limit, len(out))], nil
}

func matches(u identity.User, f identity.UserFilter) bool {
	if f.Status != "" && u.Status != f.Status || f.Role != "" && !slices.Contains(u.Roles, f.Role) {
		return false
	}
	if f.Text == "" {
		return true
	}
	for _, key := range []string{u.EmailKey, u.Phone, u.UsernameKey} {
		if strings.Contains(key, f.Key()) {
			return true
		}
	}
	return strings.Contains(strings.Map(lowerASCII, u.Name), strings.Map(lowerASCII, f.Text))
}

func lowerASCII(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

func (tx *memoryTx) NameSession(_ context.Context, id, deviceName string) error {
	s, err := find(tx.sessions, id)
	if err != nil {
		return err
	}
	s.DeviceName = deviceName
	return put(tx, tx.sessions, id, s)
}

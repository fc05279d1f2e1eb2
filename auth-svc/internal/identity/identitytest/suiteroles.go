package identitytest

import (
	"context"
	"testing"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

func checkRoleList(_ *testing.T, s *suite) {
	names := func(after string, limit int, want ...string) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.Roles(ctx, after, limit)
			var have []string
			for _, r := range got {
				have = append(have, r.Name)
			}
			s.same(want, have)
			return err
		})
	}
	names("", 10, "admin", "empty", "guest")
	names("", 2, "admin", "empty")
	names("empty", 10, "guest")
	names("guest", 10)

	ada, bob := s.user("ada", "empty", "guest"), s.user("bob", "empty")
	editor := identity.Role{Name: "empty", Epoch: 9, Permissions: []principal.Permission{{Resource: "posts", Action: "update", Scope: principal.All}}}
	s.write(func(ctx context.Context, tx identity.Tx) error {
		bob.Epoch = 4
		if err := tx.UpdateUser(ctx, bob); err != nil {
			return err
		}
		return tx.PutRole(ctx, editor)
	})
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.Role(ctx, "empty")
		s.same(editor, got)
		r, rightsErr := tx.Rights(ctx, bob.ID)
		s.same(int64(9), r.Epoch) // the role's is newer
		if err == nil {
			err = rightsErr
		}
		return err
	})
	sess := s.session(ada.ID, 1e12)
	s.read(func(ctx context.Context, tx identity.Tx) error {
		_, r, _, err := tx.SessionForRefresh(ctx, sess.ID)
		s.same(int64(9), r.Epoch)
		n, countErr := tx.CountHolders(ctx, "empty", 10)
		s.same(2, n)
		few, _ := tx.CountHolders(ctx, "empty", 1)
		s.same(1, few)
		if err == nil {
			err = countErr
		}
		return err
	})
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteRole(ctx, "empty") })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.DeleteRole(ctx, "empty") })
	names("", 10, "admin", "guest")
	s.read(func(ctx context.Context, tx identity.Tx) error {
		r, err := tx.Rights(ctx, bob.ID)
		s.same(identity.Rights{Status: identity.Active, Permissions: bob.Permissions, Epoch: 4}, r)
		u, userErr := tx.User(ctx, ada.ID)
		s.same([]string{"guest"}, u.Roles)
		if err == nil {
			err = userErr
		}
		return err
	})
}

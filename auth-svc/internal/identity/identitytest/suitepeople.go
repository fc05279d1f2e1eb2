package identitytest

import (
	"context"
	"errors"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

func checkRelaxed(t *testing.T, s *suite) {
	boom := errors.New("boom")
	for _, tc := range []struct {
		err  error
		left int
	}{{boom, 0}, {nil, 1}} {
		err := s.store.InTxRelaxed(t.Context(), func(tx identity.Tx) error {
			if err := tx.PutCounter(t.Context(), identity.Counter{Key: [32]byte{1}, Count: 1, Since: tx.Now(), Until: tx.Now().Add(time.Hour)}); err != nil {
				return err
			}
			return tc.err
		})
		if !errors.Is(err, tc.err) {
			t.Errorf("InTxRelaxed = %v, want %v", err, tc.err)
		}
		s.read(func(ctx context.Context, tx identity.Tx) error { // at once
			c, err := tx.Counter(ctx, [32]byte{1})
			s.same(tc.left, c.Count)
			return err
		})
	}
}

func checkTransactions(t *testing.T, s *suite) {
	u := s.user("ada", "guest")
	boom := errors.New("boom")
	err := s.try(func(ctx context.Context, tx identity.Tx) error {
		if err := tx.DeleteUser(ctx, u.ID); err != nil {
			return err
		}
		if _, err := tx.User(ctx, u.ID); !errors.Is(err, fault.Of(fault.NotFound)) {
			t.Errorf("a transaction does not see its own deletion: %v", err)
		}
		if _, err := tx.AppendRevocation(ctx, identity.Revocation{Kind: identity.KindSession, ID: "x", At: tx.Now(), Until: tx.Now()}); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("InTx = %v, want the step's own error", err)
	}
	s.read(func(ctx context.Context, tx identity.Tx) error {
		if _, err := tx.User(ctx, u.ID); err != nil {
			t.Errorf("what was undone is gone: %v", err)
		}
		head, err := tx.RevocationHead(ctx)
		s.same(int64(0), head)
		return err
	})
	if err := s.store.View(t.Context(), func(tx identity.Tx) error { return tx.DeleteUser(t.Context(), u.ID) }); err == nil {
		t.Error("a View lets itself be written in")
	}
	s.clock.Advance(90 * time.Second)
	s.write(func(_ context.Context, tx identity.Tx) error {
		s.same(s.clock.Now().Truncate(time.Microsecond), tx.Now())
		if tx.Now().Location() != time.UTC {
			t.Error("Now is not in UTC")
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.store.InTx(ctx, func(identity.Tx) error { return nil }); err == nil {
		t.Error("InTx ran for somebody who had left")
	}
}

func checkUsers(_ *testing.T, s *suite) {
	u := s.user("ada", "guest", "admin")
	u.Roles = []string{"admin", "guest"}
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.User(ctx, u.ID)
		s.same(u, got)
		return err
	})
	u.Name, u.Status, u.Epoch, u.Phone = "Ada L.", identity.Blocked, 7, "+15551234567"
	u.LastLoginAt, u.UpdatedAt = s.clock.Now().Add(time.Hour), s.clock.Now().Add(2*time.Hour)
	u.Permissions = nil
	changed := u
	changed.Roles, changed.CreatedAt = []string{"nobody"}, s.clock.Now().Add(-time.Hour) // not UpdateUser's to write
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateUser(ctx, changed) })
	u.Version++
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.User(ctx, u.ID)
		s.same(u, got)
		return err
	})
	changed.Version = 1
	s.fails(fault.Conflict, func(ctx context.Context, tx identity.Tx) error { return tx.UpdateUser(ctx, changed) })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.User(ctx, s.id())
		return err
	})
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.DeleteUser(ctx, s.id()) })
}

func checkIdentifiers(t *testing.T, s *suite) {
	ada, bob := s.user("ada", "guest"), s.user("bob", "guest")
	now := s.clock.Now()
	s.write(func(ctx context.Context, tx identity.Tx) error { // people without an identifier don't collide
		return errors.Join(
			tx.InsertUser(ctx, identity.User{ID: s.id(), Phone: "+15551234567", Status: identity.Active, Version: 1, CreatedAt: now, UpdatedAt: now}),
			tx.InsertUser(ctx, identity.User{ID: s.id(), Phone: "+15557654321", Status: identity.Active, Version: 1, CreatedAt: now, UpdatedAt: now}))
	})
	for _, taken := range []identity.User{{EmailKey: ada.EmailKey}, {UsernameKey: ada.UsernameKey}, {Phone: "+15551234567"}} {
		taken.ID, taken.Status, taken.Version, taken.CreatedAt, taken.UpdatedAt = s.id(), identity.Active, 1, now, now
		s.fails(fault.UserExists, func(ctx context.Context, tx identity.Tx) error { return tx.InsertUser(ctx, taken) })
	}
	bob.EmailKey = ada.EmailKey
	s.fails(fault.UserExists, func(ctx context.Context, tx identity.Tx) error { return tx.UpdateUser(ctx, bob) })

	find := func(kind identity.IdentifierKind, key, want string) {
		t.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			u, err := tx.UserByIdentifier(ctx, identity.Identifier{Kind: kind, Key: key})
			if u.ID != want || (want == "") != errors.Is(err, fault.Of(fault.NotFound)) {
				t.Errorf("%s %q: found %q, %v; want %q", kind, key, u.ID, err, want)
			}
			return nil
		})
	}
	find(identity.Email, "ada@example.org", ada.ID)
	find(identity.Username, "bob", bob.ID)
	find(identity.Username, "ada@example.org", "")
	find(identity.Phone, "ada", "")
	find(identity.Email, "", "")
	find(identity.Username, "", "")
	find(identity.Phone, "", "")
}

func checkErasure(t *testing.T, s *suite) {
	ada, bob := s.user("ada", "guest"), s.user("bob", "guest")
	gone, kept := s.session(ada.ID, time.Hour), s.session(bob.ID, time.Hour)
	key := s.apiKey(ada.ID)
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteUser(ctx, ada.ID) })
	s.read(func(ctx context.Context, tx identity.Tx) error {
		_, userErr := tx.User(ctx, ada.ID)
		_, sessErr := tx.Session(ctx, gone.ID)
		_, keyErr := tx.APIKey(ctx, key.ID)
		_, rightsErr := tx.Rights(ctx, ada.ID)
		for what, err := range map[string]error{"user": userErr, "session": sessErr, "API key": keyErr, "rights": rightsErr} {
			if !errors.Is(err, fault.Of(fault.NotFound)) {
				t.Errorf("%s after erasure: %v", what, err)
			}
		}
		_, err := tx.Session(ctx, kept.ID)
		return err
	})
	s.user("ada", "guest") // the names are free again
}

func checkRoles(t *testing.T, s *suite) {
	ada, bob := s.user("ada", "admin"), s.user("bob", "admin", "guest")
	count := func(role string, want int) {
		t.Helper()
		s.write(func(ctx context.Context, tx identity.Tx) error {
			n, err := tx.CountActive(ctx, role)
			s.same(want, n)
			return err
		})
	}
	count("admin", 2)
	count("guest", 1)
	s.write(func(ctx context.Context, tx identity.Tx) error {
		bob.Status = identity.Blocked
		return tx.UpdateUser(ctx, bob)
	})
	count("admin", 1)
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.SetRoles(ctx, ada.ID, nil) })
	count("admin", 0)
	s.write(func(ctx context.Context, tx identity.Tx) error {
		return tx.SetRoles(ctx, ada.ID, []string{"guest", "admin"})
	})
	s.write(func(ctx context.Context, tx identity.Tx) error {
		u, err := tx.User(ctx, ada.ID)
		s.same([]string{"admin", "guest"}, u.Roles)
		return err
	})
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.SetRoles(ctx, ada.ID, []string{"no such"}) })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.SetRoles(ctx, s.id(), []string{"guest"}) })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.Role(ctx, "no such")
		return err
	})
	want := identity.Role{Name: "guest", BuiltIn: true, Permissions: []principal.Permission{
		{Resource: "files", Action: "read", Scope: principal.Self}, {Resource: "users", Action: "read", Scope: principal.Self},
	}}
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.PutRole(ctx, want) })
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.Role(ctx, "guest")
		s.same(want, got)
		return err
	})
	count("guest", 1) // replacing a role takes it from nobody
}

func checkRights(_ *testing.T, s *suite) {
	u := s.user("ada", "guest", "admin")
	none := s.user("bob")
	empty := s.user("eve", "empty")
	want := identity.Rights{
		Status: identity.Active, Roles: []string{"admin", "guest"},
		Permissions: []principal.Permission{
			{Resource: "admin", Action: "read", Scope: principal.Self}, {Resource: "extra", Action: "read", Scope: principal.All},
			{Resource: "guest", Action: "read", Scope: principal.Self},
		},
	}
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.Rights(ctx, u.ID)
		s.same(want, got)
		return err
	})
	for _, lone := range []identity.User{none, empty} {
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.Rights(ctx, lone.ID)
			s.same(identity.Rights{Status: identity.Active, Roles: lone.Roles, Permissions: lone.Permissions}, got)
			return err
		})
	}
	sess := s.session(u.ID, time.Hour)
	s.write(func(ctx context.Context, tx identity.Tx) error {
		u.Status, u.Epoch = identity.Blocked, 42
		return tx.UpdateUser(ctx, u)
	})
	want.Status, want.Epoch = identity.Blocked, 42
	s.write(func(ctx context.Context, tx identity.Tx) error {
		gotSess, got, newer, err := tx.SessionForRefresh(ctx, sess.ID)
		s.same(sess, gotSess)
		s.same(want, got)
		s.same(0, newer)
		return err
	})
}

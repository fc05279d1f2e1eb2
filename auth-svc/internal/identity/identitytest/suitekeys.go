package identitytest

import (
	"context"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
)

func checkAPIKeys(_ *testing.T, s *suite) {
	ada, bob := s.user("ada", "guest"), s.user("bob", "guest")
	k, other := s.apiKey(ada.ID), s.apiKey(bob.ID)
	s.clock.Advance(time.Second)
	k2 := s.apiKey(ada.ID)
	k.LastUsedAt, k.AccessUntil = s.clock.Now(), s.clock.Now().Add(time.Minute)
	s.write(func(ctx context.Context, tx identity.Tx) error {
		touched := k
		touched.Name, touched.Permissions = "not Touch's to write", nil
		return tx.TouchAPIKey(ctx, touched)
	})
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.APIKey(ctx, k.ID)
		s.same(k, got)
		return err
	})
	s.read(func(ctx context.Context, tx identity.Tx) error {
		all, err := tx.APIKeysOf(ctx, ada.ID, identity.Cursor{}, 10)
		s.same([]identity.APIKey{k2, k}, all)
		return err
	})
	s.read(func(ctx context.Context, tx identity.Tx) error {
		rest, err := tx.APIKeysOf(ctx, ada.ID, identity.Cursor{At: k2.CreatedAt, ID: k2.ID}, 1)
		s.same([]identity.APIKey{k}, rest)
		return err
	})
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteAPIKey(ctx, other.ID) })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.DeleteAPIKey(ctx, other.ID) })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.TouchAPIKey(ctx, other) })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.APIKey(ctx, other.ID)
		return err
	})
}

func checkTokensUntil(_ *testing.T, s *suite) {
	ada, bob := s.user("ada", "guest"), s.user("bob", "guest")
	until := func(want time.Time) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.TokensUntil(ctx, ada.ID)
			s.same(want, got)
			return err
		})
	}
	until(time.Time{})
	s.session(bob.ID, time.Hour)
	k := s.apiKey(ada.ID)
	sess := s.session(ada.ID, time.Hour)
	until(sess.AccessUntil)
	k.AccessUntil = sess.AccessUntil.Add(time.Second)
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.TouchAPIKey(ctx, k) })
	until(k.AccessUntil)
}

func checkSigningKeys(_ *testing.T, s *suite) {
	var keys []identity.SigningKey
	for _, state := range []identity.KeyState{identity.KeyCurrent, identity.KeyNext} {
		k := identity.SigningKey{
			ID: s.id(), Algorithm: "EdDSA", Public: []byte("public"), Sealed: []byte("sealed"), State: state, CreatedAt: s.clock.Now(),
		}
		keys = append(keys, k)
		s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertSigningKey(ctx, k) })
		s.clock.Advance(time.Second)
	}
	list := func() {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.SigningKeys(ctx)
			s.same(keys, got)
			return err
		})
	}
	list()
	keys[0].State, keys[0].GoneAt = identity.KeyRetiring, s.clock.Now().Add(time.Hour)
	keys[1].State, keys[1].ActivateAt = identity.KeyCurrent, s.clock.Now()
	s.write(func(ctx context.Context, tx identity.Tx) error {
		k := keys[0]
		k.Public, k.Algorithm = []byte("not Update's to write"), "none"
		return tx.UpdateSigningKey(ctx, k)
	})
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateSigningKey(ctx, keys[1]) })
	list()
	dead := keys[0]
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteSigningKey(ctx, dead.ID) })
	keys = keys[1:]
	list()
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.DeleteSigningKey(ctx, dead.ID) })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.UpdateSigningKey(ctx, dead) })
}

func checkBootstrap(_ *testing.T, s *suite) {
	was := func(want bool) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.Bootstrapped(ctx)
			s.same(want, got)
			return err
		})
	}
	spend := func(hash [32]byte, want bool) {
		s.Helper()
		s.write(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.SpendBootstrapToken(ctx, hash)
			s.same(want, got)
			return err
		})
	}
	was(false)
	spend([32]byte{}, false)
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertBootstrap(ctx, [32]byte{1}) })
	was(true)
	s.fails(fault.Conflict, func(ctx context.Context, tx identity.Tx) error { return tx.InsertBootstrap(ctx, [32]byte{2}) })
	spend([32]byte{2}, false)
	spend([32]byte{1}, true)
	spend([32]byte{1}, false)
	was(true)
}

package identitytest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
)

func (s *suite) external(userID, issuer, subject string) identity.ExternalIdentity {
	return identity.ExternalIdentity{
		ID: s.id(), UserID: userID, Provider: "elsewhere", Issuer: issuer, Subject: subject, Email: "ada@example.org",
		CreatedAt: s.clock.Now(), LastUsedAt: s.clock.Now(),
	}
}

func checkExternalIdentities(_ *testing.T, s *suite) {
	ada, bob := s.user("ada"), s.user("bob")
	insert := func(e identity.ExternalIdentity) identity.ExternalIdentity {
		s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertExternalIdentity(ctx, e) })
		return e
	}
	taken := func(e identity.ExternalIdentity) {
		s.Helper()
		s.fails(fault.Duplicate, func(ctx context.Context, tx identity.Tx) error { return tx.InsertExternalIdentity(ctx, e) })
	}
	are := func(userID string, want ...identity.ExternalIdentity) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.ExternalIdentitiesOf(ctx, userID)
			s.same(want, got)
			return err
		})
	}
	first := insert(s.external(ada.ID, "https://a", "1"))
	s.clock.Advance(time.Second)
	second, other := insert(s.external(ada.ID, "https://b", "1")), insert(s.external(bob.ID, "https://a", "2"))
	taken(s.external(bob.ID, "https://b", "1")) // it is somebody already
	taken(s.external(bob.ID, "https://a", "3")) // bob is somebody else there
	are(ada.ID, first, second)
	first.Email, first.LastUsedAt = "", s.clock.Now()
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.TouchExternalIdentity(ctx, first) })
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.ExternalIdentity(ctx, "https://a", "1")
		s.same(first, got)
		return err
	})
	for _, wrong := range [][2]string{{"https://a", "1 "}, {"https://A", "1"}, {"https://c", "1"}} {
		s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
			_, err := tx.ExternalIdentity(ctx, wrong[0], wrong[1])
			return err
		})
	}
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		return tx.TouchExternalIdentity(ctx, s.external(ada.ID, "https://a", "1"))
	})
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		return tx.DeleteExternalIdentity(ctx, ada.ID, other.ID)
	})
	s.write(func(ctx context.Context, tx identity.Tx) error {
		return tx.DeleteExternalIdentity(ctx, ada.ID, first.ID)
	})
	are(ada.ID, second)
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteUser(ctx, ada.ID) })
	are(ada.ID)
	are(bob.ID, other)
}

func (s *suite) handoff(kind identity.HandoffKind) identity.Handoff {
	s.Helper()
	h := identity.Handoff{
		ID: s.id(), Kind: kind, Hash: [32]byte{7}, Sealed: []byte{1, 2}, CreatedAt: s.clock.Now(), ExpiresAt: s.clock.Now().Add(time.Minute),
	}
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertHandoff(ctx, h) })
	return h
}

func (s *suite) noHandoff(kind identity.HandoffKind, id string) {
	s.Helper()
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.TakeHandoff(ctx, kind, id)
		return err
	})
}

func checkHandoffs(_ *testing.T, s *suite) {
	state, code := s.handoff(identity.HandoffState), s.handoff(identity.HandoffCode)
	s.noHandoff(identity.HandoffCode, state.ID) // each kind is for its own step
	s.write(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.TakeHandoff(ctx, identity.HandoffState, state.ID)
		s.same(state, got)
		return err
	})
	s.noHandoff(identity.HandoffState, state.ID)
	s.clock.Advance(30 * time.Second)
	late := s.handoff(identity.HandoffCode)
	s.read(func(ctx context.Context, tx identity.Tx) error {
		n, err := tx.CountHandoffs(ctx, identity.HandoffCode)
		s.same(2, n)
		return err
	})
	s.clock.Advance(30 * time.Second)
	for _, want := range []int{1, 0} {
		s.write(func(ctx context.Context, tx identity.Tx) error {
			n, err := tx.SweepHandoffs(ctx, 10)
			s.same(want, n)
			return err
		})
	}
	s.noHandoff(identity.HandoffCode, code.ID)
	s.write(func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.TakeHandoff(ctx, identity.HandoffCode, late.ID)
		return err
	})
}

// checkParallelHandoffs: of many who bring the same, one goes on.
func checkParallelHandoffs(t *testing.T, s *suite) {
	h := s.handoff(identity.HandoffCode)
	var taken atomic.Int64
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			err := s.try(func(ctx context.Context, tx identity.Tx) error {
				_, err := tx.TakeHandoff(ctx, h.Kind, h.ID)
				return err
			})
			if err == nil {
				taken.Add(1)
			}
		})
	}
	group.Wait()
	if n := taken.Load(); n != 1 {
		t.Errorf("%d have taken the same handoff, want 1", n)
	}
}

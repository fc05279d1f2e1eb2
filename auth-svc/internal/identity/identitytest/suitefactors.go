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

func (s *suite) factor(userID string) identity.Factor {
	s.Helper()
	f := identity.Factor{ID: s.id(), UserID: userID, Kind: identity.FactorTOTP, Name: "phone", Sealed: []byte{1, 2}, CreatedAt: s.clock.Now()}
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertFactor(ctx, f) })
	return f
}

func (s *suite) factorsAre(userID string, want ...identity.Factor) {
	s.Helper()
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.Factors(ctx, userID)
		s.same(want, got)
		return err
	})
}

func checkFactors(t *testing.T, s *suite) {
	ada, bob := s.user("ada"), s.user("bob")
	first, second, other := s.factor(ada.ID), s.factor(ada.ID), s.factor(bob.ID)
	s.factorsAre(ada.ID, first, second)
	spend := func(step int64, want bool) {
		t.Helper()
		s.write(func(ctx context.Context, tx identity.Tx) error {
			taken, err := tx.SpendStep(ctx, first.ID, step)
			s.same(want, taken)
			return err
		})
	}
	spend(7, true)
	spend(7, false)
	spend(6, false)
	spend(8, true)
	first.LastStep, first.ConfirmedAt = 8, s.clock.Now()
	s.write(func(ctx context.Context, tx identity.Tx) error {
		return tx.ConfirmFactor(ctx, first.ID, first.ConfirmedAt)
	})
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.ConfirmFactor(ctx, "none", s.clock.Now()) })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.DeleteFactor(ctx, ada.ID, other.ID) })
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.NameFactor(ctx, ada.ID, first.ID, "tablet") })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		return tx.NameFactor(ctx, ada.ID, other.ID, "mine")
	})
	first.Name = "tablet"
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteFactor(ctx, ada.ID, second.ID) })
	s.factorsAre(ada.ID, first)
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteUser(ctx, ada.ID) })
	s.factorsAre(ada.ID)
	s.factorsAre(bob.ID, other)
}

func checkRecoveryCodes(t *testing.T, s *suite) {
	ada, bob := s.user("ada"), s.user("bob")
	give := func(userID string, codes ...byte) {
		hashes := make([][32]byte, len(codes))
		for i, c := range codes {
			hashes[i] = [32]byte{c}
		}
		s.write(func(ctx context.Context, tx identity.Tx) error { return tx.PutRecoveryCodes(ctx, userID, hashes) })
	}
	spend := func(userID string, code byte, want bool, left int) {
		t.Helper()
		s.write(func(ctx context.Context, tx identity.Tx) error {
			ok, err := tx.SpendRecoveryCode(ctx, userID, [32]byte{code})
			s.same(want, ok)
			if err != nil {
				return err
			}
			n, err := tx.CountRecoveryCodes(ctx, userID)
			s.same(left, n)
			return err
		})
	}
	give(ada.ID, 1, 2, 3)
	give(bob.ID, 4)
	spend(ada.ID, 1, true, 2)
	spend(ada.ID, 1, false, 2)
	spend(ada.ID, 4, false, 2)
	give(ada.ID, 5)
	spend(ada.ID, 2, false, 1)
	give(ada.ID)
	spend(ada.ID, 5, false, 0)
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteUser(ctx, bob.ID) })
	spend(bob.ID, 4, false, 0)
}

func checkChallenges(t *testing.T, s *suite) {
	ada := s.user("ada")
	open := func() identity.Challenge {
		s.clock.Advance(time.Second)
		c := identity.Challenge{
			ID: s.id(), UserID: ada.ID, Hash: [32]byte{1}, Proved: [32]byte{2}, DeviceName: "laptop",
			CreatedAt: s.clock.Now(), ExpiresAt: s.clock.Now().Add(time.Minute),
		}
		s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertChallenge(ctx, c, 2) })
		return c
	}
	gone := func(c identity.Challenge) {
		t.Helper()
		s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
			_, err := tx.TryChallenge(ctx, c.ID, 5)
			return err
		})
	}
	oldest, c, last := open(), open(), open()
	gone(oldest) // two are kept
	for n := range 2 {
		s.write(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.TryChallenge(ctx, c.ID, 2)
			want := c
			want.Attempts = n + 1
			s.same(want, got)
			return err
		})
	}
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.TryChallenge(ctx, c.ID, 2)
		return err
	})
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteChallenge(ctx, c.ID) })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.DeleteChallenge(ctx, c.ID) })
	s.clock.Advance(time.Minute)
	s.write(func(ctx context.Context, tx identity.Tx) error {
		n, err := tx.SweepChallenges(ctx, 10)
		s.same(1, n)
		return err
	})
	gone(last)
	orphan := open()
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteUser(ctx, ada.ID) })
	gone(orphan)
}

// checkParallelAttempts: however many come at once, the bound is the bound.
func checkParallelAttempts(t *testing.T, s *suite) {
	ada := s.user("ada")
	c := identity.Challenge{ID: s.id(), UserID: ada.ID, CreatedAt: s.clock.Now(), ExpiresAt: s.clock.Now().Add(time.Minute)}
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertChallenge(ctx, c, 5) })
	var looks atomic.Int64
	var group sync.WaitGroup
	for range 40 {
		group.Go(func() {
			err := s.try(func(ctx context.Context, tx identity.Tx) error {
				_, err := tx.TryChallenge(ctx, c.ID, 5)
				return err
			})
			if err == nil {
				looks.Add(1)
			}
		})
	}
	group.Wait()
	if n := looks.Load(); n != 5 {
		t.Errorf("%d attempts were let through, want 5", n)
	}
}

func checkSessionProofs(_ *testing.T, s *suite) {
	ada := s.user("ada")
	sess := s.session(ada.ID, time.Hour)
	at := s.clock.Now().Add(time.Second)
	s.write(func(ctx context.Context, tx identity.Tx) error {
		return tx.ProveSession(ctx, sess.ID, at, identity.ProofFactor)
	})
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		return tx.ProveSession(ctx, "none", at, identity.ProofFactor)
	})
	s.write(func(ctx context.Context, tx identity.Tx) error { // a rotation leaves it alone
		next := sess
		next.Generation++
		return tx.RotateSession(ctx, next)
	})
	s.read(func(ctx context.Context, tx identity.Tx) error {
		want := sess
		want.Generation, want.ProvedAt, want.Proof = 2, at, identity.ProofFactor
		got, err := tx.Session(ctx, sess.ID)
		s.same(want, got)
		if err != nil {
			return err
		}
		got, _, _, err = tx.SessionForRefresh(ctx, sess.ID)
		s.same(want, got)
		return err
	})
}

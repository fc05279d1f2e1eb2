package identitytest

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
)

func checkSessions(t *testing.T, s *suite) {
	u := s.user("ada", "guest")
	sess := s.session(u.ID, time.Hour)
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.Session(ctx, sess.ID)
		s.same(sess, got)
		return err
	})
	bare := identity.Session{ID: s.id(), UserID: u.ID, CreatedAt: s.clock.Now(), RefreshUntil: s.clock.Now(), AccessUntil: s.clock.Now(), Generation: 1}
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertSession(ctx, bare) })
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.Session(ctx, bare.ID)
		s.same(bare, got)
		return err
	})
	if err := s.try(func(ctx context.Context, tx identity.Tx) error {
		return tx.InsertSession(ctx, identity.Session{ID: s.id(), UserID: s.id(), Generation: 1})
	}); err == nil {
		t.Error("a session of nobody is kept")
	}
	s.write(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.DeleteSession(ctx, sess.ID)
		s.same(sess, got)
		return err
	})
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.DeleteSession(ctx, sess.ID)
		return err
	})
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
		_, _, _, err := tx.SessionForRefresh(ctx, sess.ID)
		return err
	})
}

func rotation(sess identity.Session, at time.Time) identity.Session {
	sess.Generation++
	sess.PreviousHash, sess.SecretHash, sess.Sealed = sess.SecretHash, [32]byte{byte(sess.Generation)}, []byte("sealed")
	sess.RefreshedAt, sess.RefreshUntil, sess.AccessUntil = at, at.Add(2*time.Hour), at.Add(time.Minute)
	sess.Address = netip.MustParseAddr("192.0.2.7")
	return sess
}

func checkRotation(_ *testing.T, s *suite) {
	sess := s.session(s.user("ada", "guest").ID, time.Hour)
	next := rotation(sess, s.clock.Now().Add(time.Minute))
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.RotateSession(ctx, next) })
	s.write(func(ctx context.Context, tx identity.Tx) error {
		got, _, _, err := tx.SessionForRefresh(ctx, sess.ID)
		s.same(next, got)
		return err
	})
	s.fails(fault.Conflict, func(ctx context.Context, tx identity.Tx) error { return tx.RotateSession(ctx, next) })
	next.ID = s.id()
	s.fails(fault.Conflict, func(ctx context.Context, tx identity.Tx) error { return tx.RotateSession(ctx, next) })
}

// checkParallelRotation lets many rotate one generation at once: one may.
func checkParallelRotation(t *testing.T, s *suite) {
	sess := s.session(s.user("ada", "guest").ID, time.Hour)
	errs := make([]error, 20)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = s.try(func(ctx context.Context, tx identity.Tx) error {
				read, _, _, err := tx.SessionForRefresh(ctx, sess.ID)
				if err != nil || read.Generation != 1 {
					return errors.Join(err, fault.New(fault.Conflict, "came too late"))
				}
				return tx.RotateSession(ctx, rotation(read, tx.Now()))
			})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, fault.Of(fault.Conflict)):
			t.Errorf("a loser got %v, want a conflict", err)
		}
	}
	s.same(1, won)
}

func checkSessionLists(_ *testing.T, s *suite) {
	ada, bob := s.user("ada", "guest"), s.user("bob", "guest")
	s.session(bob.ID, time.Hour)
	first := s.session(ada.ID, 3*time.Hour)
	expiring := s.session(ada.ID, time.Hour) // created at the same moment: the id decides
	s.clock.Advance(time.Microsecond)
	last := s.session(ada.ID, 3*time.Hour)
	list := func(after identity.Cursor, limit int, want ...identity.Session) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.SessionsOf(ctx, ada.ID, after, limit)
			s.same(want, got)
			return err
		})
	}
	newer := func(of identity.Session, want int) {
		s.Helper()
		s.write(func(ctx context.Context, tx identity.Tx) error {
			_, _, n, err := tx.SessionForRefresh(ctx, of.ID)
			s.same(want, n)
			return err
		})
	}
	list(identity.Cursor{}, 10, last, expiring, first)
	list(identity.Cursor{}, 2, last, expiring)
	list(identity.Cursor{At: expiring.CreatedAt, ID: expiring.ID}, 10, first)
	list(identity.Cursor{At: last.CreatedAt, ID: last.ID}, 1, expiring)
	newer(first, 2)
	newer(expiring, 1)
	newer(last, 0)
	other := identity.Session{
		ID: s.id(), UserID: ada.ID, CreatedAt: last.CreatedAt.Add(time.Second), RefreshUntil: last.RefreshUntil, AccessUntil: last.AccessUntil, Generation: 1,
	}
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertSession(ctx, other) })
	newer(first, 2) // sessions under another policy are not counted
	newer(other, 0)
	s.clock.Advance(time.Hour)
	list(identity.Cursor{}, 10, other, last, first)
	newer(first, 1)
}

func checkSessionSweep(_ *testing.T, s *suite) {
	ada := s.user("ada", "guest")
	for range 3 {
		s.session(ada.ID, time.Minute)
	}
	refreshed, kept := s.session(ada.ID, time.Minute), s.session(ada.ID, 24*time.Hour)
	s.write(func(ctx context.Context, tx identity.Tx) error {
		next := rotation(refreshed, tx.Now())
		next.RefreshUntil = tx.Now().Add(24 * time.Hour)
		return tx.RotateSession(ctx, next)
	})
	sweep := func(want int) {
		s.Helper()
		s.write(func(ctx context.Context, tx identity.Tx) error {
			n, err := tx.SweepSessions(ctx, 2)
			s.same(want, n)
			return err
		})
	}
	sweep(0)
	s.clock.Advance(4 * time.Hour)
	sweep(2)
	sweep(1)
	sweep(0)
	s.read(func(ctx context.Context, tx identity.Tx) error {
		_, err := tx.Session(ctx, kept.ID)
		_, err2 := tx.Session(ctx, refreshed.ID)
		return errors.Join(err, err2)
	})
}

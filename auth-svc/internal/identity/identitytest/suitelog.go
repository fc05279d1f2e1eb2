package identitytest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
)

func checkLog(_ *testing.T, s *suite) {
	add := func(kind identity.Kind, id string, life time.Duration) (r identity.Revocation) {
		s.Helper()
		s.write(func(ctx context.Context, tx identity.Tx) (err error) {
			r = identity.Revocation{Kind: kind, ID: id, At: tx.Now(), Until: tx.Now().Add(life)}
			r.Seq, err = tx.AppendRevocation(ctx, r)
			return err
		})
		return r
	}
	list := func(after int64, limit int, want ...identity.Revocation) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.Revocations(ctx, after, limit)
			s.same(want, got)
			return err
		})
	}
	head := func(want int64) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.RevocationHead(ctx)
			s.same(want, got)
			return err
		})
	}
	sweep := func(limit, want int) {
		s.Helper()
		s.write(func(ctx context.Context, tx identity.Tx) error {
			n, err := tx.SweepRevocations(ctx, limit)
			s.same(want, n)
			return err
		})
	}
	head(0)
	a := add(identity.KindSession, "a", time.Minute)
	b := add(identity.KindUserEpoch, "b", time.Hour)
	c := add(identity.KindSigningKey, "c", time.Minute)
	s.same([]int64{1, 2, 3}, []int64{a.Seq, b.Seq, c.Seq})
	list(0, 10, a, b, c)
	list(0, 2, a, b)
	list(1, 10, b, c)
	list(3, 10)
	s.clock.Advance(time.Minute)
	list(0, 10, b)
	sweep(1, 1)
	sweep(5, 1)
	sweep(5, 0)
	s.clock.Advance(time.Hour)
	sweep(5, 1)
	list(0, 10)
	head(3) // an empty log still knows where it was
	s.same(int64(4), add(identity.KindAPIKey, "d", time.Minute).Seq)
}

// checkBlocks: who reads a user_epoch learns the person's status of now, and who is blocked is told of again in time.
func checkBlocks(_ *testing.T, s *suite) {
	ada, bob := s.user("ada"), s.user("bob")
	status := func(u identity.User, to identity.Status) {
		s.Helper()
		s.write(func(ctx context.Context, tx identity.Tx) error {
			u, err := tx.User(ctx, u.ID)
			if err != nil {
				return err
			}
			u.Status = to
			return tx.UpdateUser(ctx, u)
		})
	}
	read := func(want ...identity.Status) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			log, err := tx.Revocations(ctx, 0, 10)
			var got []identity.Status
			for _, r := range log {
				got = append(got, r.Status)
			}
			s.same(want, got)
			return err
		})
	}
	untold := func(life time.Duration, limit int, want ...string) {
		s.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.UntoldBlocks(ctx, tx.Now().Add(life), limit)
			s.same(len(want), len(got))
			if len(want) > 0 {
				s.same(want, got)
			}
			return err
		})
	}
	tell := func(kind identity.Kind, id string) {
		s.write(func(ctx context.Context, tx identity.Tx) error {
			_, err := tx.AppendRevocation(ctx, identity.Revocation{Kind: kind, ID: id, At: tx.Now(), Until: tx.Now().Add(time.Hour)})
			return err
		})
	}
	tell(identity.KindUserEpoch, ada.ID)
	tell(identity.KindSession, ada.ID) // another kind is not about the person
	tell(identity.KindUserEpoch, "nobody")
	read(identity.Active, "", "")
	untold(0, 10)
	status(ada, identity.Blocked)
	status(bob, identity.Blocked)
	read(identity.Blocked, "", "")
	untold(time.Minute, 10, bob.ID)
	both := []string{min(ada.ID, bob.ID), max(ada.ID, bob.ID)}
	untold(time.Hour, 10, both...)
	untold(time.Hour, 1, both[:1]...)
	status(bob, identity.Active)
	untold(time.Hour, 10, ada.ID)
}

// checkLogOrder lets slow and quick writers append at once while readers ask only for what lies past the last number
// they have seen. Whoever sees a number must have seen every smaller one, or a revocation is lost for ever.
func checkLogOrder(t *testing.T, s *suite) {
	const writers, each = 8, 15
	done := make(chan struct{})
	var readers, writing sync.WaitGroup
	for range 2 {
		readers.Go(func() { s.followGapless(t, writers*each, done) })
	}
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				err := s.try(func(ctx context.Context, tx identity.Tx) error {
					r := identity.Revocation{Kind: identity.KindSession, ID: fmt.Sprint(w, i), At: tx.Now(), Until: tx.Now().Add(time.Hour)}
					_, err := tx.AppendRevocation(ctx, r)
					time.Sleep(time.Duration((w*each+i)*37%500) * time.Microsecond) // between number and commit
					return err
				})
				if err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	writing.Wait()
	close(done)
	readers.Wait()
}

func (s *suite) followGapless(t *testing.T, total int64, done <-chan struct{}) {
	var last int64
	for finished := false; ; {
		select {
		case <-done:
			finished = true // one more reading sees everything
		default:
		}
		err := s.store.View(t.Context(), func(tx identity.Tx) error {
			fresh, err := tx.Revocations(t.Context(), last, 1000)
			for _, r := range fresh {
				if r.Seq != last+1 {
					t.Errorf("after %d came %d", last, r.Seq)
				}
				last = r.Seq
			}
			head, headErr := tx.RevocationHead(t.Context())
			if headErr == nil && head != last {
				t.Errorf("the head is %d, the last entry %d, in one reading", head, last)
			}
			return err
		})
		if err != nil {
			t.Errorf("follow: %v", err)
		}
		if finished {
			if last != total {
				t.Errorf("saw %d entries, want %d", last, total)
			}
			return
		}
	}
}

func checkAudit(_ *testing.T, s *suite) {
	s.read(func(ctx context.Context, tx identity.Tx) error {
		seq, hash, err := tx.AuditHead(ctx)
		s.same(int64(0), seq)
		s.same([32]byte{}, hash)
		return err
	})
	var rows []identity.AuditRow
	for i := range 3 {
		s.write(func(ctx context.Context, tx identity.Tx) error {
			seq, prev, err := tx.AuditHead(ctx)
			if err != nil {
				return err
			}
			row := identity.AuditRow{
				Seq: seq + 1, At: tx.Now(), Actor: "user:1", Action: "test", Target: "user:2", Detail: []byte(`{"n":1}`),
				PrevHash: prev, Hash: [32]byte{byte(i + 1)},
			}
			rows = append(rows, row)
			return tx.InsertAudit(ctx, row)
		})
	}
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.AuditRows(ctx, 0, 10)
		s.same(rows, got)
		return err
	})
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.AuditRows(ctx, 1, 1)
		s.same(rows[1:2], got)
		return err
	})
	if err := s.try(func(ctx context.Context, tx identity.Tx) error { return tx.InsertAudit(ctx, rows[2]) }); err == nil {
		s.Error("one place in the chain is taken twice")
	}
}

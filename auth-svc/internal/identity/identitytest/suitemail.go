package identitytest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/fault"
)

func checkCounters(t *testing.T, s *suite) {
	key := [32]byte{1}
	s.write(func(ctx context.Context, tx identity.Tx) error {
		c, err := tx.Counter(ctx, key)
		s.same(identity.Counter{Key: key}, c)
		return err
	})
	want := identity.Counter{
		Key: key, Count: 3, Since: s.clock.Now(), LockedUntil: s.clock.Now().Add(time.Minute), Until: s.clock.Now().Add(time.Hour),
	}
	for _, n := range []int{2, 3} {
		s.write(func(ctx context.Context, tx identity.Tx) error {
			c := want
			c.Count = n
			return tx.PutCounter(ctx, c)
		})
	}
	sweep := func(want int) {
		t.Helper()
		s.write(func(ctx context.Context, tx identity.Tx) error {
			n, err := tx.SweepCounters(ctx, 10)
			s.same(want, n)
			return err
		})
	}
	s.read(func(ctx context.Context, tx identity.Tx) error {
		c, err := tx.Counter(ctx, key)
		s.same(want, c)
		return err
	})
	s.clock.Advance(time.Hour - time.Microsecond)
	sweep(0)
	s.clock.Advance(time.Microsecond)
	sweep(1)
	sweep(0)
}

func checkDevices(t *testing.T, s *suite) {
	ada, bob := s.user("ada"), s.user("bob")
	known := func(userID string, device byte, want bool) {
		t.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			is, err := tx.KnownDevice(ctx, userID, [32]byte{device})
			s.same(want, is)
			return err
		})
	}
	seen := func(userID string, device byte) {
		s.write(func(ctx context.Context, tx identity.Tx) error { return tx.PutDevice(ctx, userID, [32]byte{device}, 2) })
		s.clock.Advance(time.Second)
	}
	known(ada.ID, 1, false)
	seen(ada.ID, 1)
	seen(ada.ID, 2)
	seen(bob.ID, 3)
	known(ada.ID, 1, true)
	known(bob.ID, 1, false)
	seen(ada.ID, 1) // the oldest is now 2
	seen(ada.ID, 4)
	known(ada.ID, 1, true)
	known(ada.ID, 2, false)
	known(ada.ID, 4, true)
	known(bob.ID, 3, true)
}

func checkMailTokens(t *testing.T, s *suite) {
	ada := s.user("ada")
	token := func(purpose identity.Purpose) identity.MailToken {
		m := identity.MailToken{
			ID: s.id(), UserID: ada.ID, Purpose: purpose, EmailKey: ada.EmailKey, Hash: [32]byte{7},
			CreatedAt: s.clock.Now(), ExpiresAt: s.clock.Now().Add(time.Hour),
		}
		s.write(func(ctx context.Context, tx identity.Tx) error { return tx.PutMailToken(ctx, m) })
		return m
	}
	there := func(m identity.MailToken, want bool) {
		t.Helper()
		find := func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.MailToken(ctx, m.ID)
			if want {
				s.same(m, got)
			}
			return err
		}
		if want {
			s.write(find)
		} else {
			s.fails(fault.NotFound, find)
		}
	}
	first, verify := token(identity.PurposeReset), token(identity.PurposeVerify)
	second := token(identity.PurposeReset)
	there(first, false) // a newer one took its place
	there(second, true)
	s.write(func(ctx context.Context, tx identity.Tx) error {
		return tx.DeleteMailTokens(ctx, ada.ID, identity.PurposeReset)
	})
	there(second, false)
	there(verify, true)
	third := token(identity.PurposeReset)
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteMailTokens(ctx, ada.ID) })
	there(verify, false)
	there(third, false)

	old := token(identity.PurposeVerify)
	s.clock.Advance(time.Hour)
	s.write(func(ctx context.Context, tx identity.Tx) error {
		n, err := tx.SweepMailTokens(ctx, 10)
		s.same(1, n)
		return err
	})
	there(old, false)
	last := token(identity.PurposeVerify)
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteUser(ctx, ada.ID) })
	there(last, false)
}

func checkOutbox(t *testing.T, s *suite) {
	ada := s.user("ada")
	mail := func(m identity.OutMail) identity.OutMail {
		m.ID, m.CreatedAt, m.DueAt = s.id(), s.clock.Now(), s.clock.Now()
		m.UserAgent, m.Address = "test/1", netip.MustParseAddr("2001:db8::1")
		s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertMail(ctx, m) })
		return m
	}
	lease := func(limit int, want ...identity.OutMail) {
		t.Helper()
		until := s.clock.Now().Add(time.Minute)
		for i := range want {
			want[i].DueAt = until
			want[i].Tries++
		}
		s.write(func(ctx context.Context, tx identity.Tx) error {
			got, err := tx.LeaseMails(ctx, until, limit)
			s.same(want, got)
			return err
		})
	}
	asked := mail(identity.OutMail{Kind: identity.MailReset, Identifier: identity.Identifier{Kind: identity.Phone, Key: "+4420"}})
	notice := mail(identity.OutMail{Kind: identity.MailTheft, UserID: ada.ID, To: ada.Email})
	third := mail(identity.OutMail{Kind: identity.MailTheft, UserID: ada.ID, To: ada.Email})
	lease(2, asked, notice)
	lease(2, third)
	lease(2) // all are leased
	s.clock.Advance(time.Minute)
	asked.Tries, notice.Tries, third.Tries = 1, 1, 1
	lease(5, asked, notice, third)

	asked.UserID, asked.To, asked.DueAt = ada.ID, ada.Email, s.clock.Now().Add(time.Hour)
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.UpdateMail(ctx, asked) })
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteMail(ctx, notice.ID) })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.DeleteMail(ctx, notice.ID) })
	s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error { return tx.UpdateMail(ctx, notice) })
	s.clock.Advance(2 * time.Hour)
	asked.Tries, third.Tries = 2, 2
	lease(5, asked, third)

	nobody := mail(identity.OutMail{Kind: identity.MailReset})
	count := func(want int) {
		t.Helper()
		s.read(func(ctx context.Context, tx identity.Tx) error {
			n, err := tx.CountMails(ctx)
			s.same(want, n)
			return err
		})
	}
	count(3)
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteUser(ctx, ada.ID) })
	count(1) // a person's mails go with the person
	lease(5, nobody)
}

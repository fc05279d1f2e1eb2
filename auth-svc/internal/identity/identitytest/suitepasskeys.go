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

func checkPasskeys(t *testing.T, s *suite) {
	ada, bob := s.user("ada"), s.user("bob")
	begin := func(userID string) identity.Factor {
		f := identity.Factor{ID: s.id(), UserID: userID, Kind: identity.FactorPasskey, Name: "key", CreatedAt: s.clock.Now()}
		s.write(func(ctx context.Context, tx identity.Tx) error { return tx.InsertFactor(ctx, f) })
		return f
	}
	first, second := begin(ada.ID), begin(bob.ID) // two that have no credential yet don't collide
	first.ConfirmedAt = s.clock.Now()
	first.Passkey = identity.Passkey{
		CredentialID: []byte{0, 1, 2}, PublicKey: []byte{3, 0}, SignCount: 5, BackupEligible: true, Transports: []string{"internal", "usb"},
	}
	confirm := func(id string, p identity.Passkey) step {
		return func(ctx context.Context, tx identity.Tx) error { return tx.ConfirmPasskey(ctx, id, s.clock.Now(), p) }
	}
	s.write(confirm(first.ID, first.Passkey))
	s.fails(fault.NotFound, confirm("none", identity.Passkey{CredentialID: []byte{9}, PublicKey: []byte{1}}))
	s.fails(fault.Conflict, confirm(second.ID, first.Passkey)) // somebody's already
	s.factorsAre(bob.ID, second)

	count := func(n uint32, want bool) {
		t.Helper()
		s.clock.Advance(time.Second)
		s.write(func(ctx context.Context, tx identity.Tx) error {
			counted, err := tx.CountPasskey(ctx, first.ID, n, s.clock.Now())
			s.same(want, counted)
			return err
		})
		if want {
			first.Passkey.SignCount, first.Passkey.UsedAt = n, s.clock.Now()
		}
		s.factorsAre(ada.ID, first)
	}
	count(6, true)
	count(6, false)
	count(0, false)
	count(4_294_967_295, true)
	s.read(func(ctx context.Context, tx identity.Tx) error {
		got, err := tx.FactorByCredential(ctx, first.Passkey.CredentialID)
		s.same(first, got)
		return err
	})
	unknown := func(credentialID []byte) {
		t.Helper()
		s.fails(fault.NotFound, func(ctx context.Context, tx identity.Tx) error {
			_, err := tx.FactorByCredential(ctx, credentialID)
			return err
		})
	}
	unknown(nil)
	unknown([]byte{0, 1})
	s.write(func(ctx context.Context, tx identity.Tx) error { return tx.DeleteUser(ctx, ada.ID) })
	unknown(first.Passkey.CredentialID)

	second.ConfirmedAt, second.Passkey = s.clock.Now(), identity.Passkey{CredentialID: []byte{7}, PublicKey: []byte{8}}
	s.write(confirm(second.ID, second.Passkey))
	for range 2 { // an authenticator that does not count
		s.write(func(ctx context.Context, tx identity.Tx) error {
			counted, err := tx.CountPasskey(ctx, second.ID, 0, s.clock.Now())
			s.same(true, counted)
			return err
		})
	}
}

// checkSpentChallenges: of however many at once, one spends a challenge.
func checkSpentChallenges(t *testing.T, s *suite) {
	until := s.clock.Now().Add(time.Minute)
	spend := func(nonce byte) (fresh bool) {
		err := s.try(func(ctx context.Context, tx identity.Tx) (err error) {
			fresh, err = tx.SpendPasskeyChallenge(ctx, [16]byte{nonce}, until)
			return err
		})
		return fresh && err == nil
	}
	var spent atomic.Int64
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if spend(1) {
				spent.Add(1)
			}
		})
	}
	group.Wait()
	if n := spent.Load(); n != 1 {
		t.Errorf("one challenge was spent %d times", n)
	}
	if !spend(2) {
		t.Error("another challenge can't be spent")
	}
	sweep := func(limit, want int) {
		t.Helper()
		s.write(func(ctx context.Context, tx identity.Tx) error {
			n, err := tx.SweepPasskeyChallenges(ctx, limit)
			s.same(want, n)
			return err
		})
	}
	sweep(10, 0)
	if spend(1) {
		t.Error("a sweep has forgotten a living challenge")
	}
	s.clock.Advance(time.Minute)
	sweep(1, 1)
	sweep(10, 1)
}

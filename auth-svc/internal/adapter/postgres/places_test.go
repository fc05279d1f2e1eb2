package postgres_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/adapter/argon2"
	"cloakroom.dev/auth-svc/internal/adapter/postgres"
	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// twoServices are two auth services on one database.
func twoServices(t *testing.T, p identity.Policy) (worlds [2]*identitytest.World, stores [2]*postgres.Store) {
	t.Helper()
	dsn, clock := template.New(t), identitytest.NewClock()
	for i := range worlds {
		stores[i] = open(t, dsn, clock.Now)
		worlds[i] = identitytest.NewWorld(t, stores[i], clock, p, func(o *identity.Options) { o.Places = stores[i] })
		// Long enough for guesses to meet.
		worlds[i].Hasher.During = func() { time.Sleep(20 * time.Millisecond) }
	}
	return worlds, stores
}

func TestReplicas_AThousandGuessesAreEvaluatedAtMostFiveTimes(t *testing.T) {
	for name, many := range map[string]bool{"one address": false, "many addresses": true} {
		t.Run(name, func(t *testing.T) {
			worlds, _ := twoServices(t, identity.Policy{MaxFailures: 5, MaxFailuresPerAddress: 1000})
			worlds[0].SignUp("ada")
			before := worlds[0].Hasher.Calls.Load() + worlds[1].Hasher.Calls.Load()
			var refused, turned atomic.Int64
			var why atomic.Value
			began := time.Now()
			var guesses sync.WaitGroup
			for i := range 1000 {
				guesses.Go(func() {
					c := identity.Client{Address: netip.MustParseAddr("198.51.100.9"), UserAgent: "guesser/1"}
					if many {
						c.Address = netip.MustParseAddr(fmt.Sprintf("2001:db8:%x::1", i))
					}
					_, err := worlds[i%2].Service.Login(t.Context(), identity.LoginInput{
						Identifier: "ada", Password: secret.NewString("wrong"), Client: c,
					})
					switch kind := fault.KindOf(err); kind {
					case fault.RateLimited:
						refused.Add(1)
					case fault.InvalidCredentials:
					case fault.Overloaded, fault.Unavailable:
						turned.Add(1)
						why.Store(err.Error())
					default:
						t.Errorf("%v", err)
					}
				})
			}
			guesses.Wait()
			evaluated := worlds[0].Hasher.Calls.Load() + worlds[1].Hasher.Calls.Load() - before
			t.Logf("%d evaluated, %d refused, %d turned away (%v), in %v", evaluated, refused.Load(), turned.Load(), why.Load(), time.Since(began))
			if evaluated < 1 || evaluated > 5 {
				t.Errorf("%d guesses were evaluated, the lockout is at 5", evaluated)
			}
			_, err := worlds[1].Service.Login(t.Context(), identity.LoginInput{
				Identifier: "ada", Password: secret.NewString("wrong"), Client: identity.Client{Address: netip.MustParseAddr("203.0.113.7")},
			})
			if evaluated == 5 && fault.KindOf(err) != fault.RateLimited {
				t.Errorf("a sixth guess, from elsewhere: %v", err)
			}
		})
	}
}

// Honest people come in parallel too: nobody is refused who is right.
func TestReplicas_TwentySignInsAtACapOfFiveLeaveFive(t *testing.T) {
	worlds, stores := twoServices(t, identity.Policy{MaxFailures: 5, MaxSessions: 5})
	ada := worlds[0].SignUp("ada")
	var logins sync.WaitGroup
	for i := range 20 {
		logins.Go(func() { worlds[i%2].MustLogin("ada", identitytest.Password) })
	}
	logins.Wait()
	if err := stores[0].View(t.Context(), func(tx identity.Tx) error {
		live, err := tx.SessionsOf(t.Context(), ada.User.ID, identity.Cursor{}, 100)
		if len(live) != 5 {
			t.Errorf("%d sessions live, want 5", len(live))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// A place is for as many as there is room for, on all keys or on none, and only by the counter that was seen.
func TestPlaces_AllOrNoneAndOnlyByWhatWasSeen(t *testing.T) {
	dsn := template.New(t)
	a, b, ctx := open(t, dsn, nil), open(t, dsn, nil), t.Context()
	ids := identitytest.NewIDs()
	account, address := [32]byte{1}, [32]byte{2}
	want := func(room int) []identity.Place {
		return []identity.Place{{Seen: identity.Counter{Key: account}, Room: 10}, {Seen: identity.Counter{Key: address}, Room: room}}
	}
	first := ids()
	if full, err := a.TakePlaces(ctx, first, want(1)); full != nil || err != nil {
		t.Fatalf("the first place: %v, %v", full, err)
	}
	if full, err := b.TakePlaces(ctx, ids(), want(1)); err != nil || full == nil || *full != address {
		t.Fatalf("a second where there is room for one: %v, %v", full, err)
	}
	if full, err := b.TakePlaces(ctx, ids(), []identity.Place{{Seen: identity.Counter{Key: account}, Room: 2}}); full != nil || err != nil {
		t.Errorf("the refused one took a place of the other key: %v, %v", full, err)
	}
	if err := a.LeavePlaces(ctx, first, [][32]byte{account, address}); err != nil {
		t.Fatal(err)
	}
	if full, err := b.TakePlaces(ctx, ids(), want(1)); full != nil || err != nil {
		t.Errorf("after it was given up: %v, %v", full, err)
	}
	if err := a.InTx(ctx, func(tx identity.Tx) error {
		return tx.PutCounter(ctx, identity.Counter{Key: account, Count: 1, Since: tx.Now(), Until: tx.Now().Add(time.Hour)})
	}); err != nil {
		t.Fatal(err)
	}
	if full, err := b.TakePlaces(ctx, ids(), want(9)); err != nil || full == nil || *full != account {
		t.Errorf("by a counter of before: %v, %v", full, err)
	}
}

// BenchmarkPlaces is what sharing guesses adds to a login, beside the hash that a login is.
func BenchmarkPlaces(b *testing.B) {
	store, ids := open(b, template.New(b), nil), identitytest.NewIDs()
	hasher, err := argon2.New(argon2.Options{}, prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	b.Run("take and leave", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			keys := [][32]byte{{1, byte(i), byte(i >> 8), byte(i >> 16)}, {2}}
			id := ids()
			wanted := []identity.Place{{Seen: identity.Counter{Key: keys[0]}, Room: 10}, {Seen: identity.Counter{Key: keys[1]}, Room: 100}}
			if full, err := store.TakePlaces(ctx, id, wanted); full != nil || err != nil {
				b.Fatal(full, err)
			}
			if err := store.LeavePlaces(ctx, id, keys); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hash", func(b *testing.B) {
		for b.Loop() {
			if err := hasher.VerifyDummy(ctx, "a long walk in the rain"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

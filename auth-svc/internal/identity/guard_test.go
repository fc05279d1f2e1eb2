package identity_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

var strict = identity.Policy{MaxFailures: 5, MaxFailuresPerAddress: 20, FailureWindow: time.Hour, LockDuration: 10 * time.Minute}

func from(address, agent string) identity.Client {
	return identity.Client{Address: netip.MustParseAddr(address), UserAgent: agent}
}

var stranger = from("198.51.100.7", "guesser/1")

// guessAs tries a password from somewhere.
func guessAs(w *identitytest.World, c identity.Client, identifier, password string) error {
	_, err := w.Service.Login(w.T.Context(), identity.LoginInput{Identifier: identifier, Password: text(password), Client: c})
	return err
}

// wantKind checks the kind of what came of each of n guesses.
func wantKind(w *identitytest.World, n int, kind fault.Kind, c identity.Client, identifier, password string) {
	w.T.Helper()
	for i := range n {
		if err := guessAs(w, c, identifier, password); fault.KindOf(err) != kind {
			w.T.Fatalf("guess %d at %s from %s: %v", i+1, identifier, c.Address, err)
		}
	}
}

func TestGuard_LocksTheAccountAndOpensAgain(t *testing.T) {
	w := newWorld(t, strict)
	w.SignUp("ada")
	wantKind(w, 5, fault.InvalidCredentials, stranger, "ada", "wrong")
	hashes, txs := w.Hasher.Calls.Load(), w.Store.Txs.Load()
	wantKind(w, 20, fault.RateLimited, stranger, "ada", identitytest.Password) // even the right one: nobody looks
	if w.Hasher.Calls.Load() != hashes || w.Store.Txs.Load() != txs {
		t.Error("a refused guess costs a hash or a write")
	}
	w.Clock.Advance(10*time.Minute - time.Microsecond)
	wantKind(w, 1, fault.RateLimited, stranger, "ada", identitytest.Password)
	w.Clock.Advance(time.Microsecond)
	if err := guessAs(w, stranger, "ada", identitytest.Password); err != nil {
		t.Error(err)
	}
}

func TestGuard_AThousandAtOnceAreEvaluatedAtMostFiveTimes(t *testing.T) {
	for name, open := range map[string]identity.Policy{"one address": {MaxFailures: 5}, "many addresses": {MaxFailures: 5, MaxFailuresPerAddress: 1000}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, open)
			w.SignUp("ada")
			before := w.Hasher.Calls.Load()
			var refused atomic.Int64
			var wg sync.WaitGroup
			for i := range 1000 {
				wg.Go(func() {
					c := stranger
					if name == "many addresses" {
						c = from(fmt.Sprintf("2001:db8:%x::1", i), "guesser/1")
					}
					if fault.KindOf(guessAs(w, c, "ada", "wrong")) == fault.RateLimited {
						refused.Add(1)
					}
				})
			}
			wg.Wait()
			if n := w.Hasher.Calls.Load() - before; n < 1 || n > 5 || refused.Load() != 1000-n {
				t.Errorf("%d guesses were evaluated, %d refused", n, refused.Load())
			}
		})
	}
}

func TestGuard_ADeviceThatHasComeInBeforePassesALockout(t *testing.T) {
	w := newWorld(t, strict)
	w.SignUp("ada") // from Laptop
	wantKind(w, 5, fault.InvalidCredentials, stranger, "ada", "wrong")
	wantKind(w, 1, fault.RateLimited, stranger, "ada", "wrong")
	w.MustLogin("ada", identitytest.Password)
	// It has a count of its own, so that copying what it looks like is worth no more than that.
	wantKind(w, 5, fault.InvalidCredentials, identitytest.Laptop, "ada", "wrong")
	wantKind(w, 1, fault.RateLimited, identitytest.Laptop, "ada", identitytest.Password)
}

func TestGuard_AKnownDevicePassesWhenItsAddressIsLocked(t *testing.T) {
	w := newWorld(t, strict)
	w.SignUp("ada")
	neighbour := identity.Client{Address: identitytest.Laptop.Address, UserAgent: "guesser/1"}
	for i := range 20 {
		wantKind(w, 1, fault.InvalidCredentials, neighbour, fmt.Sprintf("nobody%d", i), "wrong")
	}
	wantKind(w, 1, fault.RateLimited, neighbour, "somebody", "wrong")
	w.MustLogin("ada", identitytest.Password)
}

func TestGuard_IPv6CountsByNetwork(t *testing.T) {
	w := newWorld(t, strict)
	for i := range 20 {
		wantKind(w, 1, fault.InvalidCredentials, from(fmt.Sprintf("2001:db8::%x", i+1), "g"), fmt.Sprintf("nobody%d", i), "wrong")
	}
	wantKind(w, 1, fault.RateLimited, from("2001:db8::ffff", "g"), "nobody", "wrong")
	wantKind(w, 1, fault.InvalidCredentials, from("2001:db8:0:1::1", "g"), "nobody", "wrong")
}

func TestGuard_DotsAndTagsShareACountAndNotAnAccount(t *testing.T) {
	w := newWorld(t, strict)
	one, err := w.Service.Signup(t.Context(), identity.SignupInput{Email: "ada.l@gmail.com", Password: text(identitytest.Password)})
	if err != nil {
		t.Fatal(err)
	}
	two, err := w.Service.Signup(t.Context(), identity.SignupInput{Email: "adal@gmail.com", Password: text(identitytest.Password)})
	if err != nil || one.User.ID == two.User.ID {
		t.Fatalf("the second account: %v", err)
	}
	for i, spelling := range []string{"ada.l@gmail.com", "a.d.a.l@gmail.com", "adal+x@gmail.com", "ADAL@googlemail.com", "adal@gmail.com"} {
		wantKind(w, 1, fault.InvalidCredentials, from(fmt.Sprintf("192.0.2.%d", i+10), "g"), spelling, "wrong")
	}
	wantKind(w, 1, fault.RateLimited, stranger, "ad.al+y@gmail.com", "wrong")
	wantKind(w, 1, fault.InvalidCredentials, stranger, "ad.al@example.org", "wrong")
}

func TestGuard_FailuresSurviveTheProcess(t *testing.T) {
	w := newWorld(t, strict)
	w.SignUp("ada")
	wantKind(w, 5, fault.InvalidCredentials, stranger, "ada", "wrong")
	again := identitytest.NewWorld(t, w.Store.Store, w.Clock, strict, nil)
	wantKind(again, 1, fault.RateLimited, stranger, "ada", "wrong")
}

func TestGuard_AFailureThatCantBeWrittenStillCounts(t *testing.T) {
	w := newWorld(t, strict)
	w.SignUp("ada")
	for range 5 {
		w.Store.Before.Store(identitytest.Down) // the very transaction that would count it
		wantKind(w, 1, fault.InvalidCredentials, stranger, "ada", "wrong")
	}
	wantKind(w, 1, fault.RateLimited, stranger, "ada", identitytest.Password)
	w.Clock.Advance(time.Hour)
	if err := guessAs(w, stranger, "ada", identitytest.Password); err != nil {
		t.Error(err)
	}
}

func TestGuard_AGivenUpRequestStillCounts(t *testing.T) {
	w := newWorld(t, strict)
	w.SignUp("ada")
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		w.Hasher.During = cancel
		_, _ = w.Service.Login(ctx, identity.LoginInput{Identifier: "ada", Password: text("wrong"), Client: stranger})
	}
	w.Hasher.During = nil
	wantKind(w, 1, fault.RateLimited, stranger, "ada", "wrong")
}

func TestGuard_ConfirmingGuessesAreCountedApart(t *testing.T) {
	w := newWorld(t, strict)
	caller := w.Caller(w.SignUp("ada").Tokens)
	for range 5 {
		wantFault(t, w.Service.ChangePassword(t.Context(), caller, stranger, text("wrong"), text("another horse")), fault.InvalidCurrentPassword)
	}
	wantFault(t, w.Service.ChangePassword(t.Context(), caller, stranger, text(identitytest.Password), text("another horse")), fault.RateLimited)
	wantFault(t, w.Service.DeleteMe(t.Context(), caller, stranger, text("wrong")), fault.RateLimited)
	w.MustLogin("ada", identitytest.Password) // the door is another matter
	for i := range 15 {                       // but the address has been told: 5 of its 20 are gone
		wantKind(w, 1, fault.InvalidCredentials, stranger, fmt.Sprintf("nobody%d", i), "wrong")
	}
	wantKind(w, 1, fault.RateLimited, stranger, "nobody", "wrong")
}

func TestGuard_ARefusalSaysNothingOfTheAccount(t *testing.T) {
	w := newWorld(t, strict)
	w.SignUp("ada")
	change(w, w.SignUp("blocked").User.ID, func(u *identity.User) { u.Status = identity.Blocked })
	said := map[string]bool{}
	for i, name := range []string{"ada", "blocked", "nobody", "@@@"} {
		c := from(fmt.Sprintf("192.0.2.%d", i+10), "g")
		wantKind(w, 5, fault.InvalidCredentials, c, name, "wrong")
		views, txs, hashes := w.Store.Views.Load(), w.Store.Txs.Load(), w.Hasher.Calls.Load()
		err := guessAs(w, c, name, identitytest.Password)
		said[fmt.Sprintf("%v, %d readings, %d writes, %d hashes", err, w.Store.Views.Load()-views, w.Store.Txs.Load()-txs, w.Hasher.Calls.Load()-hashes)] = true
	}
	if len(said) != 1 {
		t.Errorf("refusals differ: %v", said)
	}
}

// TestGuard_WhoWaitedForOthersInVainHearsOfNoFailures: devices of one person that log in together on a machine that is slow are
// told to come back, not that too many attempts have failed. None has.
func TestGuard_WhoWaitedForOthersInVainHearsOfNoFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, strict)
		w.SignUp("ada")
		w.Hasher.During = func() { time.Sleep(6 * time.Second) }
		var devices sync.WaitGroup
		var in, later atomic.Int64
		for range 2 * strict.MaxFailures {
			devices.Go(func() {
				switch err := guessAs(w, stranger, "ada", identitytest.Password); {
				case err == nil:
					in.Add(1)
				case fault.KindOf(err) == fault.Overloaded:
					later.Add(1)
				default:
					t.Errorf("a right password: %v", err)
				}
			})
		}
		devices.Wait()
		if in.Load() != 5 || later.Load() != 5 {
			t.Errorf("%d came in, %d were told to come back", in.Load(), later.Load())
		}
		w.Hasher.During = nil
		if err := guessAs(w, stranger, "ada", identitytest.Password); err != nil {
			t.Error(err)
		}
	})
}

// TestLogin_AFullGateReadsNothing: in a flood of logins most are refused, and what one of them costs the store is taken from
// everybody else. Who is named, and whether they are locked out, makes no difference: nobody has looked.
func TestLogin_AFullGateReadsNothing(t *testing.T) {
	w := newWorld(t, strict)
	w.SignUp("ada")
	wantKind(w, 5, fault.InvalidCredentials, stranger, "locked", "wrong")
	w.Hasher.Full.Store(true)
	views, txs, calls := w.Store.Views.Load(), w.Store.Txs.Load(), w.Hasher.Calls.Load()
	for _, name := range []string{"ada", "nobody", "locked", "no identifier at all \x00"} {
		wantKind(w, 1, fault.Overloaded, stranger, name, identitytest.Password)
	}
	if w.Store.Views.Load() != views || w.Store.Txs.Load() != txs || w.Hasher.Calls.Load() != calls {
		t.Errorf("refused logins made %d readings, %d transactions, %d hashes", w.Store.Views.Load()-views, w.Store.Txs.Load()-txs, w.Hasher.Calls.Load()-calls)
	}
	w.Hasher.Full.Store(false)
	wantKind(w, 1, fault.RateLimited, stranger, "locked", "wrong") // and none of it counted, nor forgave
	if err := guessAs(w, stranger, "ada", identitytest.Password); err != nil {
		t.Error(err)
	}
}

func TestGuard_SaysWhyAGuessIsRefused(t *testing.T) {
	heard := &identitytest.Observer{}
	w := newWorldWith(t, strict, func(o *identity.Options) { o.Observer = heard })
	w.SignUp("ada")
	for range strict.MaxFailures {
		w.Store.Before.Store(identitytest.Down)
		wantKind(w, 1, fault.InvalidCredentials, stranger, "ada", "wrong")
	}
	if n := w.Service.HeldFailures(); n == 0 {
		t.Error("failures that could not be written are not held")
	}
	wantKind(w, 3, fault.RateLimited, stranger, "ada", "wrong")
	if n := heard.Heard("guess locked"); n != 3 {
		t.Errorf("%d refused as locked, want 3", n)
	}
}

func TestGuard_SaysThatTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waiting, more = 64, 7
		heard := &identitytest.Observer{}
		w := newWorldWith(t, strict, func(o *identity.Options) { o.Observer = heard })
		w.SignUp("ada")
		w.Hasher.During = func() { time.Sleep(6 * time.Second) }
		var crowd sync.WaitGroup
		for range strict.MaxFailures + waiting + more {
			crowd.Go(func() { _ = guessAs(w, stranger, "ada", identitytest.Password) })
		}
		crowd.Wait()
		if full, late := heard.Heard("guess queue_full"), heard.Heard("guess waited_too_long"); full != more || late != waiting {
			t.Errorf("%d found no room to wait, %d waited in vain; want %d and %d", full, late, more, waiting)
		}
	})
}

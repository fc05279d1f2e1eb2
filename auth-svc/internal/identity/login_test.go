package identity_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// block, unset and age change a person behind the service's back.
func change(w *identitytest.World, id string, do func(*identity.User)) {
	w.T.Helper()
	w.Write(func(ctx context.Context, tx identity.Tx) error {
		u, err := tx.User(ctx, id)
		do(&u)
		return errors.Join(err, tx.UpdateUser(ctx, u))
	})
}

func TestLogin_EveryRefusalIsAlikeAndCostsOneHash(t *testing.T) {
	w := newWorld(t, ordinary)
	w.SignUp("ada")
	change(w, w.SignUp("blocked").User.ID, func(u *identity.User) { u.Status = identity.Blocked })
	change(w, w.SignUp("nopassword").User.ID, func(u *identity.User) { u.PasswordHash = "" })
	var body string
	for name, in := range map[string][2]string{
		"wrong password":          {"ada", "wrong"},
		"unknown person":          {"eve", identitytest.Password},
		"blocked, wrong password": {"blocked", "wrong"},
		"no password set":         {"nopassword", identitytest.Password},
		"no password set, empty":  {"nopassword", ""},
		"empty password":          {"ada", ""},
		"over-long password":      {"ada", strings.Repeat("x", 1025)},
		"huge password":           {"ada", strings.Repeat("x", 1<<20)},
		"empty identifier":        {"", identitytest.Password},
		"no identifier at all":    {"@@@", identitytest.Password},
		"huge identifier":         {strings.Repeat("x", 1<<20), identitytest.Password},
		"not UTF-8":               {"ada\xff", identitytest.Password},
	} {
		hashes, txs, views := w.Hasher.Calls.Load(), w.Store.Txs.Load(), w.Store.Views.Load()
		_, err := w.Login(in[0], in[1])
		wantFault(t, err, fault.InvalidCredentials)
		if body == "" {
			body = err.Error()
		}
		if err.Error() != body {
			t.Errorf("%s: %q differs from %q", name, err, body)
		}
		if n := w.Hasher.Calls.Load() - hashes; n != 1 {
			t.Errorf("%s: %d hashes", name, n)
		}
		if a, b := w.Store.Txs.Load()-txs, w.Store.Views.Load()-views; a != 1 || b != 1 {
			t.Errorf("%s: %d transactions and %d readings", name, a, b)
		}
	}
}

func TestLogin_DeactivatedIsToldOnlyToWhoProvedThePassword(t *testing.T) {
	w := newWorld(t, ordinary)
	change(w, w.SignUp("ada").User.ID, func(u *identity.User) { u.Status = identity.Blocked })
	_, err := w.Login("ada", identitytest.Password)
	wantFault(t, err, fault.AccountDeactivated)
}

func TestLogin_FindsThePersonByAnyIdentifierHoweverTyped(t *testing.T) {
	w := newWorld(t, ordinary)
	must[identity.Entry](t)(w.Service.Signup(t.Context(), identity.SignupInput{
		Email: "Ada.Lovelace@Bücher.example", Phone: "+44 20 7183 8750", Username: "Ada", Password: text(identitytest.Password),
	}))
	for _, typed := range []string{
		"Ada.Lovelace@Bücher.example", "ADA.LOVELACE@xn--bcher-kva.EXAMPLE", " ada.lovelace@bücher.example ",
		"+442071838750", "+44 (20) 7183-8750", "ada", "ADA", "ａｄａ",
	} {
		if _, err := w.Login(typed, identitytest.Password); err != nil {
			t.Errorf("%q: %v", typed, err)
		}
	}
}

func TestLogin_ParallelPasswordChangeWins(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	w.Hasher.During = func() {
		w.Hasher.During = nil
		if err := w.Service.ChangePassword(t.Context(), w.Caller(e.Tokens), identitytest.Laptop, text(identitytest.Password), text("another horse")); err != nil {
			t.Error(err)
		}
	}
	_, err := w.Login("ada", identitytest.Password) // the account was read before, the session is opened after
	wantFault(t, err, fault.InvalidCredentials)
}

func TestLogin_RenewsAnOutdatedHash(t *testing.T) {
	w := newWorld(t, ordinary)
	id := w.SignUp("ada").User.ID
	change(w, id, func(u *identity.User) { u.PasswordHash = "$old$" + u.PasswordHash[len("$test$"):] })
	w.MustLogin("ada", identitytest.Password)
	change(w, id, func(u *identity.User) {
		if !strings.HasPrefix(u.PasswordHash, "$test$") {
			t.Errorf("the hash is still %s", u.PasswordHash)
		}
	})
	w.MustLogin("ada", identitytest.Password)
}

func TestLogin_AtTheCapRefusesWhenThePolicySaysSo(t *testing.T) {
	w := newWorld(t, identity.Policy{MaxSessions: 2, RefuseAtCap: true})
	w.SignUp("ada")
	e := w.MustLogin("ada", identitytest.Password)
	_, err := w.Login("ada", identitytest.Password)
	wantFault(t, err, fault.Conflict)
	if err := w.Service.Logout(t.Context(), w.Caller(e.Tokens)); err != nil {
		t.Fatal(err)
	}
	w.MustLogin("ada", identitytest.Password)
}

func TestLogin_ClockSetBackDoesNotMakeTheNewestSessionTheOldest(t *testing.T) {
	w := newWorld(t, identity.Policy{MaxSessions: 2})
	w.SignUp("ada")
	w.Clock.Advance(-time.Minute)
	newer := w.MustLogin("ada", identitytest.Password)
	w.MustLogin("ada", identitytest.Password)
	w.MustRefresh(newer.Tokens.RefreshToken)
}

func TestLogin_StoreThatIsDownIsNotAWrongPassword(t *testing.T) {
	w := newWorld(t, ordinary)
	w.SignUp("ada")
	w.Store.Before.Store(identitytest.Down)
	_, err := w.Login("ada", identitytest.Password)
	wantFault(t, err, fault.Unavailable)
}

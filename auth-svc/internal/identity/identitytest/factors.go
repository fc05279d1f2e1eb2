package identitytest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
)

// Enrolled gives a person a confirmed second factor, and returns its secret and the recovery codes.
func (w *World) Enrolled(tokens identity.Tokens) (shared secret.String, codes []secret.String) {
	w.T.Helper()
	e, err := w.Service.EnrolFactor(w.T.Context(), w.Caller(tokens), "phone")
	if err != nil {
		w.T.Fatalf("enrol: %v", err)
	}
	codes, err = w.Service.ConfirmFactor(w.T.Context(), w.Caller(tokens), Laptop, e.Factor.ID, w.Code(e.Secret, 0))
	if err != nil {
		w.T.Fatalf("confirm: %v", err)
	}
	w.Clock.Advance(time.Minute) // the next code is a new one
	return e.Secret, codes
}

// Code is what an app shows whose clock is skew steps off.
func (w *World) Code(shared secret.String, skew int64) secret.String {
	code, err := OTP{}.Code(shared, w.Clock.Now().Unix()/30+skew)
	if err != nil {
		w.T.Fatal(err)
	}
	return secret.NewString(code)
}

// Pending shows the password of a person who has a second factor.
func (w *World) Pending(identifier string) *identity.PendingLogin {
	w.T.Helper()
	e := w.MustLogin(identifier, Password)
	if e.Pending == nil || !e.Tokens.RefreshToken.IsZero() || e.User.ID != "" {
		w.T.Fatalf("a password alone brought %+v", e)
	}
	return e.Pending
}

// ShowFactor is the second half of a login.
func (w *World) ShowFactor(p *identity.PendingLogin, code secret.String) (identity.Entry, error) {
	return w.Service.LoginFactor(w.T.Context(), identity.FactorInput{Challenge: p.Token, Code: code, Client: Laptop})
}

// RunFactors checks on a store what parallel requests must not gain with codes.
func RunFactors(t *testing.T, open func(t *testing.T, now func() time.Time) identity.Store) {
	for name, check := range map[string]func(*testing.T, *World){
		"guesses":         parallelGuesses,
		"one code":        parallelCode,
		"a recovery code": parallelRecoveryCode,
		"a passkey":       parallelPasskey,
	} {
		t.Run(name, func(t *testing.T) {
			clock := NewClock()
			check(t, NewWorld(t, open(t, clock.Now), clock, identity.Policy{}, nil))
		})
	}
}

// atOnce runs the same try n times in parallel and counts what came of it.
func atOnce(n int, try func(i int) error) (ok, wrong, limited int64) {
	var counts [3]atomic.Int64
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			switch err := try(i); {
			case err == nil:
				counts[0].Add(1)
			case fault.KindOf(err) == fault.RateLimited:
				counts[2].Add(1)
			default:
				counts[1].Add(1)
			}
		})
	}
	group.Wait()
	return counts[0].Load(), counts[1].Load(), counts[2].Load()
}

// parallelGuesses: over many challenges and addresses, five wrong codes are looked at and then not even the right one.
func parallelGuesses(t *testing.T, w *World) {
	e := w.SignUp("ada")
	shared, codes := w.Enrolled(e.Tokens)
	var open []*identity.PendingLogin
	for range 10 {
		open = append(open, w.Pending("ada"))
	}
	wrong := wrongCode(w, shared)
	ok, looked, limited := atOnce(60, func(i int) error {
		_, err := w.ShowFactor(open[i%len(open)], wrong)
		return err
	})
	if ok != 0 || looked < 5 || limited == 0 {
		t.Errorf("%d came in, %d were refused, %d told to wait", ok, looked, limited)
	}
	if n := failures(w); n != 5 {
		t.Errorf("%d wrong codes were looked at, want 5", n)
	}
	for _, right := range []secret.String{w.Code(shared, 0), codes[0]} {
		if _, err := w.ShowFactor(w.Pending("ada"), right); fault.KindOf(err) != fault.RateLimited {
			t.Errorf("after five wrong codes a right one: %v", err)
		}
	}
	w.MustRefresh(e.Tokens.RefreshToken) // who is in stays in
	w.Clock.Advance(16 * time.Minute)
	if _, err := w.ShowFactor(w.Pending("ada"), w.Code(shared, 0)); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

// wrongCode is six digits that no step around now has.
func wrongCode(w *World, shared secret.String) secret.String {
	right := map[string]bool{}
	for skew := int64(-1); skew <= 1; skew++ {
		right[w.Code(shared, skew).Reveal()] = true
	}
	for _, code := range []string{"000000", "111111", "222222"} {
		if !right[code] {
			return secret.NewString(code)
		}
	}
	return secret.NewString("333333")
}

// failures counts the wrong codes the trail knows of.
func failures(w *World) (n int) {
	for _, row := range w.Audit() {
		if row.Action == "session.factor_failed" {
			n++
		}
	}
	return n
}

// parallelCode: one code lets one in, whichever challenge it comes with.
func parallelCode(t *testing.T, w *World) {
	shared, _ := w.Enrolled(w.SignUp("ada").Tokens)
	open := []*identity.PendingLogin{w.Pending("ada"), w.Pending("ada"), w.Pending("ada")}
	code := w.Code(shared, 0)
	if ok, _, _ := atOnce(12, func(i int) error { _, err := w.ShowFactor(open[i%3], code); return err }); ok != 1 {
		t.Errorf("one code let %d in", ok)
	}
}

func parallelRecoveryCode(t *testing.T, w *World) {
	_, codes := w.Enrolled(w.SignUp("ada").Tokens)
	open := []*identity.PendingLogin{w.Pending("ada"), w.Pending("ada"), w.Pending("ada")}
	if ok, _, _ := atOnce(12, func(i int) error { _, err := w.ShowFactor(open[i%3], codes[3]); return err }); ok != 1 {
		t.Errorf("one recovery code let %d in", ok)
	}
}

package identity_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func stepUp(w *identitytest.World, tokens identity.Tokens, in identity.StepUpInput) (identity.Tokens, error) {
	in.Client = identitytest.Laptop
	return w.Service.StepUp(w.T.Context(), w.Caller(tokens), in)
}

func TestFactor_GuardsLoginFromItsFirstCodeOn(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	caller := w.Caller(e.Tokens)
	enrolled := must[identity.EnrolledFactor](t)(w.Service.EnrolFactor(t.Context(), caller, " my phone "))
	if w.MustLogin("ada", identitytest.Password).Pending != nil {
		t.Error("a factor that nobody has confirmed guards already")
	}
	_, err := w.Service.ConfirmFactor(t.Context(), caller, identitytest.Laptop, enrolled.Factor.ID, secret.NewString("12345"))
	wantFault(t, err, fault.InvalidCredentials)
	codes := must[[]secret.String](t)(w.Service.ConfirmFactor(t.Context(), caller, identitytest.Laptop, enrolled.Factor.ID, w.Code(enrolled.Secret, 0)))
	if len(codes) != 10 {
		t.Errorf("%d recovery codes", len(codes))
	}
	p := w.Pending("ada")
	_, err = w.ShowFactor(p, w.Code(enrolled.Secret, 0)) // spent by the confirmation
	wantFault(t, err, fault.InvalidCredentials)
	w.Clock.Advance(30 * time.Second)
	in := must[identity.Entry](t)(w.ShowFactor(p, w.Code(enrolled.Secret, 0)))
	if in.User.ID != e.User.ID || in.Pending != nil {
		t.Errorf("came in as %+v", in)
	}
	w.MustRefresh(in.Tokens.RefreshToken)
	_, err = w.ShowFactor(p, w.Code(enrolled.Secret, 1)) // a challenge is good once
	wantFault(t, err, fault.InvalidCredentials)
	l := must[identity.FactorList](t)(w.Service.ListFactors(t.Context(), caller))
	if len(l.Factors) != 1 || l.Factors[0].Name != "my phone" || !l.Factors[0].Confirmed() || l.RecoveryCodesLeft != 10 {
		t.Errorf("listed %+v", l)
	}
	w.Audit()
}

func TestFactor_TakesCodesOneStepOff(t *testing.T) {
	w := newWorld(t, ordinary)
	shared, _ := w.Enrolled(w.SignUp("ada").Tokens)
	for _, c := range []struct {
		skew int64
		ok   bool
	}{{-2, false}, {2, false}, {-1, true}, {0, true}, {1, true}, {1, false}, {0, false}} {
		if _, err := w.ShowFactor(w.Pending("ada"), w.Code(shared, c.skew)); (err == nil) != c.ok {
			t.Errorf("a code %d steps off: %v", c.skew, err)
		}
	}
}

func TestFactor_AcceptsCodesAsPeopleTypeThem(t *testing.T) {
	w := newWorld(t, ordinary)
	shared, codes := w.Enrolled(w.SignUp("ada").Tokens)
	code := w.Code(shared, 0).Reveal()
	must[identity.Entry](t)(w.ShowFactor(w.Pending("ada"), secret.NewString(code[:3]+" "+code[3:])))
	lower := secret.NewString(strings.ToLower(strings.ReplaceAll(codes[0].Reveal(), "-", " ")))
	must[identity.Entry](t)(w.ShowFactor(w.Pending("ada"), lower))
	_, err := w.ShowFactor(w.Pending("ada"), codes[0])
	wantFault(t, err, fault.InvalidCredentials)
}

func TestChallenge_EndsWithTimePasswordAndAccount(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	shared, codes := w.Enrolled(e.Tokens)
	late := w.Pending("ada")
	w.Clock.Advance(5 * time.Minute)
	_, err := w.ShowFactor(late, w.Code(shared, 0))
	wantFault(t, err, fault.InvalidCredentials)

	changed := w.Pending("ada")
	change(w, e.User.ID, func(u *identity.User) { u.PasswordHash += "x" })
	_, err = w.ShowFactor(changed, codes[0])
	wantFault(t, err, fault.InvalidCredentials)
	change(w, e.User.ID, func(u *identity.User) { u.PasswordHash = strings.TrimSuffix(u.PasswordHash, "x") })

	blocked := w.Pending("ada")
	change(w, e.User.ID, func(u *identity.User) { u.Status = identity.Blocked })
	_, err = w.ShowFactor(blocked, codes[0])
	wantFault(t, err, fault.AccountDeactivated)
	change(w, e.User.ID, func(u *identity.User) { u.Status = identity.Active })
	must[identity.Entry](t)(w.ShowFactor(blocked, codes[0])) // none of the refusals has spent the code

	before := w.Store.Txs.Load() + w.Store.Views.Load()
	for _, forged := range []string{"", "crf_", "crf_AAAA", strings.Replace(late.Token.Reveal(), "crf_", "crr_", 1), e.Tokens.RefreshToken.Reveal()} {
		_, err := w.ShowFactor(&identity.PendingLogin{Token: secret.NewString(forged)}, codes[1])
		wantFault(t, err, fault.InvalidCredentials)
	}
	if after := w.Store.Txs.Load() + w.Store.Views.Load(); after != before {
		t.Errorf("forged tokens cost %d looks at the store", after-before)
	}
}

func TestChallenge_BurnsAfterFiveAttempts(t *testing.T) {
	w := newWorld(t, identity.Policy{LockDuration: time.Second, FailureWindow: time.Minute})
	shared, _ := w.Enrolled(w.SignUp("ada").Tokens)
	p := w.Pending("ada")
	for range 5 {
		_, err := w.ShowFactor(p, secret.NewString("x"))
		wantFault(t, err, fault.InvalidCredentials)
	}
	w.Clock.Advance(30 * time.Second) // the lock has passed, the challenge has not
	_, err := w.ShowFactor(p, w.Code(shared, 0))
	wantFault(t, err, fault.InvalidCredentials)
	must[identity.Entry](t)(w.ShowFactor(w.Pending("ada"), w.Code(shared, 0)))
}

// Who guesses codes in a stolen session, and who guesses passwords at the door, stand in nobody else's way.
func TestFactor_LocksAreSeparate(t *testing.T) {
	w := newWorld(t, identity.Policy{MaxFailures: 3})
	e := w.SignUp("ada")
	shared, codes := w.Enrolled(e.Tokens)
	for range 5 {
		_, err := stepUp(w, e.Tokens, identity.StepUpInput{Code: secret.NewString("x")})
		wantFault(t, err, fault.InvalidCredentials)
	}
	_, err := stepUp(w, e.Tokens, identity.StepUpInput{Code: codes[0]})
	wantFault(t, err, fault.RateLimited)
	must[identity.Entry](t)(w.ShowFactor(w.Pending("ada"), w.Code(shared, 0)))
	for range 5 {
		_, err = w.ShowFactor(w.Pending("ada"), secret.NewString("x"))
		wantFault(t, err, fault.InvalidCredentials)
	}
	w.Pending("ada") // the password's own count has not moved
}

func TestStepUp_OpensDangerousCallsForFiveMinutes(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUpAdmin("ada")
	_, codes := w.Enrolled(e.Tokens)
	tokens, next := e.Tokens, 0
	up := func() {
		t.Helper()
		tokens = must[identity.Tokens](t)(stepUp(w, tokens, identity.StepUpInput{Code: codes[next]}))
		next++
	}
	password := secret.NewString(identitytest.Password)
	name := "ada2"
	dangerous := map[string]func(c principal.Principal) error{
		"identifiers": func(c principal.Principal) error {
			_, err := w.Service.UpdateMe(t.Context(), c, identity.UserChange{Username: &name, CurrentPassword: password})
			return err
		},
		"password": func(c principal.Principal) error {
			return w.Service.ChangePassword(t.Context(), c, identitytest.Laptop, password, password)
		},
		"API key": func(c principal.Principal) error {
			_, err := w.Service.CreateAPIKey(t.Context(), c, identity.NewAPIKey{Name: "k", Permissions: c.Permissions})
			return err
		},
		"another factor": func(c principal.Principal) error {
			_, err := w.Service.EnrolFactor(t.Context(), c, "tablet")
			return err
		},
		"recovery codes": func(c principal.Principal) error {
			made, err := w.Service.NewRecoveryCodes(t.Context(), c, identitytest.Laptop)
			if err == nil {
				codes, next = made, 0
			}
			return err
		},
		"kill a key": func(c principal.Principal) error {
			_, err := w.Service.KillSigningKey(t.Context(), c, "no such key")
			if errors.Is(err, fault.Of(fault.NotFound)) {
				return nil // it got as far as looking
			}
			return err
		},
	}
	for what, call := range dangerous {
		w.Clock.Advance(6 * time.Minute)
		wantFault(t, call(w.Caller(tokens)), fault.Forbidden)
		before := w.Caller(tokens)
		up()
		if err := call(before); fault.KindOf(err) != fault.Forbidden {
			t.Errorf("%s: a token of before the step-up: %v", what, err)
		}
		if err := call(w.Caller(tokens)); err != nil {
			t.Errorf("%s: after a step-up: %v", what, err)
		}
		tokens = w.MustRefresh(tokens.RefreshToken) // a refresh neither ends nor prolongs it
		w.Clock.Advance(4 * time.Minute)
		if err := call(w.Caller(tokens)); err != nil {
			t.Errorf("%s: within five minutes: %v", what, err)
		}
		w.Clock.Advance(time.Minute)
		wantFault(t, call(w.Caller(tokens)), fault.Forbidden)
	}
	w.SignUpAdmin("bob") // ada is not the last
	wantFault(t, w.Service.DeleteMe(t.Context(), w.Caller(tokens), identitytest.Laptop, password), fault.Forbidden)
	up()
	if err := w.Service.DeleteMe(t.Context(), w.Caller(tokens), identitytest.Laptop, password); err != nil {
		t.Error(err)
	}
}

// MFA step-up, then the refresh token of before it: that is a thief's, or was lost long ago.
func TestStepUp_TheRefreshTokenOfBeforeIsTheft(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	_, codes := w.Enrolled(e.Tokens)
	stepped := must[identity.Tokens](t)(stepUp(w, e.Tokens, identity.StepUpInput{Code: codes[0]}))
	if stepped.SessionID != e.Tokens.SessionID {
		t.Error("a step-up made another session")
	}
	_, err := w.Refresh(e.Tokens.RefreshToken) // even inside the reuse window
	wantFault(t, err, fault.InvalidRefreshToken)
	assertEnded(t, w, e.Tokens.SessionID)
	_, err = w.Refresh(stepped.RefreshToken)
	wantFault(t, err, fault.InvalidRefreshToken)
}

func TestStepUp_AsksForWhatThereIs(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	password := secret.NewString(identitytest.Password)
	_, err := stepUp(w, e.Tokens, identity.StepUpInput{Code: secret.NewString("123456")})
	wantFields(t, err, "password")
	_, err = stepUp(w, e.Tokens, identity.StepUpInput{Password: secret.NewString("wrong")})
	wantFault(t, err, fault.InvalidCurrentPassword)
	w.Clock.Advance(6 * time.Minute)
	_, err = w.Service.EnrolFactor(t.Context(), w.Caller(e.Tokens), "phone")
	wantFault(t, err, fault.Forbidden)
	tokens := must[identity.Tokens](t)(stepUp(w, e.Tokens, identity.StepUpInput{Password: password}))
	tokens = w.MustRefresh(tokens.RefreshToken)
	other := w.MustLogin("ada", identitytest.Password)
	shared, codes := w.Enrolled(tokens)
	_, err = stepUp(w, tokens, identity.StepUpInput{Password: password})
	wantFields(t, err, "code")
	// A session that has only ever shown the password can't act for somebody who has a factor.
	_, err = w.Service.NewRecoveryCodes(t.Context(), w.Caller(other.Tokens), identitytest.Laptop)
	wantFault(t, err, fault.Forbidden)
	must[identity.Tokens](t)(stepUp(w, other.Tokens, identity.StepUpInput{Code: w.Code(shared, 0)}))
	_, err = stepUp(w, tokens, identity.StepUpInput{Code: w.Code(shared, 0)}) // spent
	wantFault(t, err, fault.InvalidCredentials)
	must[identity.Tokens](t)(stepUp(w, tokens, identity.StepUpInput{Code: codes[0]}))
	key := principal.Principal{UserID: e.User.ID, APIKeyID: "x"}
	_, err = w.Service.StepUp(t.Context(), key, identity.StepUpInput{Code: codes[1]})
	wantFault(t, err, fault.Forbidden)
}

func TestFactor_TheLastOneTakesTheRecoveryCodesAlong(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	shared, _ := w.Enrolled(e.Tokens)
	bob := w.SignUp("bob")
	l := must[identity.FactorList](t)(w.Service.ListFactors(t.Context(), w.Caller(e.Tokens)))
	id := l.Factors[0].ID
	wantFault(t, w.Service.RemoveFactor(t.Context(), w.Caller(bob.Tokens), identitytest.Laptop, id), fault.NotFound)
	in := must[identity.Entry](t)(w.ShowFactor(w.Pending("ada"), w.Code(shared, 0)))
	if err := w.Service.RemoveFactor(t.Context(), w.Caller(in.Tokens), identitytest.Laptop, id); err != nil {
		t.Fatal(err)
	}
	l = must[identity.FactorList](t)(w.Service.ListFactors(t.Context(), w.Caller(in.Tokens)))
	if len(l.Factors) != 0 || l.RecoveryCodesLeft != 0 {
		t.Errorf("left: %+v", l)
	}
	if w.MustLogin("ada", identitytest.Password).Pending != nil {
		t.Error("a removed factor still guards")
	}
	_, err := w.Service.NewRecoveryCodes(t.Context(), w.Caller(in.Tokens), identitytest.Laptop)
	wantFault(t, err, fault.Conflict)
}

func TestFactor_EnrolmentIsBounded(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	caller := w.Caller(e.Tokens)
	for _, name := range []string{"", "  ", strings.Repeat("x", 101), "a\x00b"} {
		_, err := w.Service.EnrolFactor(t.Context(), caller, name)
		wantFields(t, err, "name")
	}
	first := must[identity.EnrolledFactor](t)(w.Service.EnrolFactor(t.Context(), caller, "one"))
	second := must[identity.EnrolledFactor](t)(w.Service.EnrolFactor(t.Context(), caller, "two"))
	_, err := w.Service.ConfirmFactor(t.Context(), caller, identitytest.Laptop, first.Factor.ID, w.Code(first.Secret, 0)) // replaced
	wantFault(t, err, fault.NotFound)
	w.Clock.Advance(4 * time.Minute)
	tokens := must[identity.Tokens](t)(stepUp(w, e.Tokens, identity.StepUpInput{Password: secret.NewString(identitytest.Password)}))
	for n := range 10 {
		f := must[identity.EnrolledFactor](t)(w.Service.EnrolFactor(t.Context(), w.Caller(tokens), "more"))
		codes := must[[]secret.String](t)(w.Service.ConfirmFactor(t.Context(), w.Caller(tokens), identitytest.Laptop, f.Factor.ID, w.Code(f.Secret, 0)))
		if (len(codes) > 0) != (n == 0) {
			t.Errorf("factor %d brought %d recovery codes", n, len(codes))
		}
	}
	_, err = w.Service.EnrolFactor(t.Context(), w.Caller(tokens), "one too many")
	wantFault(t, err, fault.Conflict)
	_, err = w.Service.ConfirmFactor(t.Context(), w.Caller(tokens), identitytest.Laptop, second.Factor.ID, w.Code(second.Secret, 0))
	wantFault(t, err, fault.NotFound)
}

func TestFactor_NobodyGetsInWhenSecretsDoNotOpen(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	shared, _ := w.Enrolled(e.Tokens)
	w.Write(func(ctx context.Context, tx identity.Tx) error {
		factors, err := tx.Factors(ctx, e.User.ID)
		if err != nil {
			return err
		}
		f := factors[0]
		err = errors.Join(tx.DeleteFactor(ctx, f.UserID, f.ID))
		f.Sealed = []byte("damaged")
		return errors.Join(err, tx.InsertFactor(ctx, f))
	})
	if _, err := w.ShowFactor(w.Pending("ada"), w.Code(shared, 0)); err == nil || fault.KindOf(err) != fault.Internal {
		t.Errorf("a damaged secret: %v", err)
	}
}

func TestToken_SaysHowAndWhenThePersonWasProved(t *testing.T) {
	w := newWorld(t, ordinary)
	type shown struct {
		proof identity.Proof
		at    time.Time
	}
	said := func(tokens identity.Tokens) shown {
		c := identitytest.Claims(tokens.AccessToken.Reveal())
		return shown{c.Proof, c.ProvedAt}
	}
	begun := w.Clock.Now()
	e := w.SignUp("ada")
	if got := said(e.Tokens); got != (shown{identity.ProofPassword, begun}) {
		t.Errorf("a signup: %+v", got)
	}
	w.Clock.Advance(time.Minute)
	refreshed := w.MustRefresh(e.Tokens.RefreshToken)
	if got := said(refreshed); got != (shown{identity.ProofPassword, begun}) {
		t.Errorf("a refresh proves nothing anew: %+v", got)
	}
	stepped := must[identity.Tokens](t)(stepUp(w, refreshed, identity.StepUpInput{Password: text(identitytest.Password)}))
	if got := said(stepped); got != (shown{identity.ProofPassword, begun.Add(time.Minute)}) {
		t.Errorf("a step-up: %+v", got)
	}
	shared, _ := w.Enrolled(stepped)
	w.Clock.Advance(time.Minute)
	in := must[identity.Entry](t)(w.ShowFactor(w.Pending("ada"), w.Code(shared, 0)))
	if got := said(in.Tokens); got != (shown{identity.ProofFactor, w.Clock.Now()}) {
		t.Errorf("a login with a factor: %+v", got)
	}
}

package identity_test

import (
	"testing"
	"time"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

// phones is a policy that only some clients name.
var phones = identity.Policy{
	Algorithm: "RS512", AccessTTL: time.Minute, RefreshTTL: time.Hour, MaxSessions: 2, ReuseWindow: 10 * time.Second, Require: identity.ClassUpper,
}

// newWorldOfPhones knows phones as a second policy, while configured says so.
func newWorldOfPhones(t *testing.T, configured *bool) *identitytest.World {
	t.Helper()
	return newWorldWith(t, ordinary, func(o *identity.Options) {
		o.Policies = func(name string) (identity.Policy, bool) { return phones, name == "phones" && *configured }
		o.Algorithms = func() []string {
			if *configured {
				return []string{"EdDSA", "RS512"}
			}
			return nil
		}
	})
}

func phone() identity.Client {
	c := identitytest.Laptop
	c.Policy, c.DeviceName = "phones", "phone"
	c.Claims = func(u identity.User, s identity.Session) map[string]string {
		return map[string]string{"username": u.Username, "deviceId": s.DeviceName}
	}
	return c
}

func byPhone(t *testing.T, w *identitytest.World, name string) identity.Entry {
	t.Helper()
	return must[identity.Entry](t)(w.Service.Login(t.Context(), identity.LoginInput{
		Identifier: name, Password: secret.NewString(identitytest.Password), Client: phone(),
	}))
}

func TestPolicies_ASessionFollowsItsOwnForLife(t *testing.T) {
	on := true
	w := newWorldOfPhones(t, &on)
	w.SignUp("ada")
	e := byPhone(t, w, "ada")
	if e.Tokens.ExpiresIn != time.Minute {
		t.Errorf("the access token lives for %v", e.Tokens.ExpiresIn)
	}
	next := w.MustRefresh(e.Tokens.RefreshToken) // by a client that names no policy
	if next.ExpiresIn != time.Minute {
		t.Errorf("after a refresh the access token lives for %v", next.ExpiresIn)
	}
	on = false
	if last := w.MustRefresh(next.RefreshToken); last.ExpiresIn != 15*time.Minute {
		t.Errorf("without its policy the session's token lives for %v, want everybody's 15 minutes", last.ExpiresIn)
	}
}

func TestPolicies_ACapIsAboutTheSessionsUnderIt(t *testing.T) {
	on := true
	w := newWorldOfPhones(t, &on)
	laptop := w.SignUp("ada")
	first, second := byPhone(t, w, "ada"), byPhone(t, w, "ada")
	third := byPhone(t, w, "ada")
	assertEnded(t, w, first.Tokens.SessionID)
	for _, alive := range []identity.Entry{laptop, second, third} {
		w.MustRefresh(alive.Tokens.RefreshToken)
	}
}

func TestPolicies_APasswordSuitsTheOneOfItsClient(t *testing.T) {
	on := true
	w := newWorldOfPhones(t, &on)
	_, err := w.Service.Signup(t.Context(), identity.SignupInput{Username: "ada", Password: secret.NewString(identitytest.Password), Client: phone()})
	wantFault(t, err, fault.Invalid)
	w.SignUp("ada")
}

func TestClaims_OfAnotherContractAreThereAfterARefreshToo(t *testing.T) {
	on := true
	w := newWorldOfPhones(t, &on)
	w.SignUp("ada")
	e := byPhone(t, w, "ada")
	next := must[identity.Tokens](t)(w.Service.Refresh(t.Context(), e.Tokens.RefreshToken, phone()))
	again := must[identity.Tokens](t)(w.Service.Refresh(t.Context(), e.Tokens.RefreshToken, phone())) // within the window
	for _, tokens := range []identity.Tokens{e.Tokens, next, again} {
		extra := identitytest.Claims(tokens.AccessToken.Reveal()).Extra
		if extra["username"] != "ada" || extra["deviceId"] != "phone" || len(extra) != 2 {
			t.Errorf("the token says %v", extra)
		}
	}
}

func TestRefreshIf_ARefusalSpendsNothingAndHidesNoTheft(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	refresh := func(token secret.String, accept bool) error {
		_, err := w.Service.RefreshIf(t.Context(), token, identitytest.Laptop, func(s identity.Session) bool {
			return accept && s.ID == e.Tokens.SessionID
		})
		return err
	}
	wantFault(t, refresh(e.Tokens.RefreshToken, false), fault.InvalidRefreshToken)
	if err := refresh(e.Tokens.RefreshToken, true); err != nil {
		t.Fatalf("after a refusal: %v", err)
	}
	w.Clock.Advance(time.Minute)
	wantFault(t, refresh(e.Tokens.RefreshToken, false), fault.InvalidRefreshToken)
	assertEnded(t, w, e.Tokens.SessionID) // a spent token is a theft, whatever else is shown
}

func TestSigningKeys_EveryAlgorithmAskedForHasItsOwn(t *testing.T) {
	on := false
	w := newWorldOfPhones(t, &on)
	w.SignUp("ada")
	algorithmOf := func(e identity.Entry) string { return published(t, w)[keyOf(e.Tokens)].Algorithm }
	on = true
	upkeep(t, w)
	if got := algorithmOf(byPhone(t, w, "ada")); got != "EdDSA" {
		t.Errorf("%s signs before verifiers can know its key", got)
	}
	w.Clock.Advance(5 * time.Minute)
	upkeep(t, w)
	if got := algorithmOf(byPhone(t, w, "ada")); got != "RS512" {
		t.Errorf("a lifetime of the key set later %s signs", got)
	}
	if got := algorithmOf(w.MustLogin("ada", identitytest.Password)); got != "EdDSA" {
		t.Errorf("everybody else is signed for by %s", got)
	}
	if got := states(t, w); got[identity.KeyCurrent] != 2 || got[identity.KeyNext] != 2 || got[identity.KeyRetiring] != 0 {
		t.Errorf("published: %v", got)
	}
	on = false
	upkeep(t, w)
	if got := states(t, w); got[identity.KeyCurrent] != 1 || got[identity.KeyNext] != 1 || got[identity.KeyRetiring] != 1 {
		t.Errorf("when nobody asks for it any more: %v", got)
	}
}

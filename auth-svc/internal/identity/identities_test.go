package identity_test

import (
	"context"
	"testing"
	"time"

	"cloakroom.dev/libs/fault"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func linkTo(w *identitytest.World, e *identitytest.Elsewhere, tokens identity.Tokens, claims identity.ProviderClaims) (identity.ExternalIdentity, error) {
	return w.Service.LinkIdentity(w.T.Context(), w.Caller(tokens), identity.ExchangeInput{
		Code: w.SignInCode(e, "big", claims), Verifier: text(identitytest.SignInVerifier), Client: identitytest.Laptop,
	})
}

func TestLink_WhateverTheAddressIs(t *testing.T) {
	w, e := newElsewhere(t)
	ada := w.SignUp("ada")
	linked := must[identity.ExternalIdentity](t)(linkTo(w, e, ada.Tokens, identity.ProviderClaims{Subject: "1", Email: "other@example.org"}))
	in := must[identity.Entry](t)(w.SignIn(e, "big", identity.ProviderClaims{Subject: "1"}))
	if in.User.ID != ada.User.ID || linked.UserID != ada.User.ID {
		t.Errorf("the link of %s opens %s", linked.UserID, in.User.ID)
	}
	for what, claims := range map[string]identity.ProviderClaims{"the same twice": {Subject: "1"}, "a second one there": {Subject: "2"}} {
		_, err := linkTo(w, e, ada.Tokens, claims)
		if wantFault(t, err, fault.Duplicate); t.Failed() {
			t.Fatal(what)
		}
	}
	_, err := linkTo(w, e, w.SignUp("bob").Tokens, identity.ProviderClaims{Subject: "1"}) // what opens ada's never opens bob's
	wantFault(t, err, fault.Duplicate)
}

func TestLink_NeedsARecentProof(t *testing.T) {
	w, e := newElsewhere(t)
	ada := w.SignUp("ada")
	linked := must[identity.ExternalIdentity](t)(linkTo(w, e, ada.Tokens, adaThere))
	w.Clock.Advance(5 * time.Minute)
	_, err := linkTo(w, e, w.MustRefresh(ada.Tokens.RefreshToken), identity.ProviderClaims{Subject: "2"})
	wantFault(t, err, fault.Forbidden)
	again := w.MustLogin("ada", identitytest.Password)
	w.Clock.Advance(5 * time.Minute)
	wantFault(t, w.Service.UnlinkIdentity(t.Context(), w.Caller(again.Tokens), linked.ID, identitytest.Laptop), fault.Forbidden)
}

func TestUnlink_NeverTheLastWayIn(t *testing.T) {
	w, e := newElsewhere(t)
	ada := must[identity.Entry](t)(w.SignIn(e, "big", adaThere))
	caller := w.Caller(ada.Tokens)
	list := must[[]identity.ExternalIdentity](t)(w.Service.ListIdentities(t.Context(), caller))
	wantFault(t, w.Service.UnlinkIdentity(t.Context(), caller, list[0].ID, identitytest.Laptop), fault.Conflict)
	must[identity.Entry](t)(w.SignIn(e, "big", adaThere)) // it still opens

	bob := w.SignUp("bob") // has a password
	linked := must[identity.ExternalIdentity](t)(linkTo(w, e, bob.Tokens, identity.ProviderClaims{Subject: "bob"}))
	wantFault(t, w.Service.UnlinkIdentity(t.Context(), caller, linked.ID, identitytest.Laptop), fault.NotFound) // not ada's
	if err := w.Service.UnlinkIdentity(t.Context(), w.Caller(bob.Tokens), linked.ID, identitytest.Laptop); err != nil {
		t.Fatal(err)
	}
	in := must[identity.Entry](t)(w.SignIn(e, "big", identity.ProviderClaims{Subject: "bob"}))
	if in.User.ID == bob.User.ID {
		t.Error("a link that was removed opens the account")
	}
}

func TestPeopleWithoutAPassword_ActForAWhileAfterSigningIn(t *testing.T) {
	w, e := newElsewhere(t)
	claims := identity.ProviderClaims{Subject: "1"} // nor any address
	ada := must[identity.Entry](t)(w.SignIn(e, "big", claims))
	name := "Ada L."
	if _, err := w.Service.UpdateMe(t.Context(), w.Caller(ada.Tokens), identity.UserChange{Name: &name}); err != nil {
		t.Errorf("change of name: %v", err)
	}
	w.Clock.Advance(5 * time.Minute)
	stale := w.Caller(w.MustRefresh(ada.Tokens.RefreshToken))
	wantFault(t, w.Service.ChangePassword(t.Context(), stale, identitytest.Laptop, text(""), text("a long enough secret")), fault.Forbidden)
	wantFault(t, w.Service.DeleteMe(t.Context(), stale, identitytest.Laptop, text("")), fault.Forbidden)
	fresh := w.Caller(must[identity.Entry](t)(w.SignIn(e, "big", claims)).Tokens)
	if err := w.Service.DeleteMe(t.Context(), fresh, identitytest.Laptop, text("")); err != nil {
		t.Fatal(err)
	}
	w.Write(func(ctx context.Context, tx identity.Tx) error { // erased with the person
		_, err := tx.ExternalIdentity(ctx, "https://big.example", "1")
		wantFault(t, err, fault.NotFound)
		return nil
	})
}

func TestExport_HasWhereElseThePersonSignsIn(t *testing.T) {
	w, e := newElsewhere(t)
	ada := must[identity.Entry](t)(w.SignIn(e, "big", adaThere))
	err := w.Service.Export(t.Context(), w.Caller(ada.Tokens), ada.User.ID, func(x identity.Export) error {
		if len(x.Identities) != 1 || x.Identities[0].Subject != "ada-1" {
			t.Errorf("identities are %+v", x.Identities)
		}
		return nil
	}, func(identity.AuditEntry) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
}

func TestSignIn_IsInTheTrail(t *testing.T) {
	w, e := newElsewhere(t)
	ada := w.SignUp("ada")
	markVerified(w, ada.User.ID)
	must[identity.Entry](t)(w.SignIn(e, "big", adaThere))
	must[identity.Entry](t)(w.SignIn(e, "big", identity.ProviderClaims{Subject: "new"}))
	seen := map[string]bool{}
	for _, row := range w.Audit() {
		seen[row.Action+string(row.Detail)] = true
	}
	for _, want := range []string{
		`identity.link{"by":"verified_email","provider":"big"}`, `user.signup{"provider":"big","roles":["guest"]}`,
		`session.login{"proof":"provider","sessions_ended":0}`,
	} {
		if !seen[want] {
			t.Errorf("the trail has no %s", want)
		}
	}
}

package identity_test

import (
	"slices"
	"testing"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func TestUpdateMe_NameNeedsNoPasswordIdentifiersDo(t *testing.T) {
	w := newWorld(t, ordinary)
	caller := w.Caller(w.SignUp("ada").Tokens)
	u := must[identity.Profile](t)(w.Service.UpdateMe(t.Context(), caller, identity.UserChange{Name: new("Ada L.")}))
	if u.Name != "Ada L." || u.Username != "ada" {
		t.Errorf("the record says %+v", u)
	}
	change := identity.UserChange{Email: new("ada@elsewhere.example"), Username: new("")}
	for _, wrong := range []string{"", "wrong"} {
		change.CurrentPassword = text(wrong)
		_, err := w.Service.UpdateMe(t.Context(), caller, change)
		wantFault(t, err, fault.InvalidCurrentPassword)
	}
	change.CurrentPassword = text(identitytest.Password)
	u = must[identity.Profile](t)(w.Service.UpdateMe(t.Context(), caller, change))
	if u.EmailKey != "ada@elsewhere.example" || u.UsernameKey != "" || u.Name != "Ada L." {
		t.Errorf("the record says %+v", u)
	}
	w.MustLogin("ada@elsewhere.example", identitytest.Password)
	_, err := w.Login("ada", identitytest.Password)
	wantFault(t, err, fault.InvalidCredentials)
}

func TestUpdateMe_RefusesBadFieldsTakenNamesAndAnUnreachableAccount(t *testing.T) {
	w := newWorld(t, ordinary)
	caller := w.Caller(w.SignUp("ada").Tokens)
	w.SignUp("bob")
	pw := text(identitytest.Password)
	_, err := w.Service.UpdateMe(t.Context(), caller, identity.UserChange{Email: new("x"), Phone: new("1"), CurrentPassword: pw})
	wantFields(t, err, "email", "phone")
	_, err = w.Service.UpdateMe(t.Context(), caller, identity.UserChange{Username: new("BOB"), CurrentPassword: pw})
	wantFault(t, err, fault.UserExists)
	_, err = w.Service.UpdateMe(t.Context(), caller, identity.UserChange{Username: new(""), Email: new(" "), CurrentPassword: pw})
	wantFields(t, err, "email")
	if me := must[identity.Profile](t)(w.Service.Me(t.Context(), caller)); me.UsernameKey != "ada" {
		t.Errorf("a refused change was kept: %+v", me)
	}
}

func TestChangePassword_EndsEveryOtherSession(t *testing.T) {
	w := newWorld(t, ordinary)
	other := w.SignUp("ada")
	e := w.MustLogin("ada", identitytest.Password)
	caller := w.Caller(e.Tokens)
	wantFault(t, w.Service.ChangePassword(t.Context(), caller, identitytest.Laptop, text("wrong"), text("another horse")), fault.InvalidCurrentPassword)
	wantFields(t, w.Service.ChangePassword(t.Context(), caller, identitytest.Laptop, text(identitytest.Password), text("short")), "new_password")
	wantFields(t, w.Service.ChangePassword(t.Context(), caller, identitytest.Laptop, text(identitytest.Password), text("ada@example.org")), "new_password")
	if err := w.Service.ChangePassword(t.Context(), caller, identitytest.Laptop, text(identitytest.Password), text("another horse")); err != nil {
		t.Fatal(err)
	}
	assertEnded(t, w, other.Tokens.SessionID)
	w.MustRefresh(e.Tokens.RefreshToken)
	_, err := w.Login("ada", identitytest.Password)
	wantFault(t, err, fault.InvalidCredentials)
	w.MustLogin("ada", "another horse")
}

func TestDeleteMe_ErasesThePersonAndTellsTheLog(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUp("ada")
	caller := w.Caller(e.Tokens)
	key := must[identity.MadeAPIKey](t)(w.Service.CreateAPIKey(t.Context(), caller, identity.NewAPIKey{
		Name: "build", Permissions: []principal.Permission{{Resource: "files", Action: "read", Scope: principal.Self}},
	}))
	wantFault(t, w.Service.DeleteMe(t.Context(), caller, identitytest.Laptop, text("wrong")), fault.InvalidCurrentPassword)
	if err := w.Service.DeleteMe(t.Context(), caller, identitytest.Laptop, text(identitytest.Password)); err != nil {
		t.Fatal(err)
	}
	r, ok := w.Revoked(identity.KindUserDeleted, e.User.ID)
	if !ok || r.Until.Sub(r.At).Hours() < 24*30 {
		t.Errorf("the log says %+v: the files service may be away for long", r)
	}
	assertEnded(t, w, e.Tokens.SessionID)
	_, err := w.Service.ExchangeAPIKey(t.Context(), key.Secret)
	wantFault(t, err, fault.InvalidCredentials)
	_, err = w.Login("ada", identitytest.Password)
	wantFault(t, err, fault.InvalidCredentials)
	wantFault(t, w.Service.Introspect(t.Context(), caller), fault.InvalidToken)
	w.SignUp("ada") // the names are free again
	w.Audit()       // and the chain is whole
}

func TestAPIKeyCaller_CantTakeTheAccountOver(t *testing.T) {
	w := newWorld(t, ordinary)
	caller := w.Caller(w.SignUp("ada").Tokens)
	key := must[identity.MadeAPIKey](t)(w.Service.CreateAPIKey(t.Context(), caller, identity.NewAPIKey{Name: "all", Permissions: caller.Permissions}))
	ex := must[identity.ExchangedAPIKey](t)(w.Service.ExchangeAPIKey(t.Context(), key.Secret))
	program := identitytest.Caller(ex.AccessToken.Reveal())
	pw := text(identitytest.Password)
	_, updateErr := w.Service.UpdateMe(t.Context(), program, identity.UserChange{Email: new("eve@example.org"), CurrentPassword: pw})
	for name, err := range map[string]error{
		"change the password": w.Service.ChangePassword(t.Context(), program, identitytest.Laptop, pw, text("another horse")),
		"delete the account":  w.Service.DeleteMe(t.Context(), program, identitytest.Laptop, pw),
		"change the address":  updateErr,
		"log out":             w.Service.Logout(t.Context(), program),
	} {
		if fault.KindOf(err) != fault.Forbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !slices.Equal(program.Permissions, caller.Permissions) || len(program.Roles) != 0 {
		t.Errorf("the key's token says %+v", program)
	}
}

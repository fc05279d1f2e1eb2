package identity_test

import (
	"testing"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func permission(t testing.TB, s string) principal.Permission {
	t.Helper()
	p, ok := principal.ParsePermission(s)
	if !ok {
		t.Fatalf("no permission: %s", s)
	}
	return p
}

func TestSetStatus_BlockingEndsEverythingAtOnce(t *testing.T) {
	w := newWorld(t, ordinary)
	admin, ada := w.SignUpAdmin("root"), w.SignUp("ada")
	key := must[identity.MadeAPIKey](t)(w.Service.CreateAPIKey(t.Context(), w.Caller(ada.Tokens), identity.NewAPIKey{
		Name: "k", Permissions: []principal.Permission{permission(t, "files:read:self")},
	}))
	must[identity.User](t)(w.Service.SetStatus(t.Context(), w.Caller(admin.Tokens), ada.User.ID, identity.Blocked))
	assertEnded(t, w, ada.Tokens.SessionID)
	if _, ok := w.Revoked(identity.KindUserEpoch, ada.User.ID); !ok {
		t.Error("no epoch in the log: tokens of API keys would live on")
	}
	_, err := w.Service.ExchangeAPIKey(t.Context(), key.Secret)
	wantFault(t, err, fault.InvalidCredentials)
	_, err = w.Login("ada", identitytest.Password)
	wantFault(t, err, fault.AccountDeactivated)

	must[identity.User](t)(w.Service.SetStatus(t.Context(), w.Caller(admin.Tokens), ada.User.ID, identity.Active))
	_, err = w.Refresh(ada.Tokens.RefreshToken)
	wantFault(t, err, fault.InvalidRefreshToken) // what was ended stays ended
	e := w.MustLogin("ada", identitytest.Password)
	if err := w.Service.Introspect(t.Context(), w.Caller(e.Tokens)); err != nil {
		t.Errorf("a token made after the unblocking: %v", err)
	}
}

func TestRights_OnlyAdministratorsChangeThem(t *testing.T) {
	w := newWorld(t, ordinary)
	w.SignUpAdmin("root")
	ada, bob := w.SignUp("ada"), w.SignUp("bob")
	for _, target := range []string{ada.User.ID, bob.User.ID} {
		_, err := setRights(w, w.Caller(ada.Tokens), target, []string{identity.RoleAdmin}, nil)
		wantFault(t, err, fault.Forbidden)
		_, err = w.Service.SetStatus(t.Context(), w.Caller(ada.Tokens), target, identity.Blocked)
		wantFault(t, err, fault.Forbidden)
	}
	forged := w.Caller(ada.Tokens) // a token that says more than the store
	forged.Permissions = append(forged.Permissions, permission(t, "users:update:all"))
	_, err := setRights(w, forged, ada.User.ID, []string{identity.RoleAdmin}, nil)
	wantFault(t, err, fault.Forbidden)
}

// setRights replaces a person's roles and own permissions.
func setRights(w *identitytest.World, caller principal.Principal, id string, roles []string, own []principal.Permission) (identity.User, error) {
	return w.Service.EditUser(w.T.Context(), caller, id, identity.UserEdit{Roles: &roles, Permissions: &own})
}

func TestSetRights_NobodyGivesMoreThanTheyHave(t *testing.T) {
	w := newWorld(t, ordinary)
	root := w.Caller(w.SignUpAdmin("root").Tokens)
	support, ada := w.SignUp("support"), w.SignUp("ada")
	must[identity.User](t)(setRights(w, root, support.User.ID, []string{identity.RoleGuest},
		[]principal.Permission{permission(t, "users:update:all")}))
	caller := w.Caller(w.MustRefresh(support.Tokens.RefreshToken))
	for _, target := range []string{support.User.ID, ada.User.ID} {
		_, err := setRights(w, caller, target, []string{identity.RoleAdmin}, nil)
		wantFault(t, err, fault.Forbidden)
		_, err = setRights(w, caller, target, nil, []principal.Permission{permission(t, "audit:read:all")})
		wantFault(t, err, fault.Forbidden)
	}
	must[identity.User](t)(setRights(w, caller, ada.User.ID, []string{identity.RoleGuest},
		[]principal.Permission{permission(t, "users:update:self")}))
}

func TestLastAdministrator_StaysWhateverComes(t *testing.T) {
	w := newWorld(t, ordinary)
	e := w.SignUpAdmin("root")
	root := w.Caller(e.Tokens)
	_, err := w.Service.SetStatus(t.Context(), root, e.User.ID, identity.Blocked)
	wantFault(t, err, fault.Conflict)
	_, err = setRights(w, root, e.User.ID, []string{identity.RoleGuest}, nil)
	wantFault(t, err, fault.Conflict)
	wantFault(t, w.Service.DeleteMe(t.Context(), root, identitytest.Laptop, text(identitytest.Password)), fault.Conflict)
	if err := w.Service.Introspect(t.Context(), root); err != nil {
		t.Errorf("a refused change left a trace: %v", err)
	}
	second := w.SignUpAdmin("second")
	must[identity.User](t)(w.Service.SetStatus(t.Context(), root, second.User.ID, identity.Blocked))
	wantFault(t, w.Service.DeleteMe(t.Context(), root, identitytest.Laptop, text(identitytest.Password)), fault.Conflict) // a blocked one does not count
	must[identity.User](t)(w.Service.SetStatus(t.Context(), root, second.User.ID, identity.Active))
	if err := w.Service.DeleteMe(t.Context(), root, identitytest.Laptop, text(identitytest.Password)); err != nil {
		t.Errorf("one of two administrators can't leave: %v", err)
	}
}

func TestSetRights_RefusesWhatDoesNotExist(t *testing.T) {
	w := newWorld(t, ordinary)
	root := w.Caller(w.SignUpAdmin("root").Tokens)
	ada := w.SignUp("ada")
	_, err := setRights(w, root, ada.User.ID, []string{"wizard"}, nil)
	wantFields(t, err, "roles")
	_, err = setRights(w, root, ada.User.ID, nil, []principal.Permission{{Resource: "a b", Action: "read", Scope: "self"}})
	wantFields(t, err, "permissions[0]")
	_, err = setRights(w, root, "nobody", nil, nil)
	wantFault(t, err, fault.NotFound)
	_, err = w.Service.SetStatus(t.Context(), root, ada.User.ID, "asleep")
	wantFields(t, err, "status")
}

func TestDoor_AdministratorActsNoMoreAfterTheirOwnRevocation(t *testing.T) {
	w := newWorld(t, ordinary)
	root, second := w.SignUpAdmin("root"), w.SignUpAdmin("second")
	ada := w.SignUp("ada")
	must[identity.User](t)(setRights(w, w.Caller(root.Tokens), second.User.ID, []string{identity.RoleGuest}, nil))
	_, err := w.Service.SetStatus(t.Context(), w.Caller(second.Tokens), ada.User.ID, identity.Blocked)
	wantFault(t, err, fault.TokenStale)
	if err := w.Service.Logout(t.Context(), w.Caller(root.Tokens)); err != nil {
		t.Fatal(err)
	}
	_, err = w.Service.SetStatus(t.Context(), w.Caller(root.Tokens), ada.User.ID, identity.Blocked)
	wantFault(t, err, fault.InvalidToken)
}

func TestAudit_EveryChangeHasItsRowAndNoRefusalHas(t *testing.T) {
	w := newWorld(t, ordinary)
	root, ada := w.SignUpAdmin("root"), w.SignUp("ada")
	before := len(w.Audit())
	must[identity.User](t)(w.Service.SetStatus(t.Context(), w.Caller(root.Tokens), ada.User.ID, identity.Blocked))
	_, _ = w.Service.SetStatus(t.Context(), w.Caller(ada.Tokens), root.User.ID, identity.Blocked)
	rows := w.Audit()
	if len(rows) != before+1 {
		t.Fatalf("%d rows were added", len(rows)-before)
	}
	last := rows[len(rows)-1]
	if last.Actor != "user:"+root.User.ID || last.Target != "user:"+ada.User.ID || last.Action != "user.status" || string(last.Detail) != `{"status":"blocked"}` {
		t.Errorf("the row says %+v", last)
	}
	for i := range rows {
		bent := rows[i]
		bent.Target += "x"
		var prev identity.AuditRow
		if i > 0 {
			prev = rows[i-1]
		}
		if bent.Follows(prev) || !rows[i].Follows(prev) {
			t.Errorf("row %d: a change of it goes unnoticed", i)
		}
	}
}

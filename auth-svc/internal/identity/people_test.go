package identity_test

import (
	"testing"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/identity/identitytest"
)

func TestEditUser_AKeyOfAnAdministratorIsNotAnAdministrator(t *testing.T) {
	w := newWorld(t, ordinary)
	root, ada := w.SignUpAdmin("root"), w.SignUp("ada")
	made := must[identity.MadeAPIKey](t)(w.Service.CreateAPIKey(t.Context(), w.Caller(root.Tokens), identity.NewAPIKey{
		Name: "helper", Permissions: []principal.Permission{permission(t, "users:update:all")},
	}))
	exchanged := must[identity.ExchangedAPIKey](t)(w.Service.ExchangeAPIKey(t.Context(), made.Secret))
	key := identitytest.Caller(exchanged.AccessToken.Reveal())
	_, err := w.Service.SetRights(t.Context(), key, ada.User.ID, []string{identity.RoleAdmin}, nil)
	wantFault(t, err, fault.Forbidden)
	_, err = w.Service.EditUser(t.Context(), key, root.User.ID, identity.UserEdit{Name: new("x")})
	wantFault(t, err, fault.Forbidden) // its maker's own names too: a key is not the person
	_, err = w.Service.EditUser(t.Context(), key, root.User.ID, identity.UserEdit{Email: new("x@example.org")})
	wantFault(t, err, fault.Forbidden)
}

func TestCreateUser_CostsNoHashBeforeThePermission(t *testing.T) {
	w := newWorld(t, ordinary)
	ada := w.SignUp("ada")
	before := w.Hasher.Calls.Load()
	_, err := w.Service.CreateUser(t.Context(), w.Caller(ada.Tokens), identity.NewUser{Username: "eve", Password: text("another horse")})
	wantFault(t, err, fault.Forbidden)
	if w.Hasher.Calls.Load() != before {
		t.Error("a stranger made the service hash")
	}
	root := w.Caller(w.SignUpAdmin("root").Tokens)
	_, err = w.Service.CreateUser(t.Context(), root, identity.NewUser{Password: text("x")})
	wantFields(t, err, "email", "password")
	u := must[identity.User](t)(w.Service.CreateUser(t.Context(), root, identity.NewUser{Username: "eve", Roles: []string{}}))
	if len(u.Roles) != 0 || u.PasswordHash != "" {
		t.Errorf("made %+v", u)
	}
	_, err = w.Login("eve", "")
	wantFault(t, err, fault.InvalidCredentials)
}

func TestOperator_IsHeldToTheRulesAndLogged(t *testing.T) {
	w := newWorld(t, ordinary)
	root := w.SignUpAdmin("root")
	ctx := identity.AsOperator(t.Context())
	_, err := w.Service.SetStatus(ctx, principal.Principal{}, root.User.ID, identity.Blocked)
	wantFault(t, err, fault.Conflict)
	u := must[identity.User](t)(w.Service.CreateUser(ctx, principal.Principal{}, identity.NewUser{Username: "ada", Roles: []string{identity.RoleAdmin}}))
	must[identity.User](t)(w.Service.SetStatus(ctx, principal.Principal{}, root.User.ID, identity.Blocked))
	rows := w.Audit()
	if last := rows[len(rows)-1]; last.Actor != "operator" || last.Action != "user.status" {
		t.Errorf("the row says %+v", last)
	}
	_, err = w.Service.SetStatus(t.Context(), principal.Principal{}, u.ID, identity.Blocked)
	wantFault(t, err, fault.InvalidToken) // nobody at all is no operator
}

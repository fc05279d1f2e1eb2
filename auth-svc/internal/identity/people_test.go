package identity_test

import (
	"context"
	"fmt"
	"testing"

	"pgregory.net/rapid"

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
	_, err := setRights(w, key, ada.User.ID, []string{identity.RoleAdmin}, nil)
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

func TestSetRights_OnlyAnAdministratorMakesOne(t *testing.T) {
	w := newWorld(t, ordinary)
	root := w.SignUpAdmin("root")
	ada := w.SignUp("ada")
	everything := w.Caller(root.Tokens).Permissions // all that the role is made of, without the role
	must[identity.User](t)(setRights(w, w.Caller(root.Tokens), ada.User.ID, []string{identity.RoleGuest}, everything))
	caller := w.Caller(w.MustRefresh(ada.Tokens.RefreshToken))
	_, err := setRights(w, caller, ada.User.ID, []string{identity.RoleAdmin}, nil)
	wantFault(t, err, fault.Forbidden)
	_, err = w.Service.CreateUser(t.Context(), caller, identity.NewUser{Username: "eve", Roles: []string{identity.RoleAdmin}})
	wantFault(t, err, fault.Forbidden)
	_, err = w.Service.SetStatus(t.Context(), caller, root.User.ID, identity.Blocked)
	wantFault(t, err, fault.Forbidden)
	wantFault(t, w.Service.DeleteUser(t.Context(), caller, root.User.ID), fault.Forbidden)
}

// Whatever people without the role admin do to each other and to roles, nobody's permissions ever exceed what somebody
// among them, or every guest, had at the start.
func TestRights_NeverGrowBeyondWhatWasGiven(t *testing.T) {
	words := []string{"users:update:all", "users:create:all", "roles:create:all", "roles:update:all", "roles:delete:all", "files:read:all", "audit:read:all"}
	w := newWorld(t, ordinary)
	root := w.Caller(w.SignUpAdmin("root").Tokens)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		role := fmt.Sprintf("role%d", run)
		var people []string
		entries := map[string]identity.Entry{}
		had := map[string]bool{}
		subset := func(label string) (ps []principal.Permission) {
			for _, word := range rapid.SliceOfNDistinct(rapid.SampledFrom(words), 0, 4, rapid.ID).Draw(rt, label) {
				ps = append(ps, permission(t, word))
			}
			return ps
		}
		for i := range 3 {
			name := fmt.Sprintf("p%d-%d", run, i)
			e := w.SignUp(name)
			given := subset("given")
			u, err := setRights(w, root, e.User.ID, []string{identity.RoleGuest}, given)
			if err != nil {
				rt.Fatal(err)
			}
			for _, p := range given {
				had[p.String()] = true
			}
			entries[u.ID] = e
			people = append(people, u.ID)
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			actor, target := rapid.SampledFrom(people).Draw(rt, "actor"), rapid.SampledFrom(people).Draw(rt, "target")
			tokens, err := w.Refresh(entries[actor].Tokens.RefreshToken)
			if err != nil {
				rt.Fatal(err)
			}
			e := entries[actor]
			e.Tokens = tokens
			entries[actor] = e
			caller := w.Caller(tokens)
			switch rapid.SampledFrom([]string{"rights", "role", "give", "admin", "delete role"}).Draw(rt, "step") {
			case "rights":
				_, _ = setRights(w, caller, target, []string{identity.RoleGuest}, subset("wanted"))
			case "role":
				_, _, _ = w.Service.PutRole(t.Context(), caller, role, subset("role's"))
			case "give":
				_, _ = w.Service.EditUser(t.Context(), caller, target, identity.UserEdit{Roles: &[]string{identity.RoleGuest, role}})
			case "admin":
				_, _ = w.Service.EditUser(t.Context(), caller, target, identity.UserEdit{Roles: &[]string{identity.RoleAdmin}})
			case "delete role":
				_ = w.Service.DeleteRole(t.Context(), caller, role)
			}
			for _, id := range people {
				w.Write(func(ctx context.Context, tx identity.Tx) error {
					r, err := tx.Rights(ctx, id)
					for _, p := range r.Permissions {
						if p.Scope == principal.All && !had[p.String()] {
							rt.Fatalf("%s has come to %s", id, p)
						}
					}
					return err
				})
			}
		}
	})
}

package httpapi_test

import "testing"

func TestMe_ReadAndChange(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	patch := func(body any) reply {
		return h.do(ask{method: "PATCH", path: "/v1/users/me", token: ada.access(), body: body})
	}
	type profile struct {
		Name     string
		Email    *string
		Username *string
	}
	var p profile
	patch(object{"name": "Ada Lovelace"}).want(200, "").into(&p)
	if p.Name != "Ada Lovelace" {
		t.Errorf("name is %q", p.Name)
	}
	patch(object{"email": "ada@example.com"}).want(403, "INVALID_CURRENT_PASSWORD")
	patch(object{"email": "ada@example.com", "current_password": "wrong"}).want(403, "INVALID_CURRENT_PASSWORD")
	patch(object{"email": "ada@example.com", "current_password": password}).want(200, "")
	patch(object{"username": nil, "current_password": password}).want(200, "")

	p = profile{}
	h.do(ask{method: "GET", path: "/v1/users/me", token: ada.access()}).want(200, "").into(&p)
	if p.Name != "Ada Lovelace" || p.Email == nil || *p.Email != "ada@example.com" || p.Username != nil {
		t.Errorf("profile is %+v", p)
	}
	patch(object{"email": nil, "current_password": password}).want(400, "VALIDATION_ERROR") // the last one stays
	h.signup("bob")
	patch(object{"username": "BOB", "current_password": password}).want(409, "USER_EXISTS")
	for _, bad := range []object{{"email": ""}, {"email": 1}, {"email": "no at"}, {"roles": []string{"admin"}}, {"status": "active"}, {"id": "x"}} {
		bad["current_password"] = password
		patch(bad).want(400, "VALIDATION_ERROR")
	}
}

func TestPassword_ChangeEndsOtherSessions(t *testing.T) {
	h := openHouse(t)
	ada, phone := h.signup("ada"), h.login("ada", password)
	change := func(current, next any) reply {
		return h.do(ask{
			method: "POST", path: "/v1/auth/password/change", token: ada.access(),
			body: object{"current_password": current, "new_password": next},
		})
	}
	change("wrong", "another good password").want(403, "INVALID_CURRENT_PASSWORD")
	change(password, "short").want(400, "VALIDATION_ERROR")
	change(password, nil).want(400, "VALIDATION_ERROR")
	h.check(phone.access()).want(200, "")
	change(password, "another good password").want(204, "")
	h.check(ada.access()).want(200, "")
	h.check(phone.access()).want(401, "INVALID_TOKEN")
	h.refresh(phone.Session.RefreshToken).want(401, "INVALID_REFRESH_TOKEN")
	h.do(ask{method: "POST", path: "/v1/auth/login", body: object{"identifier": "ada", "password": password}}).want(401, "INVALID_CREDENTIALS")
	h.login("ada", "another good password")
}

func TestMe_DeleteErasesThePerson(t *testing.T) {
	h := openHouse(t)
	ada, phone := h.signup("ada"), h.login("ada", password)
	f := h.follow(t, "files", 0)
	remove := func(s session, body any) reply {
		return h.do(ask{method: "DELETE", path: "/v1/users/me", token: s.access(), body: body})
	}
	remove(ada, object{}).want(400, "VALIDATION_ERROR")
	remove(ada, object{"current_password": "wrong"}).want(403, "INVALID_CURRENT_PASSWORD")
	remove(ada, object{"current_password": password}).want(204, "")
	h.check(ada.access()).want(401, "INVALID_TOKEN")
	h.check(phone.access()).want(401, "INVALID_TOKEN")
	h.refresh(phone.Session.RefreshToken).want(401, "INVALID_REFRESH_TOKEN")
	h.do(ask{method: "POST", path: "/v1/auth/login", body: object{"identifier": "ada", "password": password}}).want(401, "INVALID_CREDENTIALS")
	for {
		if e := next(t, f.entries, "user_deleted"); e.Kind == "user_deleted" && e.ID == ada.User.ID {
			break
		}
	}
	if again := h.signup("ada"); again.User.ID == ada.User.ID {
		t.Error("the name came back to life")
	}
	remove(h.loginAdmin(), object{"current_password": h.admin.Password.Reveal()}).want(409, "CONFLICT") // the last administrator
}

func TestUsers_OnlyAnAdministratorBlocks(t *testing.T) {
	h := openHouse(t)
	ada, bob, admin := h.signup("ada"), h.signup("bob"), h.loginAdmin()
	set := func(by session, id, status string) reply {
		return h.do(ask{method: "PATCH", path: "/v1/users/" + id, token: by.access(), body: object{"status": status}})
	}
	set(ada, bob.User.ID, "blocked").want(403, "FORBIDDEN")
	set(ada, ada.User.ID, "blocked").want(403, "FORBIDDEN")
	set(admin, bob.User.ID, "asleep").want(400, "VALIDATION_ERROR")
	set(admin, "00000000-0000-7000-8000-000000000000", "blocked").want(404, "NOT_FOUND")
	set(admin, admin.User.ID, "blocked").want(409, "CONFLICT")
	set(admin, bob.User.ID, "blocked").want(200, "")
	h.check(bob.access()).want(401, "INVALID_TOKEN")
	set(admin, bob.User.ID, "active").want(200, "")
	h.login("bob", password)
}

package httpapi_test

import "testing"

const nobody = "00000000-0000-7000-8000-000000000000"

func TestHostile_AdministrationWithAPlainToken(t *testing.T) {
	h := openHouse(t)
	ada, bob := h.signup("ada"), h.signup("bob")
	for _, c := range []ask{
		{method: "GET", path: "/v1/users"},
		{method: "POST", path: "/v1/users", body: object{"username": "eve"}},
		{method: "GET", path: "/v1/users/" + bob.User.ID},
		{method: "GET", path: "/v1/users/" + nobody}, // the same answer: who exists is not told
		{method: "PATCH", path: "/v1/users/" + bob.User.ID, body: object{"name": "x"}},
		{method: "PATCH", path: "/v1/users/" + ada.User.ID, body: object{"name": "x"}},
		{method: "DELETE", path: "/v1/users/" + bob.User.ID},
		{method: "DELETE", path: "/v1/users/" + ada.User.ID}, // oneself takes the password
	} {
		c.token = ada.access()
		h.do(c).want(403, "FORBIDDEN")
		c.token = ""
		h.do(c).want(401, "AUTH_ERROR")
	}
	h.check(bob.access()).want(200, "")
}

func TestHostile_SelfPromotion(t *testing.T) {
	h := openHouse(t)
	admin, ada := h.loginAdmin(), h.signup("ada")
	everything := []object{{"resource": "users", "action": "delete", "scope": "all"}}
	for _, promotion := range []object{
		{"roles": []string{"admin"}}, {"permissions": everything}, {"roles": []string{"admin", "guest"}, "status": "active"},
	} {
		h.patchUser(ada, ada.User.ID, promotion).want(403, "FORBIDDEN")
		h.do(ask{method: "PATCH", path: "/v1/users/me", token: ada.access(), body: promotion}).want(400, "VALIDATION_ERROR")
		promotion["username"], promotion["password"] = "eve", password
		h.do(ask{method: "POST", path: "/v1/auth/signup", body: promotion}).want(400, "VALIDATION_ERROR")
	}
	// Somebody who may change people is no administrator, and has no way to become one.
	h.patchUser(admin, ada.User.ID, object{"permissions": []object{
		{"resource": "users", "action": "update", "scope": "all"}, {"resource": "users", "action": "create", "scope": "all"},
		{"resource": "users", "action": "read", "scope": "all"}, {"resource": "sessions", "action": "delete", "scope": "all"},
	}}).want(200, "")
	support := h.refreshed(ada)
	for _, promotion := range []object{{"roles": []string{"admin"}}, {"permissions": everything}} {
		h.patchUser(support, ada.User.ID, promotion).want(403, "FORBIDDEN")
		promotion["username"] = "eve"
		h.do(ask{method: "POST", path: "/v1/users", token: support.access(), body: promotion}).want(403, "FORBIDDEN")
	}
	for _, attack := range []object{{"email": "mine@example.com"}, {"status": "blocked"}, {"name": "x"}, {"roles": []string{}}} {
		h.patchUser(support, admin.User.ID, attack).want(403, "FORBIDDEN")
	}
	h.patchUser(support, ada.User.ID, object{"email": "mine@example.com"}).want(403, "FORBIDDEN") // takes the password
	h.do(ask{method: "DELETE", path: "/v1/users/" + admin.User.ID + "/sessions", token: support.access()}).want(403, "FORBIDDEN")
	h.check(admin.access()).want(200, "")
	h.do(ask{method: "POST", path: "/v1/users", token: support.access(), body: object{"username": "bob", "password": password}}).want(201, "")
	h.patchUser(support, h.login("bob", password).User.ID, object{"status": "blocked"}).want(200, "")
}

func TestHostile_PrivilegedFieldsAreRefused(t *testing.T) {
	h := openHouse(t)
	admin, ada := h.loginAdmin(), h.signup("ada")
	for _, field := range []string{"id", "user_id", "role", "verified", "email_verified_at", "banned_until", "password_hash", "epoch", "version", "created_at", "Roles", "is_admin"} {
		h.patchUser(admin, ada.User.ID, object{field: "x"}).want(400, "VALIDATION_ERROR")
		h.do(ask{method: "POST", path: "/v1/users", token: admin.access(), body: object{"username": "eve", field: "x"}}).want(400, "VALIDATION_ERROR")
	}
	for _, bad := range []object{
		{}, {"status": nil}, {"status": "asleep"}, {"roles": "admin"}, {"roles": []string{"wizard"}}, {"email": ""}, {"username": nil},
		{"permissions": []object{{"resource": "*", "action": "*", "scope": "all"}}},
		{"permissions": []object{{"resource": "users", "action": "read", "scope": "all", "deny": true}}},
	} {
		h.patchUser(admin, ada.User.ID, bad).want(400, "VALIDATION_ERROR")
	}
	h.patchUser(admin, ada.User.ID, `{"status":"active","status":"blocked"}`).want(400, "VALIDATION_ERROR")
	h.check(ada.access()).want(200, "")
}

func TestHostile_LastAdministratorStays(t *testing.T) {
	h := openHouse(t)
	admin := h.loginAdmin()
	h.do(ask{method: "DELETE", path: "/v1/users/" + admin.User.ID, token: admin.access()}).want(409, "CONFLICT")
	for _, fall := range []object{{"status": "blocked"}, {"roles": []string{"guest"}}, {"roles": []string{}}} {
		h.patchUser(admin, admin.User.ID, fall).want(409, "CONFLICT")
	}
	h.check(admin.access()).want(200, "")
	second := h.signup("second")
	h.patchUser(admin, second.User.ID, object{"roles": []string{"admin"}}).want(200, "")
	h.patchUser(admin, second.User.ID, object{"status": "blocked"}).want(200, "")
	h.patchUser(admin, admin.User.ID, object{"roles": []string{}}).want(409, "CONFLICT") // a blocked one does not count
}

func TestHostile_AdministratorAfterTheirOwnRevocation(t *testing.T) {
	h := openHouse(t)
	admin, ada := h.loginAdmin(), h.signup("ada")
	second := h.signup("second")
	h.patchUser(admin, second.User.ID, object{"roles": []string{"admin"}}).want(200, "")
	second = h.refreshed(second)
	h.patchUser(second, ada.User.ID, object{"name": "Ada"}).want(200, "")
	h.patchUser(admin, second.User.ID, object{"roles": []string{"guest"}}).want(200, "")
	h.patchUser(second, ada.User.ID, object{"status": "blocked"}).want(401, "TOKEN_STALE")
	second = h.refreshed(second)
	h.patchUser(second, ada.User.ID, object{"status": "blocked"}).want(403, "FORBIDDEN")
	again := h.loginAdmin()
	h.do(ask{method: "POST", path: "/v1/auth/logout", token: again.access()}).want(204, "")
	h.patchUser(again, ada.User.ID, object{"status": "blocked"}).want(401, "INVALID_TOKEN")
	h.check(ada.access()).want(200, "")
}

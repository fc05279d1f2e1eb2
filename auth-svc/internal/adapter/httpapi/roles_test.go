package httpapi_test

import (
	"slices"
	"testing"
)

func (h *house) putRole(by session, name string, permissions ...object) reply {
	h.t.Helper()
	if permissions == nil {
		permissions = []object{}
	}
	return h.do(ask{method: "PUT", path: "/v1/roles/" + name, token: by.access(), body: object{"permissions": permissions}})
}

func right(resource, action, scope string) object {
	return object{"resource": resource, "action": action, "scope": scope}
}

func TestRoles_AChangeReachesEveryHolderAtOnce(t *testing.T) {
	h := openHouse(t)
	admin, ada, bob := h.loginAdmin(), h.signup("ada"), h.signup("bob")
	f := h.follow(t, "gateway", 0)
	h.putRole(admin, "support", right("users", "read", "all")).want(201, "")
	h.patchUser(admin, ada.User.ID, object{"roles": []string{"guest", "support"}}).want(200, "")
	ada = h.refreshed(ada)
	list := func() reply { t.Helper(); return h.do(ask{method: "GET", path: "/v1/users", token: ada.access()}) }
	list().want(200, "")
	h.putRole(admin, "support", right("users", "read", "all")).want(200, "") // the same again moves nobody
	list().want(200, "")

	h.putRole(admin, "support").want(200, "")
	list().want(401, "TOKEN_STALE")
	h.check(bob.access()).want(200, "")
	for e := next(t, f.entries, "role_epoch"); e.ID != "support"; {
		e = next(t, f.entries, "role_epoch")
	}
	ada = h.refreshed(ada)
	list().want(403, "FORBIDDEN")

	h.putRole(admin, "support", right("users", "read", "all")).want(200, "")
	ada = h.refreshed(ada)
	list().want(200, "")
	h.do(ask{method: "DELETE", path: "/v1/roles/support", token: admin.access()}).want(204, "")
	list().want(401, "TOKEN_STALE")
	ada = h.refreshed(ada)
	list().want(403, "FORBIDDEN")
	h.check(ada.access()).want(200, "")
	h.do(ask{method: "DELETE", path: "/v1/roles/support", token: admin.access()}).want(404, "NOT_FOUND")
	h.patchUser(admin, ada.User.ID, object{"roles": []string{"support"}}).want(400, "VALIDATION_ERROR")
}

func TestRoles_ListAndBuiltIns(t *testing.T) {
	h := openHouse(t)
	admin := h.loginAdmin()
	h.putRole(admin, "beta").want(201, "")
	var p struct {
		Items []struct {
			Name    string
			BuiltIn bool `json:"built_in"`
		}
		NextCursor *string `json:"next_cursor"`
	}
	h.do(ask{method: "GET", path: "/v1/roles?limit=2", token: admin.access()}).want(200, "").into(&p)
	if len(p.Items) != 2 || p.Items[0].Name != "admin" || !p.Items[0].BuiltIn || p.Items[1].Name != "beta" || p.Items[1].BuiltIn || p.NextCursor == nil {
		t.Fatalf("the first page: %+v", p)
	}
	h.do(ask{method: "GET", path: "/v1/roles?limit=2&cursor=" + *p.NextCursor, token: admin.access()}).want(200, "").into(&p)
	if len(p.Items) != 1 || p.Items[0].Name != "guest" || p.NextCursor != nil {
		t.Errorf("the second page: %+v", p)
	}
	for _, name := range []string{"guest", "admin"} {
		h.do(ask{method: "DELETE", path: "/v1/roles/" + name, token: admin.access()}).want(409, "CONFLICT")
	}
	h.putRole(admin, "admin").want(409, "CONFLICT")
	for _, bad := range []string{"No", "0", "a%20b", "a:b"} {
		h.putRole(admin, bad).want(400, "VALIDATION_ERROR")
	}
	for _, body := range []any{object{}, object{"permissions": nil}, object{"permissions": []object{}, "built_in": true}, object{"permissions": []object{{"resource": "users"}}}} {
		h.do(ask{method: "PUT", path: "/v1/roles/x", token: admin.access(), body: body}).want(400, "VALIDATION_ERROR")
	}
	// What somebody has made of guest outlives everything that comes with a start.
	ada := h.signup("ada")
	h.putRole(admin, "guest", right("users", "read", "self"), right("sessions", "read", "self")).want(200, "")
	h.check(ada.access()).want(401, "TOKEN_STALE")
	ada = h.refreshed(ada)
	h.do(ask{method: "GET", path: "/v1/users/me", token: ada.access()}).want(200, "")
	h.do(ask{method: "GET", path: "/v1/api-keys", token: ada.access()}).want(403, "FORBIDDEN")
	h.do(ask{method: "GET", path: "/v1/users/me", token: h.signup("bob").access()}).want(200, "") // nobody new is stale
}

func TestHostile_RolesArePromotionToo(t *testing.T) {
	h := openHouse(t)
	admin, ada := h.loginAdmin(), h.signup("ada")
	h.putRole(ada, "mine", right("users", "read", "self")).want(403, "FORBIDDEN")
	h.do(ask{method: "GET", path: "/v1/roles", token: ada.access()}).want(403, "FORBIDDEN")
	h.do(ask{method: "DELETE", path: "/v1/roles/nobodys", token: ada.access()}).want(403, "FORBIDDEN")

	var verbs []object
	for _, verb := range []string{"read", "create", "update", "delete"} {
		verbs = append(verbs, right("roles", verb, "all"))
	}
	h.putRole(admin, "roles", verbs...).want(201, "")
	h.putRole(admin, "auditor", right("audit", "read", "all")).want(201, "")
	h.patchUser(admin, ada.User.ID, object{"roles": []string{"guest", "roles"}}).want(200, "")
	ada = h.refreshed(ada)
	h.putRole(ada, "roles", append(slices.Clone(verbs), right("users", "update", "all"))...).want(403, "FORBIDDEN")
	h.putRole(ada, "guest", right("users", "update", "all")).want(403, "FORBIDDEN")
	h.putRole(ada, "new", right("audit", "read", "all")).want(403, "FORBIDDEN")
	h.putRole(ada, "auditor").want(403, "FORBIDDEN") // taking from those who stand above is no way either
	h.do(ask{method: "DELETE", path: "/v1/roles/auditor", token: ada.access()}).want(403, "FORBIDDEN")
	h.putRole(ada, "readers", right("roles", "read", "all")).want(201, "")
	h.do(ask{method: "DELETE", path: "/v1/roles/readers", token: ada.access()}).want(204, "")
}

func TestRoles_AChangeReachesTokensOfAPIKeys(t *testing.T) {
	h := openHouse(t)
	admin, ada := h.loginAdmin(), h.signup("ada")
	h.putRole(admin, "support", right("users", "read", "all")).want(201, "")
	h.patchUser(admin, ada.User.ID, object{"roles": []string{"guest", "support"}}).want(200, "")
	ada = h.refreshed(ada)
	var made struct{ Key string }
	h.do(ask{method: "POST", path: "/v1/api-keys", token: ada.access(), body: object{"name": "k", "permissions": []object{right("users", "read", "all")}}}).
		want(201, "").into(&made)
	exchange := func() string {
		var got struct {
			AccessToken string `json:"access_token"`
		}
		h.do(ask{method: "POST", path: "/internal/v1/api-keys/exchange", internal: true, body: object{"api_key": made.Key}}).want(200, "").into(&got)
		return got.AccessToken
	}
	token := exchange()
	h.do(ask{method: "GET", path: "/v1/users", token: token}).want(200, "")
	h.putRole(admin, "support").want(200, "")
	h.do(ask{method: "GET", path: "/v1/users", token: token}).want(401, "TOKEN_STALE")
	h.do(ask{method: "GET", path: "/v1/users", token: exchange()}).want(403, "FORBIDDEN")
}

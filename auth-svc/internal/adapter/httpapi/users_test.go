package httpapi_test

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
)

func (h *house) patchUser(by session, id string, body any) reply {
	h.t.Helper()
	return h.do(ask{method: "PATCH", path: "/v1/users/" + id, token: by.access(), body: body})
}

// refreshed brings a session the rights of now.
func (h *house) refreshed(s session) session {
	h.t.Helper()
	h.refresh(s.Session.RefreshToken).want(200, "").into(&s)
	return s
}

type listing struct {
	Items []struct {
		ID         string
		Username   string
		DeviceName string `json:"device_name"`
		Current    bool
	}
	NextCursor *string `json:"next_cursor"`
}

func (p listing) names() (names []string) {
	for _, it := range p.Items {
		names = append(names, it.Username)
	}
	return names
}

func TestUsers_CreateReadChangeErase(t *testing.T) {
	h := openHouse(t)
	admin := h.loginAdmin()
	f := h.follow(t, "files", 0)
	made := h.do(ask{method: "POST", path: "/v1/users", token: admin.access(), body: object{
		"username": "ada", "email": "ada@example.com", "password": password, "name": "Ada",
		"permissions": []object{{"resource": "reports", "action": "read", "scope": "all"}},
	}}).want(201, "")
	var ada struct {
		ID    string
		Name  string
		Roles []string
	}
	made.into(&ada)
	if made.header.Get("Location") != "/v1/users/"+ada.ID || !slices.Equal(ada.Roles, []string{"guest"}) {
		t.Errorf("made %+v at %q", ada, made.header.Get("Location"))
	}
	in := h.login("ada", password)
	h.patchUser(admin, ada.ID, object{"name": "Ada L.", "email": nil, "roles": []string{"admin", "guest"}}).want(200, "")
	h.check(in.access()).want(401, "TOKEN_STALE")
	in = h.refreshed(in)
	h.do(ask{method: "GET", path: "/v1/users/" + ada.ID, token: in.access()}).want(200, "").into(&ada)
	if ada.Name != "Ada L." || !slices.Equal(ada.Roles, []string{"admin", "guest"}) {
		t.Errorf("changed to %+v", ada)
	}
	h.do(ask{method: "POST", path: "/v1/users", token: in.access(), body: object{"username": "ADA"}}).want(409, "USER_EXISTS")
	h.do(ask{method: "DELETE", path: "/v1/users/" + ada.ID, token: admin.access()}).want(204, "")
	h.check(in.access()).want(401, "INVALID_TOKEN")
	h.refresh(in.Session.RefreshToken).want(401, "INVALID_REFRESH_TOKEN")
	h.do(ask{method: "GET", path: "/v1/users/" + ada.ID, token: admin.access()}).want(404, "NOT_FOUND")
	for e := next(t, f.entries, "user_deleted"); e.Kind != "user_deleted" || e.ID != ada.ID; {
		e = next(t, f.entries, "user_deleted")
	}
}

func TestUsers_ListPagesAndFilters(t *testing.T) {
	h := openHouse(t)
	admin := h.loginAdmin()
	for i := range 5 {
		h.signup(fmt.Sprintf("ada%d", i))
	}
	list := func(query string) (p listing) {
		t.Helper()
		h.do(ask{method: "GET", path: "/v1/users?" + query, token: admin.access()}).want(200, "").into(&p)
		return p
	}
	var seen []string
	for p := list("q=ADA&limit=2"); ; p = list("q=ADA&limit=2&cursor=" + url.QueryEscape(*p.NextCursor)) {
		if seen = append(seen, p.names()...); p.NextCursor == nil {
			break
		}
	}
	if !slices.Equal(seen, []string{"ada4", "ada3", "ada2", "ada1", "ada0"}) {
		t.Errorf("the pages hold %v", seen)
	}
	if got := list("role=admin").names(); !slices.Equal(got, []string{h.admin.Username}) {
		t.Errorf("administrators: %v", got)
	}
	h.patchUser(admin, h.login("ada3", password).User.ID, object{"status": "blocked"}).want(200, "")
	if got := list("status=blocked&role=guest").names(); !slices.Equal(got, []string{"ada3"}) {
		t.Errorf("blocked: %v", got)
	}
	for _, bad := range []string{"status=asleep", "role=No+Role", "limit=0", "limit=101", "cursor=x", "page=1", "q=a&q=b"} {
		h.do(ask{method: "GET", path: "/v1/users?" + bad, token: admin.access()}).want(400, "VALIDATION_ERROR")
	}
	var devices struct {
		NextCursor string `json:"next_cursor"`
	}
	h.loginAdmin()
	h.do(ask{method: "GET", path: "/v1/auth/sessions?limit=1", token: admin.access()}).want(200, "").into(&devices)
	h.do(ask{method: "GET", path: "/v1/users?cursor=" + devices.NextCursor, token: admin.access()}).want(400, "VALIDATION_ERROR")
}

func TestUsers_SessionsOfAPerson(t *testing.T) {
	h := openHouse(t)
	admin, ada, phone, bob := h.loginAdmin(), h.signup("ada"), h.login("ada", password), h.signup("bob")
	at := "/v1/users/" + ada.User.ID + "/sessions"
	call := func(method, path string, by session, body any) reply {
		t.Helper()
		return h.do(ask{method: method, path: path, token: by.access(), body: body})
	}
	for _, who := range []session{admin, ada} {
		var p listing
		call("GET", at+"?limit=1", who, nil).want(200, "").into(&p)
		if len(p.Items) != 1 || p.Items[0].ID != phone.Session.SessionID || p.NextCursor == nil {
			t.Fatalf("sessions: %+v", p)
		}
		call("GET", at+"?limit=1&cursor="+*p.NextCursor, who, nil).want(200, "").into(&p)
		if len(p.Items) != 1 || p.Items[0].ID != ada.Session.SessionID || p.Items[0].Current != (who.User.ID == ada.User.ID) {
			t.Errorf("the second page: %+v", p)
		}
	}
	var named struct {
		DeviceName string `json:"device_name"`
	}
	call("PUT", at+"/"+phone.Session.SessionID, ada, object{"device_name": "phone"}).want(200, "").into(&named)
	if named.DeviceName != "phone" {
		t.Errorf("named %+v", named)
	}
	for _, bad := range []object{{}, {"device_name": ""}, {"device_name": "a\u0000b"}, {"device_name": nil}, {"device_name": "x", "user_id": "y"}} {
		call("PUT", at+"/"+phone.Session.SessionID, ada, bad).want(400, "VALIDATION_ERROR")
	}
	for _, method := range []string{"GET", "DELETE"} {
		call(method, at, bob, nil).want(403, "FORBIDDEN")
	}
	call("PUT", at+"/"+phone.Session.SessionID, bob, object{"device_name": "mine"}).want(403, "FORBIDDEN")
	call("DELETE", at+"/"+phone.Session.SessionID, bob, nil).want(403, "FORBIDDEN")
	call("DELETE", at+"/"+bob.Session.SessionID, admin, nil).want(404, "NOT_FOUND") // not a session of ada's
	call("DELETE", at+"/"+bob.Session.SessionID, ada, nil).want(404, "NOT_FOUND")
	h.check(bob.access()).want(200, "")
	call("DELETE", at+"/"+phone.Session.SessionID+"?wait=1", admin, nil).want(200, "")
	h.check(phone.access()).want(401, "INVALID_TOKEN")
	var ended struct{ Revoked int }
	call("DELETE", at, admin, nil).want(200, "").into(&ended)
	if ended.Revoked != 1 {
		t.Errorf("%d sessions ended", ended.Revoked)
	}
	h.check(ada.access()).want(401, "INVALID_TOKEN")
	call("GET", "/v1/users/00000000-0000-7000-8000-000000000000/sessions", admin, nil).want(404, "NOT_FOUND")
}

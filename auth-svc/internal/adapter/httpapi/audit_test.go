package httpapi_test

import (
	"net/url"
	"testing"
)

type trail struct {
	Items []struct {
		Seq           int64
		Actor, Action string
		Personal      map[string]string
		Forgotten     bool
		Hash          string
		PrevHash      string `json:"prev_hash"`
	}
	NextCursor *string `json:"next_cursor"`
}

func TestAudit_ListsFiltersAndForgets(t *testing.T) {
	h := openHouse(t)
	admin, ada := h.loginAdmin(), h.signup("ada")
	h.login("ada", password)
	list := func(query string) (p trail) {
		t.Helper()
		h.do(ask{method: "GET", path: "/v1/audit?" + query, token: admin.access()}).want(200, "").into(&p)
		return p
	}
	p := list("user_id=" + ada.User.ID)
	if len(p.Items) != 2 || p.Items[0].Action != "session.login" || p.Items[1].Action != "user.signup" || p.Items[0].Personal["ip"] == "" {
		t.Fatalf("about ada: %+v", p)
	}
	if one := list("action=session.login&actor=user:" + ada.User.ID + "&since=2026-01-01T00:00:00Z&until=2126-01-01T00:00:00Z"); len(one.Items) != 1 {
		t.Errorf("filtered: %+v", one)
	}
	first := list("limit=1")
	second := list("limit=1&cursor=" + url.QueryEscape(*first.NextCursor))
	if second.Items[0].Seq != first.Items[0].Seq-1 || second.Items[0].Hash != first.Items[0].PrevHash {
		t.Errorf("the pages don't join: %+v %+v", first, second)
	}
	h.do(ask{method: "DELETE", path: "/v1/users/" + ada.User.ID, token: admin.access()}).want(204, "")
	if p = list("action=user.signup&user_id=" + ada.User.ID); len(p.Items) != 1 || p.Items[0].Personal != nil || !p.Items[0].Forgotten {
		t.Errorf("after the erasure: %+v", p)
	}
	for _, bad := range []string{"since=yesterday", "until=1", "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "limit=1000", "who=x", "cursor=eyJ"} {
		h.do(ask{method: "GET", path: "/v1/audit?" + bad, token: admin.access()}).want(400, "VALIDATION_ERROR")
	}
}

func TestHostile_AuditIsForAdministrators(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	h.do(ask{method: "GET", path: "/v1/audit?user_id=" + ada.User.ID, token: ada.access()}).want(403, "FORBIDDEN")
	h.do(ask{method: "GET", path: "/v1/audit"}).want(401, "AUTH_ERROR")
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		h.do(ask{method: method, path: "/v1/audit", token: h.loginAdmin().access()}).want(405, "METHOD_NOT_ALLOWED")
	}
}

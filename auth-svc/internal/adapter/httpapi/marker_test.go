package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/web"
)

// TestMarker_SaysWhatHasEndedItsOwnCaller: the gateway must be able to tell such an answer from any other of a revoked caller.
func TestMarker_SaysWhatHasEndedItsOwnCaller(t *testing.T) {
	h := openHouse(t)
	admin := h.loginAdmin()
	own := func(s session) string { return "/v1/auth/sessions/" + s.Session.SessionID }
	for name, c := range map[string]struct {
		method string
		path   func(session) string
		body   any
		status int
	}{
		"logout":            {"POST", func(session) string { return "/v1/auth/logout" }, nil, 204},
		"logout everywhere": {"POST", func(session) string { return "/v1/auth/logout-all" }, nil, 200},
		"the session":       {"DELETE", own, nil, 204},
		"and wait":          {"DELETE", func(s session) string { return own(s) + "?wait=1" }, nil, 200},
		"the password":      {"POST", func(session) string { return "/v1/auth/password/change" }, object{"current_password": password, "new_password": "another horse entirely"}, 204},
		"the person":        {"DELETE", func(session) string { return "/v1/users/me" }, object{"current_password": password}, 204},
	} {
		s := h.signup("ada-" + strings.ReplaceAll(name, " ", "-"))
		got := h.do(ask{method: c.method, path: c.path(s), token: s.access(), body: c.body}).want(c.status, "")
		ended := h.check(s.access()).status == 401
		if marked := got.header.Get(web.CallerEndedHeader) != ""; marked != ended {
			t.Errorf("%s: marked %v, and the caller ended %v", name, marked, ended)
		}
		if name != "the password" && !ended {
			t.Errorf("%s: the session goes on", name)
		}
	}
	ada, other := h.signup("ada"), h.signup("bob")
	for name, a := range map[string]ask{
		"another session":    {method: "DELETE", path: own(h.login("ada", password)), token: ada.access()},
		"somebody else":      {method: "PATCH", path: "/v1/users/" + other.User.ID, token: admin.access(), body: object{"status": "blocked"}},
		"nothing":            {method: "GET", path: "/v1/auth/session", token: ada.access()},
		"a refusal":          {method: "DELETE", path: "/v1/auth/sessions/x", token: ada.access()},
		"who is blocked":     {method: "GET", path: "/v1/auth/session", token: other.access()},
		"whoever has no key": {method: "GET", path: "/v1/auth/session"},
	} {
		if got := h.do(a); got.header.Get(web.CallerEndedHeader) != "" {
			t.Errorf("%s: marked", name)
		}
	}
}

// TestSessions_AClientThatLeavesWhileItWaitsIsNoFailure: what it asked for is done; that it does not hear is its own affair.
func TestSessions_AClientThatLeavesWhileItWaitsIsNoFailure(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	mute := h.follow(t, "mute", 0)
	defer mute.leave()
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "DELETE", h.public.URL+"/v1/auth/sessions/"+ada.Session.SessionID+"?wait=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+ada.access())
	go func() {
		<-mute.entries // it is done, and being waited for
		leave()
	}()
	if res, err := http.DefaultClient.Do(r); err == nil {
		_ = res.Body.Close() // the wait was over before we could leave
	}
	logged := func() string {
		for _, line := range strings.Split(h.logs.String(), "\n") {
			if strings.Contains(line, `"method":"DELETE"`) {
				return line
			}
		}
		return ""
	}
	for deadline := time.Now().Add(time.Minute); logged() == "" && time.Now().Before(deadline); {
		time.Sleep(2 * time.Millisecond)
	}
	if line := logged(); !strings.Contains(line, `"status":200`) || strings.Contains(h.logs.String(), `"level":"ERROR"`) {
		t.Errorf("logged as %s", line)
	}
	h.check(ada.access()).want(401, "INVALID_TOKEN")
}

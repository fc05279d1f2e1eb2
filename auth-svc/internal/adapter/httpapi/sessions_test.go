package httpapi_test

import (
	"fmt"
	"testing"
	"time"
)

type device struct {
	ID            string
	DeviceName    string `json:"device_name"`
	UserAgent     string `json:"user_agent"`
	IP            string
	LastRefreshAt *string `json:"last_refresh_at"`
	RefreshCount  int     `json:"refresh_count"`
	Current       bool
}

type page[T any] struct {
	Items      []T
	NextCursor *string `json:"next_cursor"`
}

func TestSessions_ListShowsEveryDevice(t *testing.T) {
	h := openHouse(t)
	h.signup("ada")
	var s session
	h.do(ask{
		method: "POST", path: "/v1/auth/login",
		body:   object{"identifier": "ada", "password": password, "device_name": "Ada's laptop"},
		header: map[string]string{"User-Agent": "test/1", "X-Forwarded-For": "203.0.113.9"},
	}).want(200, "").into(&s)
	var next session
	h.refresh(s.Session.RefreshToken).want(200, "").into(&next)

	var list page[device]
	h.do(ask{method: "GET", path: "/v1/auth/sessions", token: next.access()}).want(200, "").into(&list)
	if len(list.Items) != 2 || list.NextCursor != nil {
		t.Fatalf("listed %+v", list)
	}
	d := list.Items[0] // newest first
	if d.ID != s.Session.SessionID || !d.Current || d.DeviceName != "Ada's laptop" || d.RefreshCount != 1 || d.LastRefreshAt == nil {
		t.Errorf("the device that asks is %+v", d)
	}
	if other := list.Items[1]; other.Current || other.RefreshCount != 0 || other.LastRefreshAt != nil {
		t.Errorf("the other device is %+v", other)
	}
}

func TestSessions_PagesWithoutRepeatsOrGaps(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	seen := map[string]bool{}
	for range 3 {
		h.login("ada", password)
	}
	path, pages := "/v1/auth/sessions?limit=2", 0
	for next := ""; ; pages++ {
		var list page[device]
		h.do(ask{method: "GET", path: path + next, token: ada.access()}).want(200, "").into(&list)
		for _, d := range list.Items {
			if seen[d.ID] {
				t.Errorf("%s is listed twice", d.ID)
			}
			seen[d.ID] = true
		}
		if list.NextCursor == nil {
			break
		}
		next = "&cursor=" + *list.NextCursor
	}
	if len(seen) != 4 || pages != 1 {
		t.Errorf("%d sessions on %d full pages", len(seen), pages)
	}
}

func TestSessions_CursorsCanNotBeMadeUp(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	for range 2 {
		h.login("ada", password)
	}
	var list page[device]
	h.do(ask{method: "GET", path: "/v1/auth/sessions?limit=1", token: ada.access()}).want(200, "").into(&list)
	c := *list.NextCursor
	for _, cursor := range []string{"x", c + "A", c[:len(c)-2], string(c[0]^1) + c[1:], "eyJhdCI6IjIwMjYifQ"} {
		h.do(ask{method: "GET", path: "/v1/auth/sessions?cursor=" + cursor, token: ada.access()}).want(400, "VALIDATION_ERROR")
	}
	h.do(ask{method: "GET", path: "/v1/api-keys?cursor=" + c, token: ada.access()}).want(400, "VALIDATION_ERROR") // of another list
	for _, limit := range []string{"0", "-1", "101", "1e9", "99999999999999999999", "x", "", "1&limit=2"} {
		h.do(ask{method: "GET", path: "/v1/auth/sessions?limit=" + limit, token: ada.access()}).want(400, "VALIDATION_ERROR")
	}
}

func TestSessions_DeleteEndsOne(t *testing.T) {
	h := openHouse(t)
	ada, phone, bob := h.signup("ada"), h.login("ada", password), h.signup("bob")
	path := "/v1/auth/sessions/" + phone.Session.SessionID
	h.do(ask{method: "DELETE", path: path, token: bob.access()}).want(404, "NOT_FOUND") // somebody else's
	h.check(phone.access()).want(200, "")
	h.do(ask{method: "DELETE", path: path, token: ada.access()}).want(204, "")
	h.check(phone.access()).want(401, "INVALID_TOKEN")
	h.do(ask{method: "DELETE", path: path, token: ada.access()}).want(404, "NOT_FOUND")
	for _, id := range []string{"x", "00000000-0000-0000-0000-000000000000", "%00", "..%2f..", "1%20OR%201=1"} {
		h.do(ask{method: "DELETE", path: "/v1/auth/sessions/" + id, token: ada.access()}).want(404, "NOT_FOUND")
	}
}

func TestSessions_WaitTellsWhoHasApplied(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	type acks struct {
		Acked, Of int
		LagMS     int `json:"lag_ms"`
	}
	var got acks
	end := func() {
		t.Helper()
		path := fmt.Sprintf("/v1/auth/sessions/%s?wait=1", h.login("ada", password).Session.SessionID)
		h.do(ask{method: "DELETE", path: path, token: ada.access()}).want(200, "").into(&got)
	}
	if end(); got != (acks{}) {
		t.Errorf("nobody is connected: %+v", got)
	}

	quick, mute := h.follow(t, "quick", 0), h.follow(t, "mute", 0)
	acking := make(chan struct{})
	go func() {
		defer close(acking)
		for e := range quick.entries {
			h.do(ask{method: "POST", path: "/internal/v1/revocations/acks", internal: true, body: object{"follower": "quick", "seq": e.Seq}})
		}
	}()
	defer func() { quick.leave(); <-acking }()
	began := time.Now()
	if end(); got.Acked != 1 || got.Of != 2 || time.Since(began) > 20*time.Second {
		t.Errorf("one of two answers: %+v after %s", got, time.Since(began))
	}
	mute.leave()
	for deadline := time.Now().Add(time.Minute); got.Of != 1 && time.Now().Before(deadline); {
		began = time.Now()
		end()
	}
	if got.Acked != 1 || got.Of != 1 || time.Duration(got.LagMS)*time.Millisecond > time.Since(began) {
		t.Errorf("all who are left answer: %+v", got)
	}
}

func TestSessions_DeleteOwnSessionWithWaitIsAnswered(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	h.do(ask{method: "DELETE", path: "/v1/auth/sessions/" + ada.Session.SessionID + "?wait=1", token: ada.access()}).want(200, "")
	h.check(ada.access()).want(401, "INVALID_TOKEN")
}

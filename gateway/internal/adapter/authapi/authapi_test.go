package authapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/gateway/internal/adapter/authapi"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

func serving(t *testing.T, status int, body string) *authapi.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in map[string]string
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in) != 1 || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %v %v", r.Method, r.URL, in, err)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return authapi.New([]string{s.URL}, s.Client())
}

func TestExchange_YesNoAndNotKnowing(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		kind   fault.Kind
	}{
		{"a refusal", 401, `{"code":"INVALID_CREDENTIALS"}`, fault.InvalidToken},
		{"a refusal in no words", 401, `<html>`, fault.InvalidToken},
		{"a failure", 500, `{}`, fault.Unavailable},
		{"another success", 204, ``, fault.Unavailable},
		{"a redirect", 302, ``, fault.Unavailable},
		{"no JSON", 200, `<html>`, fault.Unavailable},
		{"no token", 200, `{"expires_in":60}`, fault.Unavailable},
		{"no life", 200, `{"access_token":"a"}`, fault.Unavailable},
		{"too much", 200, `{"access_token":"` + strings.Repeat("x", 70<<10) + `","expires_in":60}`, fault.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := serving(t, c.status, c.body).Exchange(t.Context(), "crk_x"); !errors.Is(err, fault.Of(c.kind)) {
				t.Errorf("got %v", err)
			}
		})
	}
	grant, err := serving(t, 200, `{"access_token":"a.b.c","expires_in":60}`).Exchange(t.Context(), "crk_x")
	if err != nil || grant != (authapi.Grant{AccessToken: "a.b.c", ExpiresIn: time.Minute}) {
		t.Errorf("%+v %v", grant, err)
	}
}

func TestIntrospect_ReadsThePrincipal(t *testing.T) {
	const body = `{"user_id":"u","session_id":"s","token_id":"j","key_id":"k","roles":["guest"],"permissions":["files:read:self"],` +
		`"epoch":7,"issued_at":"2026-11-21T22:31:00.000001Z","expires_at":"2026-11-21T22:46:00.000001Z","a_field_to_come":1}`
	got, err := serving(t, 200, body).Introspect(t.Context(), "raw")
	want := principal.Principal{
		UserID: "u", SessionID: "s", TokenID: "j", KeyID: "k", Roles: []string{"guest"},
		Permissions: []principal.Permission{{Resource: "files", Action: "read", Scope: principal.Self}}, Epoch: 7,
		IssuedAt: time.Date(2026, 11, 21, 22, 31, 0, 1000, time.UTC), ExpiresAt: time.Date(2026, 11, 21, 22, 46, 0, 1000, time.UTC),
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestIntrospect_NobodyAndNonsenseAreNoPass(t *testing.T) {
	for body, kind := range map[string]fault.Kind{
		`{}`:              fault.Unavailable,
		`{"user_id":"u"}`: fault.Unavailable,
		`{"user_id":"u","session_id":"s","api_key_id":"k"}`:         fault.Unavailable,
		`{"user_id":"u","session_id":"s","permissions":["files:"]}`: fault.Unavailable,
	} {
		if p, err := serving(t, 200, body).Introspect(t.Context(), "raw"); !errors.Is(err, fault.Of(kind)) {
			t.Errorf("%s: %+v %v", body, p, err)
		}
	}
	for code, kind := range map[string]fault.Kind{
		"TOKEN_EXPIRED": fault.TokenExpired, "TOKEN_STALE": fault.TokenStale, "INVALID_TOKEN": fault.InvalidToken, "WHATEVER": fault.InvalidToken,
	} {
		if _, err := serving(t, 401, `{"code":"`+code+`"}`).Introspect(t.Context(), "raw"); !errors.Is(err, fault.Of(kind)) {
			t.Errorf("%s: %v", code, err)
		}
	}
	if _, err := authapi.New([]string{"http://127.0.0.1:1", "http://127.0.0.1:2"}, http.DefaultClient).Introspect(t.Context(), "raw"); !errors.Is(err, fault.Of(fault.Unavailable)) {
		t.Errorf("nobody there: %v", err)
	}
}

// TestExchange_OneReplicaOfTwoMayFail: one answers, the other one hangs, refuses, or is not there.
func TestExchange_OneReplicaOfTwoMayFail(t *testing.T) {
	hang := make(chan struct{})
	well := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token":"a.b.c","expires_in":60}`)
	}))
	t.Cleanup(well.Close)
	for name, h := range map[string]http.HandlerFunc{
		"hangs":   func(http.ResponseWriter, *http.Request) { <-hang },
		"refuses": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"gone":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		var asked atomic.Int64
		ill := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			h(w, r)
		}))
		t.Cleanup(ill.Close)
		var clients sync.WaitGroup
		var slow atomic.Int64
		for range 20 { // of which some begin there
			clients.Go(func() {
				c, began := authapi.New([]string{ill.URL, well.URL}, http.DefaultClient), time.Now()
				for range 2 {
					if _, err := c.Exchange(t.Context(), "crk_x"); err != nil {
						t.Errorf("%s: %v after %v", name, err, time.Since(began))
					}
				}
				if time.Since(began) > 2900*time.Millisecond { // twice its share of the three seconds
					slow.Add(1)
				}
			})
		}
		clients.Wait()
		n := asked.Load()
		if n < 1 || n > 20 {
			t.Errorf("the one that %s was asked %d times", name, n)
		}
		if slow.Load() >= n { // a busy machine makes a few of them late, and not each
			t.Errorf("the one that %s had more than its share of the time", name)
		}
	}
	close(hang)
}

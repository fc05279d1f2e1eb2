package hostile

import (
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// Somebody who has lost their factor comes in again after a reset, by the API and by the command line; whoever held a session
// of theirs is out, and the half of a login that was under way is worth nothing.
func TestFactors_ResetLetsTheOwnerInAndEverybodyElseOut(t *testing.T) {
	stack := harness.Start(t)
	c := harness.NewClient(t, stack.Public)
	b := stack.Bootstrap()
	admin := c.LogIn(b.Admin.Username, b.Admin.Password)
	byHTTP := func(g *guarded) (out struct{ Removed int }) {
		admin.Do("DELETE", "/v1/users/"+g.User.ID+"/factors", nil).Is(200).JSON(&out)
		return out
	}
	byCommand := func(g *guarded) (out struct{ Removed int }) {
		raw, err := exec.Command(harness.Build(t, "cloakroom.dev/auth-svc/cmd/auth-svc"), "user", "reset-factors",
			"--config", filepath.Join(stack.Dir, "config"), "--base", stack.Dir, "--output", "json", g.User.Username).Output()
		if err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		if err := json.Unmarshal(raw, &out); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		return out
	}
	for name, reset := range map[string]func(*guarded) struct{ Removed int }{"http": byHTTP, "command": byCommand} {
		g := &guarded{Client: c.SignUp()}
		g.enroll(t)
		var me struct{ Factors []string }
		if g.Do("GET", "/v1/users/me", nil).Is(200).JSON(&me); !slices.Equal(me.Factors, []string{"totp"}) {
			t.Errorf("%s: my profile tells of %v", name, me.Factors)
		}
		half := g.challenge(t)
		if out := reset(g); out.Removed != 1 {
			t.Errorf("%s: removed %d", name, out.Removed)
		}
		for began := time.Now(); g.Do("GET", "/v1/users/me", nil).Status == 200; time.Sleep(10 * time.Millisecond) {
			if time.Since(began) > soon { // the command is another process: the log is read once a second
				t.Fatalf("%s: sessions live on", name)
			}
		}
		g.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
		g.finish(half, g.code(t, 1)).Refused(401, "INVALID_CREDENTIALS")
		g.finish(half, g.codes[0]).Refused(401, "INVALID_CREDENTIALS")
		again := c.LogIn(g.User.Username, harness.Password)
		if again.Do("GET", "/v1/users/me", nil).Is(200).JSON(&me); len(me.Factors) != 0 {
			t.Errorf("%s: left %v", name, me.Factors)
		}
	}
}

// The rights of a key are those that it and its maker share now, not those of the day it was made.
func TestAPIKey_OfAMakerWhoWasDemoted(t *testing.T) {
	admin, ada := administration(t)
	admin.Do("PATCH", "/v1/users/"+ada.User.ID, fields{"roles": []string{"admin"}}).Is(200)
	ada.Refresh().Is(200)
	var made struct{ Key string }
	ada.Do("POST", "/v1/api-keys", fields{"name": "k", "permissions": []fields{right("users", "read", "all")}}).Is(201).JSON(&made)
	program := ada.Fresh()
	call := func() *harness.Answer {
		return program.Do("GET", "/v1/users", nil, harness.Header("X-API-Key", made.Key))
	}
	call().Is(200)
	admin.Do("PATCH", "/v1/users/"+ada.User.ID, fields{"roles": []string{"guest"}}).Is(200)
	for began := time.Now(); call().Status == 200; {
		if time.Since(began) > soon {
			t.Fatal("the key still does what its maker may do no more")
		}
	}
	if status := call().Status; status != 401 && status != 403 {
		t.Errorf("answered %d", status)
	}
	ada.Refresh().Is(200)
	ada.Do("POST", "/v1/api-keys", fields{"name": "k", "permissions": []fields{right("users", "read", "all")}}).Refused(403, "FORBIDDEN")
}

// One person at a provider, who comes for the first time in many windows at once, is one person here.
func TestProvider_ManyFirstSignInsAtOnceMakeOnePerson(t *testing.T) {
	c, one, _ := providers(t)
	const windows = 8
	var trips []trip
	var codes []string
	for range windows {
		tr := beginSignIn(t, c, "one")
		trips = append(trips, tr)
		codes = append(codes, tr.arrive(t, one, "ada", harness.Word{Claims: map[string]any{"email": "ada@example.org", "email_verified": true}}))
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	ids, statuses := map[string]int{}, map[int]int{}
	for i := range windows {
		group.Go(func() {
			a := trips[i].Try("POST", "/v1/auth/providers/exchange", fields{"code": codes[i], "code_verifier": trips[i].verifier})
			var e entry
			_ = json.Unmarshal(a.Body, &e)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.Status]++
			if a.Status == 200 {
				ids[e.User.ID]++
			}
		})
	}
	group.Wait()
	if len(ids) != 1 || statuses[200] != windows {
		t.Errorf("became %d people, with answers %v", len(ids), slices.Collect(maps.Keys(statuses)))
	}
}

// What goes into mails can't bring lines of its own.
func TestMail_NoLineOfItsOwnComesIn(t *testing.T) {
	c := gateway(t)
	for _, bad := range []fields{
		{"email": "ada@example.org\r\nBcc: eve@example.org"}, {"email": "ada@example.org\nSubject: x"}, {"email": "ada\r\n@example.org"},
		{"email": "\"ada\r\nBcc: x\"@example.org"}, {"email": "ada@example.org", "name": "Ada\r\nBcc: eve@example.org"},
		{"email": "ada@example.org>, <eve@example.org"}, {"email": "ada@example.org,eve@example.org"}, {"email": "ada@example.org\u2028x"},
	} {
		bad["password"] = harness.Password
		c.Do("POST", "/v1/auth/signup", bad).Refused(400, "VALIDATION_ERROR")
	}
	for _, identifier := range []string{"ada@example.org\r\nBcc: eve@example.org", "ada@example.org,eve@example.org"} {
		c.Do("POST", "/v1/auth/password/forgot", fields{"identifier": identifier}).Is(202)
	}
}

// What only services ask each other is not to be had from outside, whatever the spelling.
func TestInternal_IsNotReachableThroughTheGateway(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	for _, path := range []string{
		"/internal/v1/introspect", "/internal/v1/api-keys/exchange", "/internal/v1/revocations?after=0&follower=eve", "/internal/v1/revocations/acks",
		"/v1/../internal/v1/introspect", "/v1/auth/%2e%2e/%2e%2e/internal/v1/introspect", "//internal/v1/introspect", "/INTERNAL/v1/introspect",
	} {
		for _, method := range []string{"GET", "POST"} {
			a := ada.Do(method, path, fields{"access_token": ada.Session.AccessToken, "api_key": "crk_x", "follower": "eve", "seq": 1 << 60})
			if a.Status != 404 && a.Status != 400 && a.Status != 405 {
				t.Errorf("%s %s answered %d: %s", method, path, a.Status, a.Body)
			}
		}
	}
	ada.Do("GET", "/v1/users/me", nil).Is(200)
}

// A query of which half would be passed over is refused by both services.
func TestQuery_ThatCantBeReadWhole(t *testing.T) {
	ada := gateway(t).SignUp()
	for _, path := range []string{"/v1/auth/sessions", "/v1/users/me/export", "/v1/files", "/v1/trash"} {
		for _, query := range []string{"limit=1;cursor=x", "limit=%zz", "%"} {
			a := ada.Do("GET", path+"?"+query, nil)
			if a.Status != 400 {
				t.Errorf("%s?%s answered %d", path, query, a.Status)
			}
		}
		ada.Do("GET", path, nil).Is(200)
	}
}

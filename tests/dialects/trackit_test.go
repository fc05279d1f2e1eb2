package dialects

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

var (
	trackitUser  = fields{"id": id, "username": anything, "email": anything}
	trackitDone  = fields{"success": true, "message": anything}
	trackitNo    = fields{"success": false, "error": anything}
	trackitGone  = fields{"success": false, "isAuthenticated": false, "message": "Session expired or invalid"}
	trackitAlive = fields{"success": true, "isAuthenticated": true, "message": "Session is valid", "deviceId": anything, "user": trackitUser}
)

func trackitEntry(message, key string) fields {
	return fields{
		"success": true, "authenticated": true, "message": message, "accessToken": jwt, "refreshToken": anything, "apiKey": key,
		"deviceId": anything, "user": trackitUser,
	}
}

// trackit is a client of TrackIt: a way in, an API key, a device, and a person.
type trackit struct {
	mount
	key, agent, username, email string
}

func newTrackit(m mount, key string) trackit {
	c := trackit{mount: m, key: key, agent: "TrackIt/1.0"}
	c.username, c.email = person()
	return c
}

func (c trackit) call(method, path string, body any, headers ...http.Header) answer {
	c.t.Helper()
	return c.do(method, path, body, append([]http.Header{with("X-Api-Key", c.key, "User-Agent", c.agent)}, headers...)...)
}

func (c trackit) register() fields {
	c.t.Helper()
	return c.call("POST", "/user/register", fields{"username": c.username, "email": c.email, "password": harness.Password}).
		is(201, trackitEntry("Registration successful", c.key))
}

func (c trackit) login() fields {
	c.t.Helper()
	return c.call("POST", "/auth/login", fields{"username": c.username, "password": harness.Password}).
		is(200, trackitEntry("Authentication successful", c.key))
}

func (c trackit) lives(access string) bool {
	c.t.Helper()
	a := c.call("GET", "/auth/check", nil, bearer(access))
	if a.status == http.StatusOK {
		a.is(200, trackitAlive)
		return true
	}
	a.is(401, trackitGone)
	return false
}

// plainKey is an API key of somebody who may do nothing for others.
func plainKey(t *testing.T, s *harness.Stack) string {
	t.Helper()
	var made struct {
		Key string `json:"key"`
	}
	harness.NewClient(t, s.Public).SignUp().Do("POST", "/v1/api-keys", map[string]any{
		"name": "app", "permissions": []map[string]string{{"resource": "files", "action": "read", "scope": "self"}},
	}).Is(201).JSON(&made)
	return made.Key
}

func TestTrackit_SpeaksItsDocument(t *testing.T) {
	stack := start(t)
	key := plainKey(t, stack)
	onBoth(t, stack, "trackit", func(t *testing.T, m mount) {
		c := newTrackit(m, key)
		c.register()
		in := c.login()
		access, device := in.text(t, "accessToken"), in.text(t, "deviceId")
		_, payload := claims(t, access)
		want := fields{"userId": in.text(t, "user", "id"), "username": c.username, "deviceId": device}
		for name, value := range want {
			if payload[name] != value {
				t.Errorf("the claim %s is %v, want %v", name, payload[name], value)
			}
		}
		if life := payload["exp"].(float64) - payload["iat"].(float64); life != 7*24*3600 {
			t.Errorf("the access token lives for %v s, want 7 days", life)
		}
		again := c.login()
		if again.text(t, "deviceId") != device {
			t.Error("the same device from the same address has two ids")
		}
		other := c
		other.agent = "Another/2.0"
		elsewhere := other.login()
		if elsewhere.text(t, "deviceId") == device {
			t.Error("two devices have one id")
		}
		next := c.call("POST", "/auth/refresh", fields{"refreshToken": in.text(t, "refreshToken"), "deviceId": device}).
			is(200, fields{"success": true, "accessToken": jwt, "refreshToken": anything, "deviceId": device})
		if _, payload = claims(t, next.text(t, "accessToken")); payload["username"] != c.username || payload["deviceId"] != device {
			t.Errorf("after a refresh the token says %v", payload)
		}
		list := c.call("POST", "/auth/sessions", fields{"userId": in.text(t, "user", "id")}, bearer(access)).is(200, fields{"success": true, "sessions": anyList{}})
		if got := list["sessions"].([]any); len(got) != 4 {
			t.Errorf("%d sessions are listed", len(got))
		} else if diff := unlike("session", got[0], fields{"id": id, "device_id": elsewhere.text(t, "deviceId"), "created_at": wholeSecs, "last_refresh_at": nil, "refresh_count": 0}); diff != "" {
			t.Error(diff)
		}
		other.call("POST", "/auth/logout", fields{"deviceId": elsewhere.text(t, "deviceId")}, bearer(elsewhere.text(t, "accessToken"))).is(200, trackitDone)
		if c.lives(elsewhere.text(t, "accessToken")) || !c.lives(access) {
			t.Error("logging a device out ended the wrong sessions")
		}
		c.call("POST", "/auth/logout", nil, bearer(again.text(t, "accessToken"))).is(200, trackitDone)
		if c.lives(again.text(t, "accessToken")) || !c.lives(access) {
			t.Error("logging out ended the wrong session")
		}
		c.call("POST", "/auth/logout-all", nil, bearer(access)).is(200, trackitDone)
		if c.lives(access) {
			t.Error("a session outlived the end of all")
		}
	})
}

func TestTrackit_PeopleChangeThemselvesByPassword(t *testing.T) {
	stack := start(t)
	key := plainKey(t, stack)
	onBoth(t, stack, "trackit", func(t *testing.T, m mount) {
		c := newTrackit(m, key)
		access := c.register().text(t, "accessToken")
		name, email := person()
		c.call("POST", "/user/change/username", fields{"oldUsername": c.username, "newUsername": name, "password": harness.Password}).is(200, trackitDone)
		c.username = name
		c.call("POST", "/user/change/email", fields{"username": name, "newEmail": email, "password": harness.Password}).is(200, trackitDone)
		if got := c.login().text(t, "user", "email"); got != email {
			t.Errorf("the address is %q", got)
		}
		if !c.lives(access) {
			t.Error("a change of names ended a session")
		}
		const fresh = "another horse entirely 9"
		c.call("POST", "/user/change/password", fields{"username": name, "oldPassword": harness.Password, "newPassword": fresh}).is(200, trackitDone)
		if c.lives(access) {
			t.Error("a session outlived the change of its password")
		}
		c.call("POST", "/auth/login", fields{"username": name, "password": harness.Password}).is(401, trackitNo)
		c.call("POST", "/user/delete", fields{"username": name, "password": harness.Password}).is(401, trackitNo)
		c.call("POST", "/user/delete", fields{"username": name, "password": fresh}).is(200, trackitDone)
		c.call("POST", "/auth/login", fields{"username": name, "password": fresh}).is(401, trackitNo)
	})
}

func TestTrackit_AtMostFiveSessions(t *testing.T) {
	stack := start(t)
	c := newTrackit(mounts(t, stack, "trackit")["by path"], plainKey(t, stack))
	tokens := []string{c.register().text(t, "accessToken")}
	elsewhere := harness.NewClient(t, stack.Public).LogIn(c.username, harness.Password)
	for range 5 {
		tokens = append(tokens, c.login().text(t, "accessToken"))
	}
	for i, token := range tokens {
		if c.lives(token) != (i > 0) {
			t.Errorf("session %d of 6 lives: %v", i+1, i == 0)
		}
	}
	elsewhere.Do("GET", "/v1/auth/session", nil).Is(200) // TrackIt's cap is about TrackIt's sessions
}

func TestTrackit_AdministratorsNeedAKeyThatMay(t *testing.T) {
	stack := start(t)
	plain, admin := plainKey(t, stack), stack.Bootstrap().APIKey
	onBoth(t, stack, "trackit", func(t *testing.T, m mount) {
		c := newTrackit(m, plain)
		in := c.register()
		user, access := in.text(t, "user", "id"), in.text(t, "accessToken")
		c.call("POST", "/admin/user", fields{"username": c.username}).is(401, trackitNo)
		c.call("GET", "/admin/emails", nil).is(401, trackitNo)
		c.call("POST", "/auth/sessions", fields{"userId": user}).is(401, trackitNo)
		other := newTrackit(m, plain)
		stranger := other.register().text(t, "accessToken")
		c.call("POST", "/auth/sessions", fields{"userId": user}, bearer(stranger)).is(401, trackitNo)
		c.call("POST", "/auth/sessions", fields{"userId": user}, bearer(access)).is(200, fields{"success": true, "sessions": anyList{}})

		c.key = admin
		c.call("POST", "/admin/user", fields{"username": c.username}).
			is(200, fields{"id": user, "username": c.username, "email": c.email, "password": "[hashed password]"})
		c.call("POST", "/admin/user", fields{"username": "nobody-of-that-name"}).is(404, trackitNo)
		list := c.call("GET", "/admin/emails", nil).is(200, fields{"success": true, "emails": anyList{}})
		if found := strings.Contains(strings.Join(texts(list["emails"]), " "), c.email); !found {
			t.Errorf("the address is not among %v", list)
		}
		c.call("POST", "/auth/sessions", fields{"userId": user}).is(200, fields{"success": true, "sessions": anyList{}})
	})
}

func texts(list any) (out []string) {
	items, _ := list.([]any)
	for _, item := range items {
		s, _ := item.(string)
		out = append(out, s)
	}
	return out
}

func TestTrackit_RefusesInItsOwnWords(t *testing.T) {
	stack := start(t)
	key := plainKey(t, stack)
	onBoth(t, stack, "trackit", func(t *testing.T, m mount) {
		c := newTrackit(m, key)
		in := c.register()
		access, refresh, device := in.text(t, "accessToken"), in.text(t, "refreshToken"), in.text(t, "deviceId")
		paths := []string{
			"POST /auth/login", "POST /auth/refresh", "GET /auth/check", "POST /auth/logout", "POST /auth/logout-all", "POST /auth/sessions",
			"POST /user/register", "POST /user/change/password", "POST /user/change/username", "POST /user/change/email",
			"POST /user/delete", "POST /admin/user", "GET /admin/emails",
		}
		for _, call := range paths {
			method, path, _ := strings.Cut(call, " ")
			for _, wrong := range []string{"", "wrong", "crk_" + strings.Repeat("A", 86), access} {
				c.do(method, path, nil, with("X-Api-Key", wrong), bearer(access)).is(401, fields{"success": false, "error": "Invalid API key"})
			}
			if method == "POST" && path != "/auth/logout" && path != "/auth/logout-all" {
				c.call(method, path, fields{}).is(400, trackitNo)
				c.call(method, path, "[1").is(400, trackitNo)
			}
		}
		for what, forged := range forgeries(access) {
			c.call("GET", "/auth/check", nil, bearer(forged)).is(401, trackitGone)
			c.call("POST", "/auth/logout", nil, bearer(forged)).is(401, trackitNo)
			if c.call("POST", "/auth/logout-all", nil, bearer(forged)).is(401, trackitNo); t.Failed() {
				t.Fatal(what)
			}
		}
		c.call("GET", "/auth/check", nil).is(401, trackitGone)
		for _, text := range injections {
			c.call("POST", "/auth/login", fields{"username": text, "password": text}).is(401, trackitNo)
			c.call("POST", "/auth/refresh", fields{"refreshToken": text, "deviceId": text}).is(401, trackitNo)
			c.call("POST", "/auth/sessions", fields{"userId": text}, bearer(access)).is(401, trackitNo)
			c.do("GET", "/auth/check", nil, with("X-Api-Key", strings.ReplaceAll(text, "\u0000", "%00"))).is(401, trackitNo)
		}
		c.call("POST", "/user/register", fields{"username": c.username, "email": "else@example.org", "password": harness.Password}).is(409, trackitNo)
		c.call("POST", "/auth/logout", fields{"deviceId": "unknown"}, bearer(access)).is(404, trackitNo)
		c.call("GET", "/nothing", nil).is(404, trackitNo)
		c.call("GET", "/auth/login", nil).is(405, trackitNo)
		c.call("POST", "/auth/login", `{"username":"`+strings.Repeat("a", 1<<20)+`"}`).is(413, trackitNo)
		c.call("GET", "/%2f", nil).is(400, trackitNo)

		c.call("POST", "/auth/refresh", fields{"refreshToken": refresh, "deviceId": strings.Repeat("0", 32)}).is(401, trackitNo)
		next := c.call("POST", "/auth/refresh", fields{"refreshToken": refresh, "deviceId": device}) // the wrong device has spent nothing
		next.is(200, fields{"success": true, "accessToken": jwt, "refreshToken": anything, "deviceId": device})
		time.Sleep(11 * time.Second) // the window in which a lost answer may be asked for again
		c.call("POST", "/auth/refresh", fields{"refreshToken": refresh, "deviceId": device}).is(401, trackitNo)
		if c.lives(access) {
			t.Error("a session outlived the theft of its token")
		}
	})
}

// TestTrackit_AKeyInTheQueryIsNowhereElse: addresses are written down in many places; what is secret in them is not.
func TestTrackit_AKeyInTheQueryIsNowhereElse(t *testing.T) {
	stack := start(t)
	key := plainKey(t, stack)
	onBoth(t, stack, "trackit", func(t *testing.T, m mount) {
		c := newTrackit(m, key)
		in := c.register()
		m.do("GET", "/auth/check?apiKey="+key, nil, bearer(in.text(t, "accessToken"))).is(200, trackitAlive)
		m.do("GET", "/nothing?apiKey="+key, nil).is(404, trackitNo)
		m.do("GET", "/auth/check?apiKey=wrong-"+key[4:], nil).is(401, trackitNo)
		m.do("GET", "/%2f?apiKey="+key, nil).is(400, trackitNo)
	})
	res, err := http.Get(stack.Ops + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics := readAll(t, res)
	for where, text := range map[string]string{"the log": stack.Output(), "the metrics": metrics} {
		if len(text) < 1000 || strings.Contains(text, key[4:]) || strings.Contains(text, "apiKey=") {
			t.Errorf("the key is in %s, or that is empty", where)
		}
	}
}

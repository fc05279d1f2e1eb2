package httpapi_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/libs/api/v1alpha1"
)

func TestMainJob_SignUpLogInRefreshLogOut(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	if ada.User.Status != "active" || len(ada.User.Roles) != 1 || ada.User.Roles[0] != "guest" || ada.Session.ExpiresIn != 900 {
		t.Errorf("signed up as %+v", ada)
	}
	h.check(ada.access()).want(200, "")

	phone := h.login("ADA", password) // names have no case
	if phone.User.ID != ada.User.ID || phone.Session.SessionID == ada.Session.SessionID {
		t.Errorf("logged in as %+v", phone)
	}

	var next session
	h.refresh(phone.Session.RefreshToken).want(200, "").into(&next)
	if next.Session.SessionID != phone.Session.SessionID || next.Session.RefreshToken == phone.Session.RefreshToken {
		t.Errorf("refreshed to %+v", next)
	}
	h.check(next.access()).want(200, "")

	h.do(ask{method: "POST", path: "/v1/auth/logout", token: next.access()}).want(204, "")
	h.check(next.access()).want(401, "INVALID_TOKEN")
	h.check(phone.access()).want(401, "INVALID_TOKEN") // every access token of the session, not only the last
	h.refresh(next.Session.RefreshToken).want(401, "INVALID_REFRESH_TOKEN")
	h.check(ada.access()).want(200, "") // the other device stays
}

func TestSignup_TakesAnyIdentifierOnce(t *testing.T) {
	h := openHouse(t)
	var s session
	h.do(ask{method: "POST", path: "/v1/auth/signup", body: object{
		"email": "Ada@Example.com", "phone": "+442071838750", "username": "ada", "password": password, "name": "Ada L.",
	}}).want(201, "").into(&s)
	if s.User.Email == nil || *s.User.Email != "Ada@Example.com" || s.User.Name != "Ada L." {
		t.Errorf("signed up as %+v", s.User)
	}
	for _, identifier := range []string{"ada@example.com", "+442071838750", "Ada"} {
		if got := h.login(identifier, password); got.User.ID != s.User.ID {
			t.Errorf("%s logs in somebody else", identifier)
		}
	}
	for _, taken := range []object{{"email": "ADA@example.com"}, {"phone": "+442071838750"}, {"username": "aDa"}} {
		taken["password"] = password
		h.do(ask{method: "POST", path: "/v1/auth/signup", body: taken}).want(409, "USER_EXISTS")
	}
	h.do(ask{method: "POST", path: "/v1/auth/signup", body: object{"password": password}}).want(400, "VALIDATION_ERROR")
	h.do(ask{method: "POST", path: "/v1/auth/signup", body: object{"username": "bob", "password": "short"}}).want(400, "VALIDATION_ERROR")
	h.do(ask{method: "POST", path: "/v1/auth/signup", body: object{"username": "bob"}}).want(400, "VALIDATION_ERROR")
}

// faceless is a problem without what differs from request to request.
func faceless(t *testing.T, r reply) string {
	t.Helper()
	var doc map[string]any
	r.into(&doc)
	delete(doc, "instance")
	b, _ := json.Marshal(doc)
	return string(b)
}

func TestLogin_RefusalsAreAlike(t *testing.T) {
	h := openHouse(t)
	h.signup("ada")
	blocked := h.signup("bob")
	h.do(ask{
		method: "PATCH", path: "/v1/users/" + blocked.User.ID, token: h.loginAdmin().access(), body: object{"status": "blocked"},
	}).want(200, "")

	try := func(identifier, secret string) reply {
		return h.do(ask{method: "POST", path: "/v1/auth/login", body: object{"identifier": identifier, "password": secret}})
	}
	want := faceless(t, try("ada", "wrong password").want(401, "INVALID_CREDENTIALS"))
	for name, got := range map[string]reply{
		"unknown":             try("nobody", password),
		"blocked, wrong":      try("bob", "wrong password"),
		"empty password":      try("ada", ""),
		"over-long password":  try("ada", strings.Repeat("x", 100_000)),
		"over-long name":      try(strings.Repeat("x", 100_000), password),
		"no possible name":    try("\u0000", password),
		"name with a control": try("ada\n", "wrong password"),
	} {
		if got := faceless(t, got); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	try("bob", password).want(403, "ACCOUNT_DEACTIVATED") // told to who has proved the password
	h.check(blocked.access()).want(401, "INVALID_TOKEN")
	h.refresh(blocked.Session.RefreshToken).want(401, "INVALID_REFRESH_TOKEN")
}

func TestRefresh_ParallelTabsGetOneSuccessor(t *testing.T) {
	h := openHouse(t)
	first := h.signup("ada").Session.RefreshToken
	var mu sync.Mutex
	successors := map[string]bool{}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			r := h.refresh(first)
			if r.status == 409 { // contention may be told, and spends nothing
				return
			}
			var s session
			if r.status == 200 && json.Unmarshal(r.body, &s) == nil {
				mu.Lock()
				successors[s.Session.RefreshToken] = true
				mu.Unlock()
				return
			}
			t.Errorf("a parallel refresh got %d %s", r.status, r.body)
		})
	}
	wg.Wait()
	if len(successors) != 1 {
		t.Errorf("%d successors of one token", len(successors))
	}
}

func TestRefresh_ReuseEndsTheSession(t *testing.T) {
	h := openHouse(t, func(_ *v1alpha1.AuthConfig, p *v1alpha1.SessionPolicy) { p.Spec.ReuseWindow = "0s" })
	first := h.signup("ada")
	var second session
	h.refresh(first.Session.RefreshToken).want(200, "").into(&second)
	h.refresh(first.Session.RefreshToken).want(401, "INVALID_REFRESH_TOKEN")
	h.refresh(second.Session.RefreshToken).want(401, "INVALID_REFRESH_TOKEN") // the live one died with it
	h.check(second.access()).want(401, "INVALID_TOKEN")
	h.check(first.access()).want(401, "INVALID_TOKEN")
}

func TestRefresh_ForgeriesKillNothing(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	good := ada.Session.RefreshToken
	last := good[len(good)-1]
	for _, forged := range []string{
		"", "crr_", "garbage", good + "A", good[:len(good)-1], strings.ToUpper(good), "crk_" + good[4:],
		good[:20] + string(good[20]^1) + good[21:], good[:len(good)-2] + string(good[len(good)-2]^1) + string(last),
		strings.Repeat("crr_", 100_000), ada.access(), good + "\x00", " " + good,
	} {
		r := h.refresh(forged)
		if r.status != 401 && r.status != 400 {
			t.Errorf("%.40q: %d %s", forged, r.status, r.body)
		}
	}
	h.check(ada.access()).want(200, "")
	h.refresh(good).want(200, "")
}

func TestLogoutAll_KeepsTheCurrentOneWhenAsked(t *testing.T) {
	h := openHouse(t)
	one, two, three := h.signup("ada"), h.login("ada", password), h.login("ada", password)
	var n struct{ Revoked int }
	h.do(ask{method: "POST", path: "/v1/auth/logout-all", token: one.access(), body: object{"keep_current": true}}).want(200, "").into(&n)
	if n.Revoked != 2 {
		t.Errorf("ended %d sessions", n.Revoked)
	}
	h.check(one.access()).want(200, "")
	h.check(two.access()).want(401, "INVALID_TOKEN")
	h.refresh(three.Session.RefreshToken).want(401, "INVALID_REFRESH_TOKEN")

	h.do(ask{method: "POST", path: "/v1/auth/logout-all", token: one.access()}).want(200, "").into(&n) // without a body
	if n.Revoked != 1 {
		t.Errorf("ended %d sessions", n.Revoked)
	}
	h.check(one.access()).want(401, "INVALID_TOKEN")
}

func TestAccessToken_ExpiresByItself(t *testing.T) {
	h := openHouse(t, func(_ *v1alpha1.AuthConfig, p *v1alpha1.SessionPolicy) { p.Spec.AccessTTL = "1s" })
	ada := h.signup("ada")
	time.Sleep(2100 * time.Millisecond)
	h.check(ada.access()).want(401, "TOKEN_EXPIRED")
	h.refresh(ada.Session.RefreshToken).want(200, "")
}

// More logins than the machine can hash for are told to come back, and everybody else goes on.
func TestLogin_AFloodIsRefusedAndHoldsUpNobody(t *testing.T) {
	h := openHouse(t, func(a *v1alpha1.AuthConfig, _ *v1alpha1.SessionPolicy) {
		a.Spec.Hashing = v1alpha1.Hashing{
			Argon2id: v1alpha1.Argon2id{Memory: "19Mi", Iterations: 2, Parallelism: 1},
			Gate:     v1alpha1.HashGate{Memory: "19Mi", Queue: 2, MaxWait: "10s"},
		}
	})
	refresh := h.signup("ada").Session.RefreshToken
	var mu sync.Mutex
	outcomes := map[int]int{}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			r := h.do(ask{method: "POST", path: "/v1/auth/login", body: object{"identifier": "ada", "password": "wrong"}})
			mu.Lock()
			outcomes[r.status]++
			mu.Unlock()
			if r.status == 503 && (r.header.Get("Retry-After") == "" || !strings.Contains(string(r.body), "OVERLOADED")) {
				t.Errorf("refused with %s %s", r.header, r.body)
			}
		})
	}
	for range 5 {
		var s session
		h.refresh(refresh).want(200, "").into(&s)
		refresh = s.Session.RefreshToken
	}
	wg.Wait()
	if outcomes[401] < 3 || outcomes[503] < 1 || outcomes[401]+outcomes[503] != 20 {
		t.Errorf("outcomes %v", outcomes)
	}
}

func TestLogs_HoldNoSecret(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	h.refresh(ada.Session.RefreshToken).want(200, "")
	h.do(ask{method: "GET", path: "/v1/auth/session?access_token=" + ada.access()}).want(401, "AUTH_ERROR")
	logs := h.logs.String()
	for name, secret := range map[string]string{
		"password": password, "access token": ada.access(), "refresh token": ada.Session.RefreshToken,
		"admin's password": h.admin.Password.Reveal(), "API key": h.admin.APIKey.Reveal(), "bootstrap token": h.admin.Token.Reveal(),
	} {
		if secret == "" || strings.Contains(logs, secret) {
			t.Errorf("the log tells the %s", name)
		}
	}
}

package httpapi_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
)

// browserPage is a browser with a page of the gateway open: it keeps the cookies it is given, and speaks through a gateway.
type browserPage struct {
	*house
	cookies map[string]string
}

func (h *house) openPage() *browserPage { return &browserPage{h, map[string]string{}} }

// call sends what a page's fetch would, as the gateway passes it on. More headers replace what it would say.
func (p *browserPage) call(method, path string, body any, header map[string]string) reply {
	p.t.Helper()
	all := map[string]string{
		"X-Session-Mode": "cookie", "Sec-Fetch-Site": "same-origin", "Origin": "https://files.example", "X-Forwarded-Host": "files.example",
	}
	maps.Copy(all, header)
	if raw := p.cookies["__Host-refresh"]; raw != "" && all["Cookie"] == "" && path == "/v1/auth/refresh" {
		all["Cookie"] = "__Host-refresh=" + raw
	}
	a := ask{method: method, path: path, body: body, header: all, token: p.cookies["__Host-access"]}
	if strings.HasPrefix(path, "/v1/auth/login") || path == "/v1/auth/signup" || path == "/v1/auth/refresh" {
		a.token = ""
	}
	r := p.do(a)
	for _, line := range r.header["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode || !strings.HasPrefix(c.Name, "__Host-") {
			p.t.Errorf("%s: sets %q, %v", r.what, line, err)
			continue
		}
		if p.cookies[c.Name] = c.Value; c.MaxAge <= 0 || c.Value == "" {
			if c.MaxAge >= 0 || c.Value != "" {
				p.t.Errorf("%s: half removes %q", r.what, line)
			}
			delete(p.cookies, c.Name)
		}
	}
	for name, value := range p.cookies {
		if strings.Contains(string(r.body), value) {
			p.t.Errorf("%s: %s is in the body: %s", r.what, name, r.body)
		}
	}
	if strings.Contains(string(r.body), "_token\"") && !strings.Contains(string(r.body), "errors") {
		p.t.Errorf("%s: tells of tokens: %s", r.what, r.body)
	}
	return r
}

func (p *browserPage) holds(names ...string) {
	p.t.Helper()
	if got := slices.Sorted(maps.Keys(p.cookies)); !slices.Equal(got, names) {
		p.t.Errorf("the browser holds %v, want %v", got, names)
	}
}

func (p *browserPage) signup(name string) *browserPage {
	p.t.Helper()
	p.call("POST", "/v1/auth/signup", object{"username": name, "password": password}, nil).want(201, "")
	p.holds("__Host-access", "__Host-refresh")
	return p
}

func TestBrowserSession_TokensAreInCookiesAlone(t *testing.T) {
	h := openHouse(t)
	p := h.openPage().signup("ada")
	before := maps.Clone(p.cookies)
	var body struct{ Session map[string]any }
	r := p.call("POST", "/v1/auth/refresh", nil, nil).want(200, "")
	r.into(&body)
	if got := slices.Sorted(maps.Keys(body.Session)); !slices.Equal(got, []string{"expires_in", "refresh_expires_in", "session_id"}) {
		t.Errorf("the session tells %v", got)
	}
	for name, seconds := range map[string]any{"__Host-access": body.Session["expires_in"], "__Host-refresh": body.Session["refresh_expires_in"]} {
		raw, _ := json.Marshal(seconds)
		if line := strings.Join(r.header["Set-Cookie"], " "); !strings.Contains(line, "Max-Age="+string(raw)+";") {
			t.Errorf("%s does not live for %s seconds: %s", name, raw, line)
		}
		if p.cookies[name] == before[name] {
			t.Errorf("%s is as before", name)
		}
	}
	p.call("POST", "/v1/auth/step-up", object{"password": password}, nil).want(200, "")
	p.call("GET", "/v1/auth/session", nil, nil).want(200, "")
	p.call("POST", "/v1/auth/password/change", object{"current_password": password, "new_password": "another horse entirely"}, nil).want(204, "")
	p.holds("__Host-access", "__Host-refresh") // this session goes on
	p.call("POST", "/v1/auth/login", object{"identifier": "ada", "password": "another horse entirely"}, nil).want(200, "")
}

func TestBrowserSession_CookiesGoWithTheSession(t *testing.T) {
	h := openHouse(t)
	for name, end := range map[string]func(p *browserPage){
		"logout":     func(p *browserPage) { p.call("POST", "/v1/auth/logout", nil, nil).want(204, "") },
		"logout-all": func(p *browserPage) { p.call("POST", "/v1/auth/logout-all", object{}, nil).want(200, "") },
		"deletion": func(p *browserPage) {
			p.call("DELETE", "/v1/users/me", object{"current_password": password}, nil).want(204, "")
		},
		"own-session": func(p *browserPage) {
			var s struct {
				ID string `json:"session_id"`
			}
			p.call("GET", "/v1/auth/session", nil, nil).want(200, "").into(&s)
			p.call("DELETE", "/v1/auth/sessions/"+s.ID, nil, nil).want(204, "")
		},
		"spent-token": func(p *browserPage) {
			p.call("POST", "/v1/auth/refresh", nil, map[string]string{"Cookie": "__Host-refresh=crr_x"}).want(401, "INVALID_REFRESH_TOKEN")
		},
		"lost-token": func(p *browserPage) {
			p.call("POST", "/v1/auth/refresh", nil, map[string]string{"Cookie": "theme=dark"}).want(401, "INVALID_REFRESH_TOKEN")
		},
	} {
		p := h.openPage().signup("p-" + name)
		end(p)
		if p.holds(); t.Failed() {
			t.Fatal(name)
		}
	}
	p := h.openPage().signup("stays")
	p.call("POST", "/v1/auth/logout-all", object{"keep_current": true}, nil).want(200, "")
	p.call("POST", "/v1/auth/password/change", object{"current_password": "wrong", "new_password": "another horse entirely"}, nil).want(403, "INVALID_CURRENT_PASSWORD")
	p.holds("__Host-access", "__Host-refresh")
}

func TestBrowserSession_ComesFromOurPages(t *testing.T) {
	h := openHouse(t, func(boot *v1alpha1.AuthConfig, policy *v1alpha1.SessionPolicy) {
		boot.Spec.PublicBaseURL = "https://Cloak.example:443"
		policy.Spec.Cookies.TrustedOrigins = []v1alpha1.OriginURL{"https://App.example"}
	})
	login := object{"identifier": "ada", "password": password}
	p := h.openPage().signup("ada")
	for name, c := range map[string]struct {
		header map[string]string
		code   string
	}{
		"our page":                       {nil, ""},
		"the public base URL":            {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://cloak.example"}, ""},
		"a trusted origin":               {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://app.example"}, ""},
		"the host as the gateway has it": {map[string]string{"Sec-Fetch-Site": "", "Origin": "https://files.example"}, ""},
		"another site":                   {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, "FORBIDDEN"},
		"another site, older browser":    {map[string]string{"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, "FORBIDDEN"},
		"the null origin":                {map[string]string{"Sec-Fetch-Site": "", "Origin": "null"}, "FORBIDDEN"},
		"nobody says":                    {map[string]string{"Sec-Fetch-Site": "", "Origin": ""}, "FORBIDDEN"},
		"another mode":                   {map[string]string{"X-Session-Mode": "Cookie"}, "VALIDATION_ERROR"},
	} {
		status := map[string]int{"": 200, "FORBIDDEN": 403, "VALIDATION_ERROR": 400}[c.code]
		if r := p.call("POST", "/v1/auth/login", login, c.header); r.status != status {
			t.Errorf("%s: login answered %d %s", name, r.status, r.body)
		}
		if r := p.call("POST", "/v1/auth/logout-all", object{"keep_current": true}, c.header); r.status != status {
			t.Errorf("%s: logout-all answered %d %s", name, r.status, r.body)
		}
	}
	p.call("GET", "/v1/users/me", nil, map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}).want(200, "")
}

func TestBrowserSession_RefreshTakesOneTokenFromOnePlace(t *testing.T) {
	h := openHouse(t)
	p := h.openPage().signup("ada")
	token := p.cookies["__Host-refresh"]
	p.call("POST", "/v1/auth/refresh", object{"refresh_token": token}, nil).want(400, "VALIDATION_ERROR")
	p.call("POST", "/v1/auth/refresh", nil, map[string]string{"Cookie": "__Host-refresh=" + token + "; __Host-refresh=" + token}).want(400, "VALIDATION_ERROR")
	// Without the mode the cookie counts for nothing: a script that leaves the header out gets no tokens to read.
	h.do(ask{method: "POST", path: "/v1/auth/refresh", header: map[string]string{"Cookie": "__Host-refresh=" + token}}).want(400, "VALIDATION_ERROR")
	p.call("POST", "/v1/auth/refresh", object{}, nil).want(200, "")
}

func TestBrowserSession_StrictByPolicy(t *testing.T) {
	h := openHouse(t, func(_ *v1alpha1.AuthConfig, policy *v1alpha1.SessionPolicy) {
		policy.Spec.Cookies.SameSite = v1alpha1.SameSiteStrict
	})
	r := h.do(ask{method: "POST", path: "/v1/auth/signup", body: object{"username": "ada", "password": password}, header: map[string]string{
		"X-Session-Mode": "cookie", "Sec-Fetch-Site": "same-origin",
	}}).want(201, "")
	if lines := r.header["Set-Cookie"]; len(lines) != 2 || strings.Count(strings.Join(lines, " "), "SameSite=Strict") != 2 {
		t.Errorf("set %v", lines)
	}
}

// A browser drops a cookie that is too large without a word, and the person would sign in again and again.
func TestBrowserSession_RefusesATokenThatNoCookieHolds(t *testing.T) {
	h := openHouse(t)
	p := h.openPage().signup("ada")
	var me struct{ ID string }
	p.call("GET", "/v1/users/me", nil, nil).want(200, "").into(&me)
	var many []object
	for i := range 64 {
		many = append(many, right(strings.Repeat(string(rune('a'+i%26)), 32-i/26), "delete", "self"))
	}
	h.do(ask{method: "PATCH", path: "/v1/users/" + me.ID, token: h.loginAdmin().access(), body: object{"permissions": many}}).want(200, "")
	held := maps.Clone(p.cookies)
	p.call("POST", "/v1/auth/login", object{"identifier": "ada", "password": password}, nil).want(409, "CONFLICT")
	if !maps.Equal(held, p.cookies) {
		t.Error("a refusal changed the cookies")
	}
	h.login("ada", password) // a bearer may be as long as it is
}

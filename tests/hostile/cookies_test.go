package hostile

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

// browser is a person with a page of the gateway open. It keeps cookies as browsers do, tells where its calls come from,
// and says nothing else for itself.
type browser struct {
	*harness.Client
	t        *testing.T
	cookies  map[string]string
	everHeld []string
	id       string
}

func newBrowser(t *testing.T, c *harness.Client) *browser {
	return &browser{Client: c.Fresh(), t: t, cookies: map[string]string{}}
}

// sends makes a request carry these cookies and no others.
func sends(cookies map[string]string) harness.Option {
	return func(r *http.Request) {
		r.Header.Del("Cookie")
		for name, value := range cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
	}
}

// from makes a request come from a page of another origin, as the browser would tell it.
func from(site, origin string) harness.Option {
	return func(r *http.Request) {
		harness.Header("Sec-Fetch-Site", site)(r)
		harness.Header("Origin", origin)(r)
	}
}

var mode = harness.Header("X-Session-Mode", "cookie")

// call is a fetch of our own page; options change it.
func (b *browser) call(method, path string, body any, opts ...harness.Option) *harness.Answer {
	b.t.Helper()
	own := []harness.Option{sends(b.cookies), from("same-origin", b.Base)}
	a := b.Do(method, path, body, append(own, opts...)...)
	b.take(a)
	return a
}

// take keeps the cookies of an answer, and checks that its body holds none of the tokens there have been.
func (b *browser) take(a *harness.Answer) {
	b.t.Helper()
	for _, line := range a.Header["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			b.t.Errorf("a cookie that any page or plain HTTP could reach: %q", line)
		}
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		b.cookies[c.Name] = c.Value
		b.everHeld = append(b.everHeld, c.Value)
	}
	for _, value := range b.everHeld {
		if strings.Contains(string(a.Body), value) {
			b.t.Errorf("a token is in a body: %s", a.Body)
		}
	}
}

func (b *browser) signUp() *browser {
	b.t.Helper()
	var in struct {
		User    harness.User
		Session harness.Session
	}
	b.call("POST", "/v1/auth/signup", fields{"username": harness.NewUsername(), "password": harness.Password}, mode).Is(201).JSON(&in)
	b.id, b.User = in.Session.SessionID, in.User
	if len(b.cookies) != 2 || in.Session.AccessToken != "" || in.Session.RefreshToken != "" || in.Session.ExpiresIn <= 0 {
		b.t.Fatalf("signed up with cookies %v and session %+v", len(b.cookies), in.Session)
	}
	return b
}

func (b *browser) refresh(opts ...harness.Option) *harness.Answer {
	b.t.Helper()
	return b.call("POST", "/v1/auth/refresh", nil, append([]harness.Option{mode}, opts...)...)
}

// goesOn checks that the session is alive, and so that what was refused did nothing to it.
func (b *browser) goesOn() {
	b.t.Helper()
	b.call("GET", "/v1/auth/session", nil).Is(200)
	b.refresh().Is(200)
}

func TestCookie_TheWholeLifeOfASession(t *testing.T) {
	stack := harness.Start(t)
	c := harness.NewClient(t, stack.Public)
	ada := newBrowser(t, c).signUp()
	beside := c.LogIn(ada.User.Username, harness.Password) // the same person with a bearer
	f := ada.call("POST", "/v1/files", strings.NewReader("hello"), harness.Raw("a.txt")).Is(201).File()
	if got := ada.call("GET", "/v1/files/"+f.ID+"/content", nil).Is(200); string(got.Body) != "hello" {
		t.Errorf("reads %q", got.Body)
	}
	beside.Do("GET", "/v1/files/"+f.ID, nil).Is(200)
	before := maps.Clone(ada.cookies)
	ada.refresh().Is(200)
	if before["__Host-access"] == ada.cookies["__Host-access"] || before["__Host-refresh"] == ada.cookies["__Host-refresh"] {
		t.Error("a refresh brought the cookies of before")
	}
	ada.call("POST", "/v1/auth/step-up", fields{"password": harness.Password}).Is(200) // the mode comes with the cookie
	const next = "an entirely new horse 8!"
	ada.call("POST", "/v1/auth/password/change", fields{"current_password": harness.Password, "new_password": next}).Is(204)
	ada.goesOn()
	beside.Do("GET", "/v1/auth/session", nil).Refused(401, "INVALID_TOKEN")
	last := maps.Clone(ada.cookies)
	ada.call("POST", "/v1/auth/logout", nil).Is(204)
	if len(ada.cookies) != 0 {
		t.Errorf("left after logging out: %d cookies", len(ada.cookies))
	}
	ada.call("GET", "/v1/auth/session", nil, sends(last)).Refused(401, "INVALID_TOKEN")
	ada.refresh(sends(last)).Refused(401, "INVALID_REFRESH_TOKEN")
	ada.call("POST", "/v1/auth/login", fields{"identifier": ada.User.Username, "password": next}, mode).Is(200)
	ada.call("POST", "/v1/auth/logout-all", fields{}).Is(200)
	if len(ada.cookies) != 0 {
		t.Error("cookies are left after logging out everywhere")
	}
	ada.call("POST", "/v1/auth/login", fields{"identifier": ada.User.Username, "password": next}, mode).Is(200)
	ada.call("DELETE", "/v1/users/me", fields{"current_password": next}).Is(204)
	if len(ada.cookies) != 0 {
		t.Error("cookies are left after deleting the account")
	}
	for _, value := range ada.everHeld {
		if strings.Contains(stack.Output(), value) {
			t.Error("a token of a cookie is in the log")
		}
	}
}

func TestCookie_SecondFactor(t *testing.T) {
	ada := enrolled(t)
	b := newBrowser(t, ada.Client)
	b.call("POST", "/v1/auth/login", fields{"identifier": ada.User.Username, "password": harness.Password}, mode).Is(202)
	if len(b.cookies) != 0 {
		t.Fatal("half a login set cookies")
	}
	challenge := ada.challenge(t)
	finish := fields{"challenge_token": challenge, "code": ada.codes[0]}
	b.call("POST", "/v1/auth/login/factor", finish, mode, from("cross-site", "https://evil.example")).Refused(403, "FORBIDDEN")
	b.call("POST", "/v1/auth/login/factor", finish, mode).Is(200) // a refused one has spent nothing
	b.call("POST", "/v1/auth/step-up", fields{"code": ada.codes[1]}).Is(200)
	b.goesOn()
}

// Every call that changes something, from every place that is not ours.
func TestCookie_CallsOfOtherSitesAreRefused(t *testing.T) {
	c := gateway(t)
	ada := newBrowser(t, c).signUp()
	beside := c.LogIn(ada.User.Username, harness.Password)
	f := ada.call("POST", "/v1/files", strings.NewReader("x"), harness.Raw("a")).Is(201).File()
	here, _ := url.Parse(c.Base)
	foreign := map[string]harness.Option{
		"foreign Origin":                    from("", "https://evil.example"),
		"Sec-Fetch-Site cross-site":         from("cross-site", "https://evil.example"),
		"cross-site without an Origin":      from("cross-site", ""),
		"Sec-Fetch-Site same-site":          from("same-site", "http://blog."+here.Host),
		"another port of this host":         from("", "http://"+here.Hostname()+":1"),
		"a host that begins as ours":        from("", c.Base+".evil.example"),
		"null Origin":                       from("", "null"),
		"null Origin of a sandbox":          from("cross-site", "null"),
		"neither Origin nor Sec-Fetch-Site": from("", ""),
		"an unknown word":                   from("trust-me", c.Base),
		"two Origins": func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header["Origin"] = []string{c.Base, "https://evil.example"}
		},
	}
	for name, page := range foreign {
		t.Run(name, func(t *testing.T) {
			ada.t = t
			for _, call := range []struct {
				method, path string
				body         any
			}{
				{"POST", "/v1/auth/logout", nil}, {"POST", "/v1/auth/logout-all", fields{}},
				{"POST", "/v1/auth/step-up", fields{"password": harness.Password}},
				{"POST", "/v1/auth/password/change", fields{"current_password": harness.Password, "new_password": "an evil horse 666"}},
				{"DELETE", "/v1/users/me", fields{"current_password": harness.Password}},
				{"PATCH", "/v1/users/me", fields{"name": "Eve"}},
				{"POST", "/v1/api-keys", fields{"name": "k", "permissions": []fields{right("files", "read", "self")}}},
				{"DELETE", "/v1/auth/sessions/" + ada.id, nil},
				{"POST", "/v1/files", strings.NewReader("evil")}, {"DELETE", "/v1/files/" + f.ID, nil},
				{"POST", "/v1/files/" + f.ID + "/links", fields{"expires_in": 60}},
			} {
				ada.call(call.method, call.path, call.body, page).Refused(403, "FORBIDDEN")
			}
			ada.refresh(page).Refused(403, "FORBIDDEN")
			ada.call("POST", "/v1/auth/login", fields{"identifier": ada.User.Username, "password": harness.Password}, mode, page).Refused(403, "FORBIDDEN")
			ada.call("POST", "/v1/auth/signup", fields{"username": harness.NewUsername(), "password": harness.Password}, mode, page).Refused(403, "FORBIDDEN")
			text, plain := raw(`{"keep_current":false}`, "text/plain")
			ada.call("POST", "/v1/auth/logout-all", text, plain, page).Refused(403, "FORBIDDEN")
			form, encoded := raw("keep_current=false", "application/x-www-form-urlencoded")
			ada.call("POST", "/v1/auth/logout-all", form, encoded, page).Refused(403, "FORBIDDEN")
			ada.call("GET", "/v1/files", nil, page, harness.Header("Connection", "Upgrade"), harness.Header("Upgrade", "websocket")).Refused(403, "FORBIDDEN")
			ada.call("GET", "/v1/users/me", nil, page).Is(200)                      // the browser keeps this from the other page
			beside.Do("PATCH", "/v1/users/me", fields{"name": "Ada"}, page).Is(200) // no site can make a browser send a bearer
		})
	}
	ada.t = t
	var me harness.User
	if ada.call("GET", "/v1/users/me", nil).Is(200).JSON(&me); me.Name != "Ada" {
		t.Errorf("the name has become %q", me.Name)
	}
	text, plain := raw(`{"keep_current":true}`, "text/plain")
	ada.call("POST", "/v1/auth/logout-all", text, plain).Refused(415, "UNSUPPORTED_MEDIA_TYPE") // of our own page, and still no JSON
	ada.goesOn()
}

func TestCookie_ReadingChangesNothing(t *testing.T) {
	c := gateway(t)
	ada := newBrowser(t, c).signUp()
	for _, path := range []string{
		"/v1/auth/logout", "/v1/auth/logout-all", "/v1/auth/refresh", "/v1/auth/login", "/v1/auth/signup", "/v1/auth/step-up",
		"/v1/auth/password/change", "/v1/auth/sessions/" + ada.id, "/v1/auth/login/factor",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			a := ada.call(method, path, nil, mode, harness.Header("X-HTTP-Method-Override", "POST"), from("cross-site", ""))
			if a.Status != 405 && a.Status != 404 {
				t.Errorf("%s %s answered %d", method, path, a.Status)
			}
			if a.Header["Set-Cookie"] != nil {
				t.Errorf("%s %s set cookies", method, path)
			}
		}
	}
	ada.goesOn()
}

func TestCookie_TokensInTheWrongPlace(t *testing.T) {
	c := gateway(t)
	ada, eve := newBrowser(t, c).signUp(), newBrowser(t, c).signUp()
	access, refresh := ada.cookies["__Host-access"], ada.cookies["__Host-refresh"]
	who := func(cookies string, opts ...harness.Option) *harness.Answer {
		return c.Do("GET", "/v1/auth/session", nil, append(opts, harness.Header("Cookie", cookies))...)
	}
	who("__Host-access=" + access).Is(200)
	who("__Host-access="+refresh).Refused(401, "INVALID_TOKEN")
	who("__Host-refresh="+access).Refused(401, "AUTH_ERROR")
	for _, name := range []string{"access", "Host-access", "__host-access", "__Secure-access", "__Host-access2", "access_token"} {
		who(name+"="+access).Refused(401, "AUTH_ERROR")
	}
	// Tossed by another host of the site, where a browser without prefixes might let it.
	who("__Host-access="+access+"; __Host-access="+eve.cookies["__Host-access"]).Refused(400, "VALIDATION_ERROR")
	who("__Host-access="+access+"; __Host-access="+access).Refused(400, "VALIDATION_ERROR")
	bearer := func(token string) harness.Option { return harness.Header("Authorization", "Bearer "+token) }
	who("__Host-access="+access, bearer(eve.cookies["__Host-access"])).Refused(400, "VALIDATION_ERROR")
	who("__Host-access="+access, bearer(access)).Is(200)
	who("__Host-access="+access, harness.Header("X-API-Key", "crk_x")).Refused(400, "VALIDATION_ERROR")

	both := "__Host-refresh=" + refresh + "; __Host-refresh=" + eve.cookies["__Host-refresh"]
	ada.refresh(harness.Header("Cookie", both)).Refused(400, "VALIDATION_ERROR")
	c.Do("POST", "/v1/auth/refresh", nil, harness.Header("Cookie", "__Host-refresh="+refresh)).Refused(400, "VALIDATION_ERROR")
	ada.call("POST", "/v1/auth/refresh", fields{"refresh_token": refresh}, mode).Refused(400, "VALIDATION_ERROR")
	for _, m := range []string{"Cookie", "bearer", ""} {
		ada.call("POST", "/v1/auth/refresh", nil, func(r *http.Request) { r.Header["X-Session-Mode"] = []string{m} }).Refused(400, "VALIDATION_ERROR")
	}
	ada.goesOn()
	ada.refresh(sends(map[string]string{"__Host-refresh": access})).Refused(401, "INVALID_REFRESH_TOKEN")
	if len(ada.cookies) != 0 {
		t.Error("cookies that are worth nothing were left")
	}
}

// A script in the page could leave the header out, to get tokens that it can read and carry away.
func TestCookie_AScriptGetsNoTokens(t *testing.T) {
	c := gateway(t)
	ada := newBrowser(t, c).signUp()
	a := ada.call("POST", "/v1/auth/step-up", fields{"password": harness.Password}, harness.Header("X-Session-Mode", ""))
	if a.Is(200); strings.Contains(string(a.Body), "_token") || len(a.Header["Set-Cookie"]) != 2 {
		t.Errorf("a step-up by cookie answered %s", a.Body)
	}
	ada.call("POST", "/v1/auth/refresh", nil).Refused(400, "VALIDATION_ERROR")
	ada.goesOn()
}

func TestCookie_RevokedSession(t *testing.T) {
	c := gateway(t)
	ada := newBrowser(t, c).signUp()
	beside := c.LogIn(ada.User.Username, harness.Password)
	beside.Do("DELETE", "/v1/auth/sessions/"+ada.id+"?wait=1", nil).Is(200)
	ada.call("GET", "/v1/users/me", nil).Refused(401, "INVALID_TOKEN")
	ada.call("POST", "/v1/files", strings.NewReader("x"), harness.Raw("a")).Refused(401, "INVALID_TOKEN")
	ada.refresh().Refused(401, "INVALID_REFRESH_TOKEN")
	if len(ada.cookies) != 0 {
		t.Error("the cookies of a session that is over were left")
	}
}

func TestCookie_ReuseOfARefreshTokenEndsTheSession(t *testing.T) {
	c := gateway(t)
	ada := newBrowser(t, c).signUp()
	stolen := maps.Clone(ada.cookies)
	ada.refresh().Is(200)
	ada.refresh().Is(200) // what was stolen is two generations old
	thief := newBrowser(t, c)
	thief.refresh(sends(stolen)).Refused(401, "INVALID_REFRESH_TOKEN")
	if len(thief.cookies) != 0 {
		t.Error("the thief got cookies")
	}
	ada.refresh().Refused(401, "INVALID_REFRESH_TOKEN")
	deadline := time.Now().Add(soon)
	for ada.call("GET", "/v1/users/me", nil, sends(stolen)).Status != 401 {
		if time.Now().After(deadline) {
			t.Fatal("an access token of the stolen session still works")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestCookie_TabsThatRefreshAtOnceStaySignedIn(t *testing.T) {
	c := gateway(t)
	ada := newBrowser(t, c).signUp()
	var mu sync.Mutex
	var group sync.WaitGroup
	answers := []*harness.Answer{}
	for range 8 {
		group.Go(func() {
			a := c.Try("POST", "/v1/auth/refresh", nil, mode, sends(ada.cookies), from("same-origin", c.Base))
			mu.Lock()
			answers = append(answers, a)
			mu.Unlock()
		})
	}
	group.Wait()
	successors := map[string]int{}
	for _, a := range answers {
		if a.Err != nil || (a.Status != 200 && a.Status != 409) {
			t.Fatalf("answered %d %s %v", a.Status, a.Body, a.Err)
		}
		if ada.take(a); a.Status == 200 {
			successors[ada.cookies["__Host-refresh"]]++
		}
	}
	if len(successors) != 1 {
		t.Errorf("%d successors: %s", len(successors), fmt.Sprint(len(answers)))
	}
	ada.goesOn()
}

func TestCookie_OtherCookiesAndOriginsOfCORS(t *testing.T) {
	c := gateway(t)
	ada := newBrowser(t, c).signUp()
	// /v1/uploads is open to pages of any site, with a bearer: not with cookies.
	size := func(r *http.Request) { tus("Upload-Length", "1")(r) }
	ada.call("POST", "/v1/uploads", nil, size, from("cross-site", "https://evil.example")).Refused(403, "FORBIDDEN")
	a := ada.call("POST", "/v1/uploads", nil, size).Is(201)
	if a.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Error("any page may use the cookies")
	}
	ada.cookies["theme"] = "dark"
	ada.goesOn()
}

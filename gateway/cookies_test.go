package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const browserRoutes = `
apiVersion: cloakroom.dev/v1alpha1
kind: TokenPolicy
metadata: {name: browsers}
spec:
  issuer: https://auth.test
  audiences: [cloakroom]
  extractFrom:
    header: {name: Authorization, scheme: Bearer}
    cookie: {name: __Host-access}
---
apiVersion: cloakroom.dev/v1alpha1
kind: TokenPolicy
metadata: {name: partners}
spec:
  issuer: https://auth.test
  audiences: [cloakroom]
  extractFrom: {cookie: {name: partner}}
---
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: browsers}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /files}}]
    auth: {tokenPolicyRef: {name: browsers}}
    backends: [{name: files}]
  - matches: [{path: {type: PathPrefix, value: /v1}}]
    auth: {tokenPolicyRef: {name: browsers}}
    backends: [{name: auth}]
  - matches: [{path: {type: PathPrefix, value: /v1/auth/refresh}}, {path: {type: PathPrefix, value: /v1/auth/login}}]
    auth: {anonymous: {reason: a test of signing in}}
    backends: [{name: auth}]
  - matches: [{path: {type: PathPrefix, value: /elsewhere}}]
    auth: {anonymous: {reason: a test of another service}}
    rewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /v1/auth/refresh}}
    backends: [{name: files}]
  - matches: [{path: {type: PathPrefix, value: /moved}}]
    auth: {anonymous: {reason: a test of a refresh at another path}}
    rewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /v1/auth/refresh}}
    backends: [{name: auth}]
`

func TestCookies_OfASessionEndAtTheGateway(t *testing.T) {
	w := start(t, setup{resources: []string{browserRoutes}})
	raw := w.issuer.Mint()
	all := "Cookie: theme=dark; __Host-access=" + raw + ";__Host-refresh=crr_x; partner=p; lang=\"de; x=y"
	const kept, refreshing = `theme=dark; lang="de; x=y`, `theme=dark; __Host-refresh=crr_x; lang="de; x=y`
	for _, c := range []struct {
		name, method, path string
		service            *backend
		cookies            string
		mode               string
	}{
		{"a file", "GET", "/files/1", w.files, kept, "cookie"},
		{"the auth service", "GET", "/v1/users/me", w.auth, kept, "cookie"},
		{"a login", "POST", "/v1/auth/login", w.auth, kept, ""},
		{"a refresh", "POST", "/v1/auth/refresh", w.auth, refreshing, ""},
		{"below the refresh", "POST", "/v1/auth/refresh/x", w.auth, kept, ""},
		{"a refresh at another path", "POST", "/moved", w.auth, refreshing, ""},
		{"a refresh at another service", "POST", "/elsewhere", w.files, kept, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			w.want(w.do(c.method, c.path, "", all, "Sec-Fetch-Site: same-origin"), 200, "")
			got := c.service.last(t)
			if cookies := strings.Join(got.Header["Cookie"], " / "); cookies != c.cookies {
				t.Errorf("cookies %q, want %q", cookies, c.cookies)
			}
			if mode := got.Header.Get("X-Session-Mode"); mode != c.mode {
				t.Errorf("session mode %q, want %q", mode, c.mode)
			}
		})
	}
	w.t = t
	w.want(w.get("/files/1", "Cookie: __Host-access="+raw), 200, "")
	if got, there := w.files.last(t).Header["Cookie"]; there {
		t.Errorf("an empty Cookie header is left: %q", got)
	}
	if logs := w.logs.String(); strings.Contains(logs, raw) || strings.Contains(logs, "crr_x") {
		t.Error("a credential is in the log")
	}
}

func TestCookies_OfASessionAreMadeByTheAuthServiceAlone(t *testing.T) {
	w := start(t, setup{resources: []string{browserRoutes}})
	answer := func(rw http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"__Host-access", "theme", "__HOST-refresh", "partner"} {
			rw.Header().Add("Set-Cookie", name+"=x; Path=/; Secure")
		}
	}
	w.files.serve(answer)
	w.auth.serve(answer)
	raw := bearer(w.issuer.Mint())
	if got := fmt.Sprint(w.get("/files/1", raw).header["Set-Cookie"]); got != "[theme=x; Path=/; Secure]" {
		t.Errorf("the files service set %s", got)
	}
	if got := w.get("/v1/users/me", raw).header["Set-Cookie"]; len(got) != 4 {
		t.Errorf("the auth service could set %v only", got)
	}
}

func TestCookies_AnswersToThemAreNobodyElses(t *testing.T) {
	w := start(t, setup{resources: []string{browserRoutes}})
	raw := w.issuer.Mint()
	if got := w.get("/files/1", "Cookie: __Host-access="+raw).header.Get("Cache-Control"); got != "private" {
		t.Errorf("Cache-Control %q", got)
	}
	if got := w.get("/files/1", bearer(raw)).header.Get("Cache-Control"); got != "" {
		t.Errorf("an answer to a bearer got Cache-Control %q", got)
	}
	w.files.serve(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("Cache-Control", "no-store") })
	if got := w.get("/files/1", "Cookie: __Host-access="+raw).header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("the service's Cache-Control became %q", got)
	}
}

func TestSessionMode_IsAskedForByOurOwnPages(t *testing.T) {
	w := start(t, setup{resources: []string{browserRoutes}})
	mode := "X-Session-Mode: cookie"
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"our page":             {[]string{mode, "Sec-Fetch-Site: same-origin"}, 200},
		"another site":         {[]string{mode, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 403},
		"another host of ours": {[]string{mode, "Sec-Fetch-Site: same-site"}, 403},
		"nobody says":          {[]string{mode}, 403},
		"whatever the mode":    {[]string{"X-Session-Mode: COOKIE"}, 403},
		"bearer mode":          {[]string{"Origin: https://evil.example"}, 200},
	} {
		before := w.auth.count()
		if a := w.do("POST", "/v1/auth/login", "{}", c.headers...); a.status != c.status {
			t.Errorf("%s: %d %s, want %d", name, a.status, a.body, c.status)
		}
		if reached := w.auth.count() > before; reached != (c.status == 200) {
			t.Errorf("%s: reached the service: %v", name, reached)
		}
	}
}

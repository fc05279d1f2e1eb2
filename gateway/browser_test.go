package gateway_test

import (
	"net/http"
	"strings"
	"testing"
)

const corsRoute = `
apiVersion: cloakroom.dev/v1alpha1
kind: TokenPolicy
metadata: {name: cookies}
spec:
  issuer: https://auth.test
  audiences: [cloakroom]
  extractFrom:
    header: {name: Authorization, scheme: Bearer}
    cookie: {name: __Host-access}
---
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: app}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /app}}]
    auth: {tokenPolicyRef: {name: cookies}}
    cors:
      allowOrigins: ["https://app.example"]
      allowMethods: [GET, POST]
      allowHeaders: [Content-Type, Authorization]
      exposeHeaders: [X-Request-Id]
      allowCredentials: true
    backends: [{name: files}]
  - matches: [{path: {type: PathPrefix, value: /public}}]
    auth: {anonymous: {reason: a test of pages anyone may read}}
    cors: {allowOrigins: ["*"], allowMethods: [GET]}
    backends: [{name: files}]
  - matches: [{path: {type: PathPrefix, value: /plain}}]
    auth: {tokenPolicyRef: {name: cookies}}
    backends: [{name: files}]
`

func TestCORS_OnlyKnownOriginsReadAnswers(t *testing.T) {
	w := start(t, setup{resources: []string{corsRoute}})
	w.files.serve(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Access-Control-Allow-Origin", "https://evil.example")
		rw.Header().Set("Access-Control-Allow-Credentials", "true")
		rw.Header().Add("Vary", "Accept")
	})
	raw := w.issuer.Mint()
	preflight := func(path, origin, method string) answer {
		return w.do(http.MethodOptions, path, "", "Origin: "+origin, "Access-Control-Request-Method: "+method, "Access-Control-Request-Headers: content-type")
	}
	a := preflight("/app/x", "https://app.example", "POST")
	w.want(a, 204, "")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://app.example", "Access-Control-Allow-Credentials": "true",
		"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "content-type, authorization",
		"Access-Control-Max-Age": "600",
	} {
		if got := a.header.Get(name); !strings.EqualFold(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, refused := range map[string]answer{
		"an unknown origin": preflight("/app/x", "https://evil.example", "POST"),
		"the null origin":   preflight("/app/x", "null", "POST"),
		"another scheme":    preflight("/app/x", "http://app.example", "POST"),
		"a longer name":     preflight("/app/x", "https://app.example.evil", "POST"),
		"another method":    preflight("/app/x", "https://app.example", "DELETE"),
		"a route without":   preflight("/plain/x", "https://app.example", "POST"),
	} {
		if refused.status < 400 || refused.header.Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("%s: %d %v", name, refused.status, refused.header)
		}
		if name != "another method" && refused.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s may read: %v", name, refused.header)
		}
	}
	if n := w.files.count(); n != 0 {
		t.Errorf("%d preflights reached the service", n)
	}
	a = w.get("/app/x", bearer(raw), "Origin: https://app.example")
	w.want(a, 200, "")
	if got := a.header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "https://app.example" || a.header.Get("Access-Control-Expose-Headers") != "X-Request-Id" {
		t.Errorf("%v", a.header)
	}
	if vary := strings.Join(a.header.Values("Vary"), ","); !strings.Contains(vary, "Origin") || !strings.Contains(vary, "Accept") {
		t.Errorf("Vary %q", vary)
	}
	a = w.get("/app/x", bearer(raw), "Origin: https://evil.example")
	if a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("an unknown origin may read: %v", a.header)
	}
	a = w.get("/app/x", "Origin: https://app.example")
	w.want(a, 401, "AUTH_ERROR")
	if a.header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Error("the page can't read the refusal")
	}
	a = w.get("/public/x", "Origin: https://anyone.example")
	if a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%v", a.header)
	}
}

func TestCookie_StateChangesComeFromOurOwnPages(t *testing.T) {
	w := start(t, setup{resources: []string{corsRoute}})
	raw := w.issuer.Mint()
	cookie := "Cookie: theme=dark; __Host-access=" + raw
	for _, c := range []struct {
		name, method, path string
		headers            []string
		status             int
	}{
		{"reading", "GET", "/plain/x", []string{cookie}, 200},
		{"reading from elsewhere", "GET", "/plain/x", []string{cookie, "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 200},
		{"a page of ours", "POST", "/plain/x", []string{cookie, "Sec-Fetch-Site: same-origin"}, 200},
		{"a page of ours, by an older browser", "POST", "/plain/x", []string{cookie, "Origin: http://" + w.addr}, 200},
		{"another site", "POST", "/plain/x", []string{cookie, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 403},
		{"another name of our site", "DELETE", "/plain/x", []string{cookie, "Sec-Fetch-Site: same-site"}, 403},
		{"another origin, by an older browser", "POST", "/plain/x", []string{cookie, "Origin: https://evil.example"}, 403},
		{"the null origin", "POST", "/plain/x", []string{cookie, "Origin: null"}, 403},
		{"a form in the shape of JSON", "POST", "/plain/x", []string{cookie, "Origin: https://evil.example", "Content-Type: text/plain"}, 403},
		{"no word of its origin", "POST", "/plain/x", []string{cookie}, 403},
		{"a page that CORS trusts with credentials", "POST", "/app/x", []string{cookie, "Sec-Fetch-Site: cross-site", "Origin: https://app.example"}, 200},
		{"a page that CORS does not", "POST", "/app/x", []string{cookie, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 403},
		{"a bearer, whose site does not matter", "POST", "/plain/x", []string{bearer(raw), "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 200},
		{"a WebSocket from another site", "GET", "/plain/x", []string{cookie, "Origin: https://evil.example", "Connection: Upgrade", "Upgrade: websocket"}, 403},
		{"two cookies of one name", "GET", "/plain/x", []string{cookie + "; __Host-access=" + raw}, 400},
		{"cookie and another bearer", "GET", "/plain/x", []string{cookie, bearer(w.issuer.Mint())}, 400},
		{"the same token as cookie and as bearer, which no other site can send", "POST", "/plain/x", []string{cookie, bearer(raw), "Origin: https://evil.example"}, 200},
		{"cookie and API key", "GET", "/plain/x", []string{cookie, "Authorization: Bearer crk_x"}, 400},
		{"a name without the prefix", "GET", "/plain/x", []string{"Cookie: access=" + raw}, 401},
		{"a name in other letters", "GET", "/plain/x", []string{"Cookie: __host-access=" + raw}, 401},
		{"a person, and no page", "POST", "/plain/x", []string{cookie, "Sec-Fetch-Site: none"}, 200},
		{"an empty cookie", "GET", "/plain/x", []string{"Cookie: __Host-access="}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := w.do(c.method, c.path, "", c.headers...)
			if a.status != c.status {
				t.Fatalf("%d %s, want %d", a.status, a.body, c.status)
			}
			if a.status == 200 && w.files.last(t).Header.Get("Authorization") != "Bearer "+raw {
				t.Error("the service did not get the token as a bearer")
			}
			if a.status == 200 && strings.Contains(w.files.last(t).Header.Get("Cookie"), "__Host-") {
				t.Error("the service got the token in a cookie as well")
			}
		})
	}
}

package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

func TestPath_AVerifiedCallerReachesTheService(t *testing.T) {
	w := start(t, setup{})
	raw := w.issuer.Mint(tokentest.Subject("u-1"), tokentest.Roles("guest", "admin"))
	a := w.do(http.MethodPost, "/closed/things?x=1&y=%2F", "hello", bearer(raw), "Content-Type: text/plain", "X-Request-Id: mine-1")
	w.want(a, 200, "")
	if a.body != "ok" || a.header.Get("X-Request-Id") != "mine-1" || len(a.header.Values("X-Request-Id")) != 1 {
		t.Errorf("%q %v", a.body, a.header)
	}
	r := w.files.last(t)
	for name, want := range map[string]string{
		"Authorization": "Bearer " + raw, "X-User-Id": "u-1", "X-Roles": "guest,admin", "X-Request-Id": "mine-1",
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": w.addr, "X-Forwarded-Prefix": "",
		"Content-Type": "text/plain",
	} {
		if got := strings.Join(r.Header.Values(name), "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	_, bodies := w.files.all()
	if r.URL.Path != "/closed/things" || r.URL.RawQuery != "x=1&y=%2F" || bodies[0] != "hello" || r.ContentLength != 5 {
		t.Errorf("%v %v", r.URL, r.ContentLength)
	}
	if !strings.HasSuffix(w.files.URL, r.Host) && (w.files.inside == nil || r.Host != "files-svc") {
		t.Errorf("Host %q is not the service's own", r.Host)
	}
}

func TestPath_RefusalsAreProblems(t *testing.T) {
	w := start(t, setup{resources: []string{basics, `
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: rights}
spec:
  rules:
  - matches: [{path: {type: Exact, value: /rights}, method: GET}]
    auth: {tokenPolicyRef: {name: default}}
    require: {permissions: ["files:read:self"]}
    backends: [{name: files}]
  - matches: [{path: {type: Exact, value: /lost}}]
    auth: {tokenPolicyRef: {name: nobody}}
    backends: [{name: files}]
`}})
	good := w.issuer.Mint()
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		code                     string
	}{
		{"no such path", "GET", "/nowhere", "", nil, 404, "NOT_FOUND"},
		{"a method the path does not take", "POST", "/rights", "", nil, 405, "METHOD_NOT_ALLOWED"},
		{"no token", "GET", "/closed", "", nil, 401, "AUTH_ERROR"},
		{"another scheme", "GET", "/closed", "", []string{"Authorization: Basic dTpw"}, 401, "AUTH_ERROR"},
		{"a token that is none", "GET", "/closed", "", []string{"Authorization: Bearer abc"}, 401, "INVALID_TOKEN"},
		{"an expired token", "GET", "/closed", "", []string{bearer(w.issuer.Mint(tokentest.ExpiresIn(-1)))}, 401, ""},
		{"a right that is missing", "GET", "/rights", "", []string{bearer(good)}, 403, "FORBIDDEN"},
		{"a right that is there", "GET", "/rights", "", []string{bearer(w.issuer.Mint(tokentest.Permissions("files:read:all")))}, 200, ""},
		{"a policy that is not there", "GET", "/lost", "", []string{bearer(good)}, 503, "UNAVAILABLE"},
		{"two credentials", "GET", "/closed", "", []string{bearer(good), "X-API-Key: crk_x"}, 400, "VALIDATION_ERROR"},
		{"two Authorization headers", "GET", "/open", "", []string{bearer(good), bearer(good)}, 400, "VALIDATION_ERROR"},
		{"a token in the query", "GET", "/open?a=b&access_token=" + good, "", nil, 400, "VALIDATION_ERROR"},
		{"a query joined by semicolons", "GET", "/open?a=1;b=2", "", nil, 400, "VALIDATION_ERROR"},
		{"an escape in the query that is none", "GET", "/open?a=%zz", "", nil, 400, "VALIDATION_ERROR"},
		{"an escape in the query that is cut", "GET", "/open?a=b%2", "", nil, 400, "VALIDATION_ERROR"},
		{"a query with escapes", "GET", "/open?a=%3b%2F+c&&=&d", "", nil, 200, ""},
		{"a token in the query in disguise", "GET", "/open?a;Access%5Ftoken=x", "", nil, 400, "VALIDATION_ERROR"},
		{"an API key in the query", "GET", "/closed?key=crk_abcdef", "", []string{bearer(good)}, 400, "VALIDATION_ERROR"},
		{"a token under another name", "GET", "/closed?t=" + good, "", []string{bearer(good)}, 400, "VALIDATION_ERROR"},
		{"a dot segment", "GET", "/open/../closed", "", nil, 400, "VALIDATION_ERROR"},
		{"an encoded dot segment", "GET", "/open/%2e%2e/closed", "", nil, 400, "VALIDATION_ERROR"},
		{"an encoded slash", "GET", "/open%2Fclosed", "", nil, 400, "VALIDATION_ERROR"},
		{"an encoded NUL", "GET", "/open/%00", "", nil, 400, "VALIDATION_ERROR"},
		{"a double slash", "GET", "/open//closed", "", nil, 400, "VALIDATION_ERROR"},
		{"a backslash", "GET", "/open/%5c..%5cclosed", "", nil, 400, "VALIDATION_ERROR"},
		{"TRACE", "TRACE", "/open", "", nil, 400, "VALIDATION_ERROR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := w.files.count()
			r, err := http.NewRequest(c.method, "http://"+w.addr+"/", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.URL.Opaque = "//" + w.addr + c.path // sent as it is written
			for _, h := range c.headers {
				name, value, _ := strings.Cut(h, ": ")
				r.Header.Add(name, value)
			}
			res, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			text, _ := io.ReadAll(res.Body)
			w.want(answer{res.StatusCode, res.Header, string(text)}, c.status, c.code)
			if passed := w.files.count() - before; passed != min(1, 200/res.StatusCode) {
				t.Errorf("the service got %d requests", passed)
			}
			if c.status == 401 && res.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Error("no challenge")
			}
			if c.status == 405 && res.Header.Get("Allow") != "GET" {
				t.Errorf("Allow %q", res.Header.Get("Allow"))
			}
		})
	}
	if strings.Contains(w.logs.String(), good) || strings.Contains(w.logs.String(), "crk_abcdef") {
		t.Error("a credential is in the log")
	}
}

func TestPath_RewritesAndEditsHeaders(t *testing.T) {
	w := start(t, setup{resources: []string{`
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: compat}
spec:
  hostnames: [compat.localhost]
  rules:
  - matches: [{path: {type: PathPrefix, value: /compat/a}}]
    auth: {anonymous: {reason: a test of rewriting}}
    rewrite: {hostname: inner.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /dialect}}
    headers:
      request: {set: [{name: X-Plan, value: gold}], add: [{name: X-More, value: b}], remove: [X-Gone]}
      response: {set: [{name: X-Frame-Options, value: DENY}], remove: [X-Powered-By]}
    backends: [{name: auth}]
`}})
	w.auth.serve(func(rw http.ResponseWriter, _ *http.Request) {
		h := rw.Header()
		h.Set("X-Powered-By", "tests")
		h.Set("X-Request-Id", "the service's own")
		h.Set("RateLimit", "forged")
		h.Set("Alt-Svc", "h3=\":1\"")
		_, _ = io.WriteString(rw, "ok")
	})
	r, _ := http.NewRequest(http.MethodGet, "http://"+w.addr+"/compat/a/x%20y?q=1", nil)
	r.Host = "compat.localhost:8080"
	r.Header = http.Header{"X-More": {"a"}, "X-Gone": {"1"}, "X-Plan": {"lead"}, "Host": {"z"}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Powered-By": "", "RateLimit": "", "Alt-Svc": ""} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("answer's %s: %q", name, got)
		}
	}
	if ids := res.Header.Values("X-Request-Id"); len(ids) != 1 || ids[0] == "the service's own" {
		t.Errorf("request ids %v", ids)
	}
	got := w.auth.last(t)
	if got.Host != "inner.example" || got.RequestURI != "/dialect/x%20y?q=1" || got.Header.Get("X-Forwarded-Prefix") != "/compat/a" ||
		got.Header.Get("X-Forwarded-Host") != "compat.localhost:8080" {
		t.Errorf("%s %s %v", got.Host, got.RequestURI, got.Header)
	}
	if strings.Join(got.Header["X-More"], ",") != "a,b" || got.Header.Get("X-Plan") != "gold" || got.Header.Get("X-Gone") != "" {
		t.Errorf("%v", got.Header)
	}
}

func TestPath_ARevokedCallerIsRefusedAndOthersAreNot(t *testing.T) {
	w := start(t, setup{})
	mine, theirs := w.issuer.Mint(tokentest.Session("s-1")), w.issuer.Mint(tokentest.Session("s-2"))
	w.want(w.get("/closed", bearer(mine)), 200, "")
	w.issuer.Revoke(token.KindSession, "s-1")
	eventually(t, "the revoked session is refused", func() bool { return w.get("/closed", bearer(mine)).status == 401 })
	w.want(w.get("/closed", bearer(mine)), 401, "INVALID_TOKEN")
	w.want(w.get("/closed", bearer(theirs)), 200, "")
	w.issuer.Revoke(token.KindUserEpoch, tokentest.DefaultSubject)
	eventually(t, "older tokens are stale", func() bool { return w.get("/closed", bearer(theirs)).code() == "TOKEN_STALE" })
}

func TestPath_OwnPathsAnswerWhateverTheRoutes(t *testing.T) {
	w := start(t, setup{resources: []string{`
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: all}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    auth: {anonymous: {reason: a test of a route that claims everything}}
    backends: [{name: files}]
`}})
	w.auth.serve(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, "openapi: 3.0.3\ninfo: {title: a, version: v1}\npaths: {}\n")
	})
	w.files.serve(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, "openapi: 3.0.3\ninfo: {title: f, version: v1}\npaths: {}\n")
	})
	for path, want := range map[string]string{
		"/livez": `"live"`, "/readyz": `"ready"`, "/version": `"go"`, "/openapi.yaml": "/livez:", "/openapi.json": `"/livez"`, "/docs": "<h1>Cloakroom",
	} {
		a := w.get(path)
		w.want(a, 200, "")
		if !strings.Contains(a.body, want) {
			t.Errorf("%s answers %s", path, a.body)
		}
	}
	w.want(w.do(http.MethodPost, "/livez", "x"), 405, "METHOD_NOT_ALLOWED")
	if n := w.files.count(); n != 1 {
		t.Errorf("the service got %d requests, not just the one for its contract", n)
	}
}

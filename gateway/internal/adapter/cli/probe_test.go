package cli_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	someKeys = `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"k1","alg":"EdDSA","use":"sig"}]}`
	refusal  = `{"type":"about:blank","title":"Unauthorized","status":401,"code":"AUTH_ERROR"}`
)

// installation is one that answers as it should, unless a case says otherwise for a path.
func installation(t *testing.T, other map[string]http.HandlerFunc) *httptest.Server {
	t.Helper()
	right := map[string]http.HandlerFunc{
		"/readyz":                answers(200, "application/json", `{"status":"ready"}`),
		"/.well-known/jwks.json": answers(200, "application/json", someKeys),
		"/v1/users/me":           answers(401, "application/problem+json", refusal),
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler := right[r.URL.Path]
		if h, ok := other[r.URL.Path]; ok {
			handler = h
		}
		if handler == nil {
			handler = http.NotFound
		}
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func answers(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

func TestProbe_SaysWhatIsWellAndGoesOnAskingUntilItIs(t *testing.T) {
	ready := 0
	s := installation(t, map[string]http.HandlerFunc{"/readyz": func(w http.ResponseWriter, r *http.Request) {
		if ready++; ready == 1 {
			answers(503, "application/json", `{"status":"not ready"}`)(w, r)
		}
	}})
	code, out, errs := gateway("probe", "--ready", s.URL, s.URL)
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	want := "ok  the gateway is ready\nok  every address of " + strings.TrimPrefix(s.URL, "http://") +
		" is ready\nok  public keys are served\nok  a request without a token is refused\n"
	if out != want || ready != 3 {
		t.Errorf("%d times asked for readiness, and said\n%s", ready, out)
	}
}

// An installation that is broken in any way it could be is no good one.
func TestProbe_FindsWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		path   string
		answer http.HandlerFunc
		says   string
	}{
		"not ready":                   {"/readyz", answers(503, "application/json", `{}`), "the gateway is ready: "},
		"no keys":                     {"/.well-known/jwks.json", answers(200, "application/json", `{"keys":[]}`), "empty"},
		"keys without ids":            {"/.well-known/jwks.json", answers(200, "application/json", `{"keys":[{"kty":"OKP","alg":"EdDSA","use":"sig"}]}`), "wants a type, an id"},
		"a page where keys should be": {"/.well-known/jwks.json", answers(200, "text/html", `<html>`), "no key set"},
		"an open door":                {"/v1/users/me", answers(200, "application/json", `{}`), "answers 200, not 401"},
		"somebody else's door":        {"/v1/users/me", answers(401, "text/html", `login`), "not as a problem document"},
		"a refusal of another kind":   {"/v1/users/me", answers(401, "application/problem+json", `{"status":401,"code":"TOKEN_STALE"}`), "TOKEN_STALE"},
		"a way to another place":      {"/v1/users/me", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "answers 302"},
	} {
		s := installation(t, map[string]http.HandlerFunc{c.path: c.answer})
		code, _, errs := gateway("probe", "--patience", "1ms", s.URL)
		if code != 1 || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit %d, %s", name, code, errs)
		}
	}
}

func TestProbe_AsksByTheNameThatRoutesAreFor(t *testing.T) {
	s := installation(t, map[string]http.HandlerFunc{"/readyz": func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "files.example" {
			http.NotFound(w, r)
		}
	}})
	if code, _, errs := gateway("probe", "--patience", "1ms", "--host", "files.example", s.URL); code != 0 {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestProbe_WantsAddresses(t *testing.T) {
	for _, args := range [][]string{{"probe"}, {"probe", "gateway:80"}, {"probe", "ftp://gateway"}, {"probe", "--ready", "auth", "http://gateway"}} {
		if code, _, errs := gateway(args...); code != 2 {
			t.Errorf("%v: exit %d, %s", args, code, errs)
		}
	}
}

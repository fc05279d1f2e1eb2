// Package dialects holds the contracts of other systems against the documents of those systems: black box, through the gateway,
// on both ways in. What a test asks for stands in a document; what is different on purpose, in docs/guides/dialects.md.
package dialects

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

type fields map[string]any

// start is a stack whose limits no test of one address meets; the limits have a test of their own.
func start(t *testing.T, edits ...func(string) string) *harness.Stack {
	t.Helper()
	edits = append(edits, harness.Replace(t, "window: 15m}", "window: 15m, mode: Shadow}"))
	return harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t, edits...))
}

// mount is one way in to a dialect.
type mount struct {
	t    testing.TB
	base string
	host string // Host header; empty for that of base
}

// mounts are both ways in: by path, and by a host of its own.
func mounts(t *testing.T, s *harness.Stack, dialect string) map[string]mount {
	return map[string]mount{
		"by path": {t, s.Public + "/compat/" + dialect, ""},
		"by host": {t, s.Public, dialect + ".localhost"},
	}
}

// onBoth runs a test on both ways in.
func onBoth(t *testing.T, s *harness.Stack, dialect string, test func(t *testing.T, m mount)) {
	t.Helper()
	for name, m := range mounts(t, s, dialect) {
		t.Run(name, func(t *testing.T) {
			m.t = t
			test(t, m)
		})
	}
}

// with sends headers: name, value, name, value.
func with(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func bearer(token string) http.Header { return with("Authorization", "Bearer "+token) }

// answer is an answer read whole.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   []byte
}

// do sends a request. A string or an io.Reader goes out as it is, as JSON; anything else is encoded.
func (m mount) do(method, path string, body any, headers ...http.Header) answer {
	m.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			m.t.Fatal(err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, m.base+path, reader)
	if err != nil {
		m.t.Fatal(err)
	}
	req.Host = m.host
	if reader != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		for name, values := range h {
			req.Header[name] = values
		}
	}
	client := http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		m.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		m.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{m.t, method + " " + path, res.StatusCode, res.Header, raw}
}

// is fails the test unless the answer has this status and this body, in the words of like.
func (a answer) is(status int, want any) fields {
	a.t.Helper()
	var got any
	if err := json.Unmarshal(a.body, &got); err != nil {
		a.t.Fatalf("%s answered %d, and no JSON: %s", a.what, a.status, a.body)
	}
	if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		a.t.Errorf("%s answered %s", a.what, kind)
	}
	if a.status != status {
		a.t.Fatalf("%s answered %d, want %d: %s", a.what, a.status, status, a.body)
	}
	if diff := unlike("answer", got, want); diff != "" {
		a.t.Fatalf("%s: %s\n%s", a.what, diff, a.body)
	}
	object, _ := got.(map[string]any)
	return object
}

// like is what a text must be like: a pattern for the whole of it.
type like string

// What texts are like.
const (
	anything  like = `(?s).+`
	id        like = `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`
	jwt       like = `eyJ[\w-]+\.[\w-]+\.[\w-]+`
	millis    like = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`
	wholeSecs like = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`
)

// unlike says how got differs from want, "" when it does not. Objects have exactly the names of want.
func unlike(at string, got, want any) string {
	switch want := want.(type) {
	case like:
		if s, ok := got.(string); !ok || !regexp.MustCompile(`\A(?:`+string(want)+`)\z`).MatchString(s) {
			return fmt.Sprintf("%s is %v, want something like %s", at, got, want)
		}
	case fields:
		object, ok := got.(map[string]any)
		if !ok || len(object) != len(want) {
			return fmt.Sprintf("%s has the names %v, want %v", at, names(object), names(want))
		}
		for name, w := range want {
			g, there := object[name]
			if !there {
				return fmt.Sprintf("%s has no %s", at, name)
			}
			if diff := unlike(at+"."+name, g, w); diff != "" {
				return diff
			}
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Sprintf("%s is %v, want %d of them", at, got, len(want))
		}
		for i, w := range want {
			if diff := unlike(fmt.Sprintf("%s[%d]", at, i), list[i], w); diff != "" {
				return diff
			}
		}
	case anyList:
		if _, ok := got.([]any); !ok {
			return fmt.Sprintf("%s is %v, want a list", at, got)
		}
	case int:
		if got != float64(want) {
			return fmt.Sprintf("%s is %v, want %v", at, got, want)
		}
	default:
		if got != want {
			return fmt.Sprintf("%s is %v, want %v", at, got, want)
		}
	}
	return ""
}

func names[V any](object map[string]V) (list []string) {
	for name := range object {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// text is the text at a path of names.
func (f fields) text(t testing.TB, path ...string) string {
	t.Helper()
	var at any = map[string]any(f)
	for _, name := range path {
		object, _ := at.(map[string]any)
		at = object[name]
	}
	s, ok := at.(string)
	if !ok {
		t.Fatalf("no text at %v in %v", path, f)
	}
	return s
}

// claims reads a token without a look at its signature.
func claims(t testing.TB, token string) (header, payload fields) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	for i, into := range []*fields{&header, &payload} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}

// forgeries are tokens that must open nothing, made of a good one, by what is wrong with them.
func forgeries(good string) map[string]string {
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
	otherKey := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","typ":"at+jwt","kid":"' OR 1=1 --"}`))
	return map[string]string{
		"alg none":             none + "." + parts[1] + ".",
		"alg none, signed":     none + "." + parts[1] + "." + parts[2],
		"a wrong key":          otherKey + "." + parts[1] + "." + parts[2],
		"another signature":    parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
		"another payload":      parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"admin"}`)) + "." + parts[2],
		"no token at all":      "nonsense",
		"an injection":         "'; DROP TABLE users; --",
		"an API key like that": "crk_" + strings.Repeat("A", 86),
	}
}

// person is a name nobody has.
func person() (username, email string) {
	name := strings.ReplaceAll(harness.NewUsername(), "-", "x")
	return name, name + "@example.org"
}

// injections are texts that end other people's statements.
var injections = []string{`' OR '1'='1`, `"; DROP TABLE users; --`, `{"$gt": ""}`, "\u0000", strings.Repeat("%", 300)}

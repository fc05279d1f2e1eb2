package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// bodies is every route that takes a body, with one that would be granted if nothing were wrong with it.
func bodies(ada session, key string) []ask {
	one := []object{{"resource": "files", "action": "read", "scope": "self"}}
	return []ask{
		{method: "POST", path: "/v1/auth/signup", body: object{"username": "mallory", "password": password}},
		{method: "POST", path: "/v1/auth/login", body: object{"identifier": "ada", "password": password}},
		{method: "POST", path: "/v1/auth/refresh", body: object{"refresh_token": ada.Session.RefreshToken}},
		{method: "POST", path: "/v1/auth/logout-all", token: ada.access(), body: object{"keep_current": true}},
		{method: "POST", path: "/v1/auth/password/change", token: ada.access(), body: object{"current_password": password, "new_password": password + "!"}},
		{method: "PATCH", path: "/v1/users/me", token: ada.access(), body: object{"name": "Mallory"}},
		{method: "DELETE", path: "/v1/users/me", token: ada.access(), body: object{"current_password": password}},
		{method: "PATCH", path: "/v1/users/" + ada.User.ID, token: ada.access(), body: object{"status": "blocked"}},
		{method: "POST", path: "/v1/api-keys", token: ada.access(), body: object{"name": "x", "permissions": one}},
		{method: "POST", path: "/internal/v1/api-keys/exchange", internal: true, body: object{"api_key": key}},
		{method: "POST", path: "/internal/v1/introspect", internal: true, body: object{"access_token": ada.access()}},
		{method: "POST", path: "/internal/v1/revocations/acks", internal: true, body: object{"follower": "a", "seq": 0}},
	}
}

// spoil turns a good body into bad ones. Each keeps every good field, so that nothing but the fault refuses it.
func spoil(good string) map[string]string {
	fields := strings.TrimSuffix(strings.TrimPrefix(good, "{"), "}")
	first := fields[:strings.Index(fields, ":")] // "name" with its quotes
	variant := strings.ToUpper(first[:2]) + first[2:]
	return map[string]string{
		"unknown field":        `{` + fields + `,"x":1}`,
		"privileged field":     `{` + fields + `,"role":"admin","verified":true,"user_id":"x","banned_until":null}`,
		"duplicate key":        `{` + fields + `,` + fields + `}`,
		"case-variant key":     `{` + fields + `,` + variant + `:1}`,
		"prototype":            `{` + fields + `,"__proto__":{}}`,
		"deep":                 `{` + fields + `,"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`,
		"array":                `[` + good + `]`,
		"two values":           good + good,
		"cut":                  good[:len(good)-1],
		"trailing comma":       `{` + fields + `,}`,
		"comment":              `{` + fields + `/*x*/}`,
		"byte order mark":      "\ufeff" + good,
		"broken UTF-8":         `{` + fields + `,"x":"` + "\xff" + `"}`,
		"lone surrogate":       `{` + fields + `,"x":"\ud800"}`,
		"null":                 `null`,
		"text":                 `"x"`,
		"form":                 `username=mallory&password=x`,
		"one value, all types": `{` + first + `:{"a":[1,2]}}`,
	}
}

func TestHostile_BodiesChangeNothing(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	for _, good := range bodies(ada, h.createKey(ada, "k").Key) {
		raw, _ := json.Marshal(good.body)
		for name, body := range spoil(string(raw)) {
			bad := good
			bad.body = body
			got := h.do(bad)
			var doc struct{ Code string }
			if json.Unmarshal(got.body, &doc) != nil || got.status != 400 || doc.Code != "VALIDATION_ERROR" {
				t.Errorf("%s %s, %s: %d %s", good.method, good.path, name, got.status, got.body)
			}
		}
		for name, c := range map[string]struct {
			ask
			status int
		}{
			"over the limit":        {ask{body: `{"x":"` + strings.Repeat("x", 1<<20) + `"}`}, 413},
			"plain text":            {ask{body: string(raw), header: map[string]string{"Content-Type": "text/plain"}}, 415},
			"form":                  {ask{body: string(raw), header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415},
			"no type":               {ask{body: string(raw), header: map[string]string{"Content-Type": ""}}, 415},
			"another character set": {ask{body: string(raw), header: map[string]string{"Content-Type": "application/json; charset=utf-16"}}, 415},
			"packed":                {ask{body: string(raw), header: map[string]string{"Content-Encoding": "gzip"}}, 415},
			"unknown query":         {ask{body: string(raw), path: "?x=1"}, 400},
			"credential in query":   {ask{body: string(raw), path: "?access_token=" + ada.access()}, 400},
		} {
			bad := good
			bad.body, bad.header, bad.path = c.body, c.header, good.path+c.path
			if got := h.do(bad); got.status != c.status {
				t.Errorf("%s %s, %s: %d %s, want %d", good.method, good.path, name, got.status, got.body, c.status)
			}
		}
	}
	// Ada is as she was: same sessions, same password, same name, and there is no Mallory.
	h.check(ada.access()).want(200, "")
	h.refresh(ada.Session.RefreshToken).want(200, "")
	h.login("ada", password)
	h.do(ask{method: "POST", path: "/v1/auth/login", body: object{"identifier": "mallory", "password": password}}).want(401, "INVALID_CREDENTIALS")
	var me struct{ Name, Status string }
	h.do(ask{method: "GET", path: "/v1/users/me", token: ada.access()}).want(200, "").into(&me)
	if me.Name != "" || me.Status != "active" {
		t.Errorf("Ada is now %+v", me)
	}
}

func TestHostile_OneAnswerListsEveryBadField(t *testing.T) {
	h := openHouse(t)
	r := h.do(ask{method: "POST", path: "/v1/auth/login", body: `{"identifier":1,"password":[],"device_name":{},"x":1}`}).want(400, "VALIDATION_ERROR")
	var doc struct {
		Errors []struct{ Field string }
	}
	r.into(&doc)
	var named []string
	for _, e := range doc.Errors {
		named = append(named, e.Field)
	}
	if slices.Sort(named); !slices.Equal(named, []string{"device_name", "identifier", "password", "x"}) {
		t.Errorf("listed %s", r.body)
	}
}

func TestHostile_PathsAndMethods(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	for _, path := range []string{"/", "/v1", "/v1/auth/session/", "//v1/auth/session", "/v1/auth/../auth/session", "/V1/auth/session", "/v1/auth/session%2f"} {
		h.do(ask{method: "GET", path: path, token: ada.access()}).want(404, "NOT_FOUND")
	}
	r := h.do(ask{method: "PUT", path: "/v1/users/me", token: ada.access(), body: object{}}).want(405, "METHOD_NOT_ALLOWED")
	if allow := r.header.Get("Allow"); !strings.Contains(allow, "PATCH") || !strings.Contains(allow, "DELETE") {
		t.Errorf("Allow: %s", allow)
	}
	// A method in a header is not a method.
	h.do(ask{method: "POST", path: "/v1/users/me", token: ada.access(), body: object{"current_password": password},
		header: map[string]string{"X-HTTP-Method-Override": "DELETE"}}).want(405, "METHOD_NOT_ALLOWED")
}

func segment(v any) string {
	raw, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(raw)
}

func TestHostile_AccessTokens(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	good := ada.access()
	parts := strings.Split(good, ".")
	var header, claims object
	for i, into := range []*object{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, into) != nil {
			t.Fatal("the good token can't be read")
		}
	}
	with := func(o object, key string, value any) object {
		copied := object{}
		for k, v := range o {
			copied[k] = v
		}
		if copied[key] = value; value == nil {
			delete(copied, key)
		}
		return copied
	}
	head := func(key string, value any) string {
		return segment(with(header, key, value)) + "." + parts[1] + "." + parts[2]
	}
	body := func(key string, value any) string {
		return parts[0] + "." + segment(with(claims, key, value)) + "." + parts[2]
	}
	made := h.createKey(ada, "k")
	for name, token := range map[string]string{
		"alg none":                  segment(with(header, "alg", "none")) + "." + parts[1] + ".",
		"alg NonE":                  segment(with(header, "alg", "NonE")) + "." + parts[1] + ".",
		"no alg":                    head("alg", nil),
		"alg of another key type":   head("alg", "RS256"),
		"symmetric alg":             head("alg", "HS256"),
		"no kid":                    head("kid", nil),
		"unknown kid":               head("kid", "0193445c-6f2e-7c1a-9f3e-2f6d1f0a7b11"),
		"kid as a path":             head("kid", "../../../dev/null"),
		"kid as SQL":                head("kid", "' OR 1=1 --"),
		"kid of 16 KB":              head("kid", strings.Repeat("k", 16<<10)),
		"kid as a list":             head("kid", []string{"a"}),
		"kid with a null byte":      head("kid", "a\x00"),
		"key from outside":          head("jku", "http://127.0.0.1:1/keys"),
		"embedded key":              head("jwk", object{"kty": "OKP", "crv": "Ed25519", "x": "AA"}),
		"certificate":               head("x5c", []string{"AA"}),
		"critical extension":        head("crit", []string{"b64"}),
		"unencoded payload":         head("b64", false),
		"packed payload":            head("zip", "DEF"),
		"type of an ID token":       head("typ", "JWT"),
		"no type":                   head("typ", nil),
		"another subject":           body("sub", h.admin.Username),
		"more rights":               body("permissions", []string{"users:update:all"}),
		"longer life":               body("exp", 99999999999),
		"no signature":              parts[0] + "." + parts[1] + ".",
		"cut signature":             good[:len(good)-2],
		"signature of zeros":        parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"padded signature":          good + "==",
		"a part more":               good + ".x",
		"parts of an encrypted one": good + ".x.y",
		"two parts":                 parts[0] + "." + parts[1],
		"only dots":                 strings.Repeat(".", 30_000),
		"refresh token":             ada.Session.RefreshToken,
		"API key":                   made.Key,
		"garbage":                   "garbage",
	} {
		if got := h.check(token); got.status != 401 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	h.check(good).want(200, "")
	for name, value := range map[string]string{
		"no scheme": good, "another scheme": "Basic " + good, "two tokens": "Bearer " + good + " " + good, "empty": "Bearer ", "list": "Bearer " + good + ", Bearer " + good,
	} {
		r := h.do(ask{method: "GET", path: "/v1/auth/session", header: map[string]string{"Authorization": value}})
		if r.status != 401 && r.status != 400 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	twice, _ := http.NewRequestWithContext(t.Context(), "GET", h.public.URL+"/v1/auth/session", nil)
	twice.Header["Authorization"] = []string{"Bearer " + good, "Bearer " + good}
	if res, err := http.DefaultClient.Do(twice); err != nil || res.StatusCode != 400 {
		t.Errorf("two Authorization headers: %v, %v", res, err)
	}
}

// What a client claims to be is believed of the gateway's one header only, and is no way to become somebody.
func TestHostile_IdentityHeadersAreNothing(t *testing.T) {
	h := openHouse(t)
	ada := h.signup("ada")
	for _, name := range []string{"X-User-Id", "X-Session-Id", "X-Roles", "X-Internal-Token", "Cookie", "X-Api-Key", "X-Auth-Token"} {
		h.do(ask{method: "GET", path: "/v1/users/me", header: map[string]string{name: ada.User.ID}}).want(401, "AUTH_ERROR")
	}
}

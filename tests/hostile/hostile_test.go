// Package hostile sends what attackers and broken clients send, black box over HTTP, one named test a case. Each case
// says what it does, and what must come back; and when it was refused, that nothing has changed.
package hostile

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func TestMain(m *testing.M) {
	floodIfAsked()
	harness.Main(m)
}

// gateway is the one stack that all tests share which need nothing but a gateway and people of their own.
func gateway(t *testing.T) *harness.Client {
	t.Helper()
	return harness.Shared(t)
}

func raw(body, contentType string) (io.Reader, harness.Option) {
	return strings.NewReader(body), harness.Header("Content-Type", contentType)
}

const (
	// patience is how long a test waits for what is certain to come, on a machine that has other things to do.
	patience = time.Minute
	// soon is when something has come that nothing holds up, a second where the machine has time. What a token outlives its
	// session by otherwise, and the window of a slow body, is longer.
	soon = 10 * time.Second
)

// exchange writes bytes on a TCP connection and returns every answer that comes back until the server closes, or is silent for a
// second without having said that it would close.
func exchange(t *testing.T, c *harness.Client, request string) (answers []*http.Response) {
	t.Helper()
	u, err := url.Parse(c.Base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", u.Host, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience)) // a first answer is owed
	if _, err := io.WriteString(conn, strings.ReplaceAll(request, "HOST", u.Host)); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			return answers
		}
		body, _ := io.ReadAll(res.Body)
		res.Body = io.NopCloser(strings.NewReader(string(body)))
		answers = append(answers, res)
		if !res.Close {
			_ = conn.SetReadDeadline(time.Now().Add(time.Second)) // a second one would follow at once
		}
	}
}

// problemWithID wants a refusal that every client can read, and that can be found in the log.
func problemWithID(t *testing.T, a *http.Response) {
	t.Helper()
	var doc struct {
		Status         int
		Code, Instance string
	}
	raw, _ := io.ReadAll(a.Body)
	err := json.Unmarshal(raw, &doc)
	if err != nil || a.Header.Get("Content-Type") != "application/problem+json" || doc.Status != a.StatusCode || doc.Code == "" ||
		doc.Instance == "" || doc.Instance != a.Header.Get("X-Request-Id") {
		t.Errorf("answered %q with %v, want a problem document with the request's id", raw, a.Header)
	}
}

func TestFraming(t *testing.T) {
	c := gateway(t)
	const tail = "\r\n\r\n"
	for name, request := range map[string]string{
		"both Content-Length and Transfer-Encoding": "POST /v1/auth/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nTransfer-Encoding: chunked" + tail + "0" + tail + "GET /livez HTTP/1.1\r\nHost: HOST" + tail,
		"two different Content-Lengths":             "POST /v1/auth/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\nContent-Length: 5" + tail + "{}  ",
		"a signed Content-Length":                   "POST /v1/auth/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: +2" + tail + "{}",
		"a negative Content-Length":                 "POST /v1/auth/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: -2" + tail + "{}",
		"an unknown Transfer-Encoding":              "POST /v1/auth/login HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: gzip, chunked" + tail + "0" + tail,
		"a folded header":                           "GET /livez HTTP/1.1\r\nHost: HOST\r\nX-A: b\r\n c: d" + tail,
		"a header name with a space":                "GET /livez HTTP/1.1\r\nHost: HOST\r\nContent-Length : 0" + tail,
		"two Hosts":                                 "GET /livez HTTP/1.1\r\nHost: HOST\r\nHost: other" + tail,
		"no Host":                                   "GET /livez HTTP/1.1" + tail,
		"a NUL in a header":                         "GET /livez HTTP/1.1\r\nHost: HOST\r\nX-A: \x00" + tail,
		"two Authorization headers":                 "GET /v1/users/me HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b" + tail,
		"dot segments":                              "GET /v1/files/../users/me HTTP/1.1\r\nHost: HOST" + tail,
		"encoded dot segments":                      "GET /v1/files/%2e%2e/users/me HTTP/1.1\r\nHost: HOST" + tail,
		"an encoded slash":                          "GET /v1/files%2Fusage HTTP/1.1\r\nHost: HOST" + tail,
		"a backslash":                               "GET /v1\\files HTTP/1.1\r\nHost: HOST" + tail,
		"a line that is no request":                 "hello" + tail,
		"a method that is none":                     "G{T /livez HTTP/1.1\r\nHost: HOST" + tail,
		"a version to come":                         "GET /livez HTTP/3.0\r\nHost: HOST" + tail,
		"a host that is none":                       "GET /livez HTTP/1.1\r\nHost: a b" + tail,
		"an encoding that is not chunked":           "POST /livez HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: gzip, chunked" + tail,
		"an expectation":                            "GET /livez HTTP/1.1\r\nHost: HOST\r\nExpect: 200-ok" + tail,
		"a broken escape":                           "GET /v1/files/%zz HTTP/1.1\r\nHost: HOST" + tail,
		"an encoded NUL":                            "GET /v1/files/%00 HTTP/1.1\r\nHost: HOST" + tail,
		"an access token in the query":              "GET /v1/users/me?access_token=abc HTTP/1.1\r\nHost: HOST" + tail,
	} {
		t.Run(name, func(t *testing.T) {
			answers := exchange(t, c, request)
			if len(answers) != 1 {
				t.Fatalf("%d answers to one request", len(answers))
			}
			if s := answers[0].StatusCode; s != http.StatusBadRequest && s != http.StatusNotImplemented {
				t.Errorf("answered %d, want 400", s)
			}
			problemWithID(t, answers[0])
			if !answers[0].Close && answers[0].Header.Get("Connection") != "close" && strings.Contains(name, "Content-Length and") {
				t.Error("the connection stayed open after ambiguous framing")
			}
		})
	}
	t.Run("a header past the limit", func(t *testing.T) {
		a := exchange(t, c, "GET /livez HTTP/1.1\r\nHost: HOST\r\nX-A: "+strings.Repeat("a", 2<<20)+tail)
		if len(a) != 1 || a[0].StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Fatalf("answers %+v, want one 431", a)
		}
		problemWithID(t, a[0])
	})
	t.Run("a target past the limit", func(t *testing.T) {
		a := exchange(t, c, "GET /livez?"+strings.Repeat("a", 2<<20)+" HTTP/1.1\r\nHost: HOST"+tail)
		if len(a) != 1 || a[0].StatusCode != http.StatusRequestURITooLong {
			t.Fatalf("answers %+v, want one 414", a)
		}
		problemWithID(t, a[0])
	})
	t.Run("a header that trickles in", func(t *testing.T) {
		u, _ := url.Parse(c.Base)
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\nX-A: ")
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("the connection was still open after 20 s: %v", err)
		}
	})
}

func TestBody(t *testing.T) {
	c := gateway(t)
	ok := func() string {
		return fmt.Sprintf(`"username":%q,"password":%q`, harness.NewUsername(), harness.Password)
	}
	for name, tc := range map[string]struct {
		body, contentType string
		status            int
		code, field       string
	}{
		"unknown field":           {`{` + ok() + `,"favourite":1}`, "application/json", 400, "VALIDATION_ERROR", "favourite"},
		"role is nobody's to ask": {`{` + ok() + `,"roles":["admin"]}`, "application/json", 400, "VALIDATION_ERROR", "roles"},
		"verified is not either":  {`{` + ok() + `,"email_verified":true}`, "application/json", 400, "VALIDATION_ERROR", "email_verified"},
		"duplicate key":           {`{` + ok() + `,"password":"another long password"}`, "application/json", 400, "VALIDATION_ERROR", "password"},
		"case variant":            {`{"Username":"x","password":"another long password"}`, "application/json", 400, "VALIDATION_ERROR", "Username"},
		"wrong type":              {`{"username":7,"password":"another long password"}`, "application/json", 400, "VALIDATION_ERROR", "username"},
		"no identifier":           {`{"password":"another long password"}`, "application/json", 400, "VALIDATION_ERROR", ""},
		"short password":          {`{"username":"short-password","password":"a"}`, "application/json", 400, "VALIDATION_ERROR", "password"},
		"password is the name":    {`{"username":"someverylongname","password":"someverylongname"}`, "application/json", 400, "VALIDATION_ERROR", "password"},
		"broken email":            {`{"email":"\"<script>\"@","password":"another long password"}`, "application/json", 400, "VALIDATION_ERROR", "email"},
		"email past its length":   {`{"email":"` + strings.Repeat("a", 260) + `@example.org","password":"another long password"}`, "application/json", 400, "VALIDATION_ERROR", "email"},
		"broken phone":            {`{"phone":"call me","password":"another long password"}`, "application/json", 400, "VALIDATION_ERROR", "phone"},
		"array":                   {`[]`, "application/json", 400, "VALIDATION_ERROR", ""},
		"two values":              {`{` + ok() + `}{}`, "application/json", 400, "VALIDATION_ERROR", ""},
		"cut short":               {`{` + ok(), "application/json", 400, "VALIDATION_ERROR", ""},
		"broken UTF-8":            {"{\"username\":\"\xff\xfe\"}", "application/json", 400, "VALIDATION_ERROR", ""},
		"lone surrogate":          {`{"username":"\ud800"}`, "application/json", 400, "VALIDATION_ERROR", ""},
		"ten thousand deep":       {`{"username":` + strings.Repeat(`[`, 10_000) + strings.Repeat(`]`, 10_000) + `}`, "application/json", 400, "VALIDATION_ERROR", ""},
		"form from another site":  {`username=a&password=b`, "application/x-www-form-urlencoded", 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		"JSON that says text":     {`{` + ok() + `}`, "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		"a megabyte and one":      {`{"username":"` + strings.Repeat("a", 1<<20) + `"}`, "application/json", 413, "PAYLOAD_TOO_LARGE", ""},
	} {
		t.Run(name, func(t *testing.T) {
			body, ct := raw(tc.body, tc.contentType)
			p := c.Do("POST", "/v1/auth/signup", body, ct).Refused(tc.status, tc.code)
			found := tc.field == ""
			for _, e := range p.Errors {
				found = found || e.Field == tc.field
			}
			if !found {
				t.Errorf("%s is not named in %+v", tc.field, p.Errors)
			}
		})
	}
	t.Run("a compressed body", func(t *testing.T) {
		body, ct := raw("\x1f\x8b\x08", "application/json")
		c.Do("POST", "/v1/auth/signup", body, ct, harness.Header("Content-Encoding", "gzip")).Refused(415, "UNSUPPORTED_MEDIA_TYPE")
	})
	t.Run("a second person of one name, in other letters", func(t *testing.T) {
		name := harness.NewUsername()
		c.Do("POST", "/v1/auth/signup", map[string]string{"username": name, "password": harness.Password}).Is(201)
		c.Do("POST", "/v1/auth/signup", map[string]string{"username": strings.ToUpper(name), "password": harness.Password}).Refused(409, "USER_EXISTS")
		c.Do("POST", "/v1/auth/signup", map[string]string{"email": name + "@Example.ORG", "password": harness.Password}).Is(201)
		c.Do("POST", "/v1/auth/signup", map[string]string{"email": name + "@example.org", "password": harness.Password}).Refused(409, "USER_EXISTS")
	})
}

func TestLogin(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	login := func(identifier, password string) *harness.Answer {
		return c.Do("POST", "/v1/auth/login", map[string]string{"identifier": identifier, "password": password})
	}
	var bodies []string
	for name, try := range map[string][2]string{
		"unknown person":                 {"nobody-of-this-name", harness.Password},
		"wrong password":                 {ada.User.Username, "not the password at all"},
		"password in other letters":      {ada.User.Username, strings.ToUpper(harness.Password)},
		"password with a space behind":   {ada.User.Username, harness.Password + " "},
		"injection in the identifier":    {"' OR 1=1 --", harness.Password},
		"password of a thousand letters": {ada.User.Username, strings.Repeat("a", 1000)},
	} {
		t.Run(name, func(t *testing.T) {
			p := login(try[0], try[1]).Refused(401, "INVALID_CREDENTIALS")
			p.Instance = ""
			b, _ := json.Marshal(p)
			bodies = append(bodies, string(b))
		})
	}
	for _, b := range bodies {
		if b != bodies[0] {
			t.Errorf("refusals differ: %s and %s", bodies[0], b)
		}
	}
	ada.Do("GET", "/v1/auth/session", nil).Is(200)
	c.LogIn(ada.User.Username, harness.Password)
}

func segment(v any) string {
	b, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestAccessToken(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	good := ada.Session.AccessToken
	parts := strings.Split(good, ".")
	rawHeader, _ := base64.RawURLEncoding.DecodeString(parts[0])
	var header map[string]any
	if err := json.Unmarshal(rawHeader, &header); err != nil {
		t.Fatal(err)
	}
	with := func(changes map[string]any) string {
		h := map[string]any{}
		for k, v := range header {
			h[k] = v
		}
		for k, v := range changes {
			h[k] = v
		}
		return segment(h) + "." + parts[1] + "." + parts[2]
	}
	hs256 := func() string {
		head := segment(map[string]any{"alg": "HS256", "typ": "at+jwt", "kid": header["kid"]}) + "." + parts[1]
		mac := hmac.New(sha256.New, c.Do("GET", "/.well-known/jwks.json", nil).Is(200).Body)
		mac.Write([]byte(head))
		return head + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	swapped := []byte(good)
	swapped[len(swapped)-5] ^= 1
	for name, token := range map[string]string{
		"no algorithm":                  segment(map[string]any{"alg": "none", "typ": "at+jwt"}) + "." + parts[1] + ".",
		"no algorithm in other letters": segment(map[string]any{"alg": "NonE", "typ": "at+jwt"}) + "." + parts[1] + ".",
		"no algorithm, signature kept":  with(map[string]any{"alg": "none"}),
		"signed with the public key":    hs256(),
		"another algorithm for the key": with(map[string]any{"alg": "ES256"}),
		"an unknown key":                with(map[string]any{"kid": "never-was"}),
		"a key that is a path":          with(map[string]any{"kid": "../../dev/null"}),
		"a key that is an injection":    with(map[string]any{"kid": "' OR 1=1 --"}),
		"a key that is a list":          with(map[string]any{"kid": []string{"a"}}),
		"a key of 4000 letters":         with(map[string]any{"kid": strings.Repeat("k", 4000)}),
		"a key to fetch":                with(map[string]any{"jku": "http://127.0.0.1:1/"}),
		"a key of its own":              with(map[string]any{"jwk": map[string]any{"kty": "OKP"}}),
		"a critical extension":          with(map[string]any{"crit": []string{"x"}, "x": 1}),
		"an unencoded payload":          with(map[string]any{"b64": false, "crit": []string{"b64"}}),
		"compressed":                    with(map[string]any{"zip": "DEF"}),
		"another type":                  with(map[string]any{"typ": "JWT"}),
		"one bit of the signature":      string(swapped),
		"no signature":                  parts[0] + "." + parts[1] + ".",
		"two parts":                     parts[0] + "." + parts[1],
		"five parts":                    good + ".a.b",
		"only dots":                     strings.Repeat(".", 5000),
		"padding":                       parts[0] + "=." + parts[1] + "." + parts[2],
		"a refresh token":               ada.Session.RefreshToken,
		"a claim of another person":     parts[0] + "." + segment(map[string]any{"sub": "admin", "exp": 1 << 40}) + "." + parts[2],
		"an API key that never was":     "crk_" + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
	} {
		t.Run(name, func(t *testing.T) {
			a := c.Do("GET", "/v1/users/me", nil, harness.Header("Authorization", "Bearer "+token))
			if a.Status != 401 {
				t.Fatalf("answered %d %s", a.Status, a.Body)
			}
			if a.Header.Get("WWW-Authenticate") == "" {
				t.Error("a 401 must name the scheme")
			}
		})
	}
	c.Do("GET", "/v1/users/me", nil).Refused(401, "AUTH_ERROR")
	c.Do("GET", "/v1/users/me", nil, harness.Header("Authorization", "Basic YTpi")).Refused(401, "AUTH_ERROR")
	ada.Do("GET", "/v1/users/me", nil).Is(200)
}

func TestIdentityHeaders(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	for _, name := range []string{
		"X-User-Id", "x-user-id", "X_User_Id", "X-Roles", "X-Roles-All", "X-Internal-Admin", "X-Session-Id", "X-Session_Id",
	} {
		t.Run(name, func(t *testing.T) {
			set := func(r *http.Request) { r.Header[name] = []string{"00000000-0000-0000-0000-000000000000"} }
			c.Do("GET", "/v1/users/me", nil, set).Refused(401, "AUTH_ERROR")
			var me harness.User
			ada.Do("GET", "/v1/users/me", nil, set).Is(200).JSON(&me)
			if me.ID != ada.User.ID {
				t.Errorf("became %s", me.ID)
			}
		})
	}
	t.Run("Connection names the credentials away", func(t *testing.T) {
		a := ada.Do("GET", "/v1/users/me", nil, harness.Header("Connection", "Authorization, X-Request-Id"))
		if a.Status != 200 && a.Status != 400 && a.Status != 401 {
			t.Errorf("answered %d", a.Status)
		}
	})
}

func TestRefreshToken(t *testing.T) {
	c := gateway(t)
	refresh := func(token string) *harness.Answer {
		return c.Do("POST", "/v1/auth/refresh", map[string]string{"refresh_token": token})
	}
	t.Run("fifty at once bring one successor", func(t *testing.T) {
		ada := c.SignUp()
		var mu sync.Mutex
		var group sync.WaitGroup
		successors := map[string]int{}
		for range 50 {
			group.Go(func() {
				a := c.Try("POST", "/v1/auth/refresh", map[string]string{"refresh_token": ada.Session.RefreshToken})
				if a.Err != nil || (a.Status != 200 && a.Status != 409) {
					t.Errorf("answered %d %s %v", a.Status, a.Body, a.Err)
					return
				}
				if a.Status == 200 {
					var body struct{ Session harness.Session }
					a.JSON(&body)
					mu.Lock()
					successors[body.Session.RefreshToken]++
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if len(successors) != 1 {
			t.Fatalf("%d successors, want 1", len(successors))
		}
		for s := range successors {
			refresh(s).Is(200)
		}
	})
	t.Run("a spent one, after its successor was used, ends everything", func(t *testing.T) {
		ada := c.SignUp()
		stolen := ada.Session.RefreshToken
		ada.Refresh().Is(200)
		ada.Refresh().Is(200)
		refresh(stolen).Refused(401, "INVALID_REFRESH_TOKEN")
		ada.Refresh().Refused(401, "INVALID_REFRESH_TOKEN") // the token that was live a moment before
		deadline := time.Now().Add(soon)
		for ada.Do("GET", "/v1/auth/session", nil).Status != 401 {
			if time.Now().After(deadline) {
				t.Fatal("the access token outlives the theft")
			}
		}
	})
	t.Run("a forged one kills nothing", func(t *testing.T) {
		ada := c.SignUp()
		body, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(ada.Session.RefreshToken, "crr_"))
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range []int{2, 20, 30, len(body) - 1} { // session, generation, secret, MAC
			forged := append([]byte(nil), body...)
			forged[i] ^= 1
			refresh("crr_"+base64.RawURLEncoding.EncodeToString(forged)).Refused(401, "INVALID_REFRESH_TOKEN")
		}
		ada.Refresh().Is(200)
	})
	for name, token := range map[string]string{
		"empty": "", "short": "crr_", "another kind": "crk_AAAA", "padding": "crr_AAAA====", "long": "crr_" + strings.Repeat("A", 100_000),
		"not base64": "crr_!!!!", "line break": "crr_AA\nAA",
	} {
		t.Run(name, func(t *testing.T) {
			if a := refresh(token); a.Status != 401 && a.Status != 400 && a.Status != 413 {
				t.Errorf("answered %d %s", a.Status, a.Body)
			}
		})
	}
	t.Run("of a session that was logged out", func(t *testing.T) {
		ada := c.SignUp()
		ada.Do("POST", "/v1/auth/logout", nil).Is(204)
		ada.Refresh().Refused(401, "INVALID_REFRESH_TOKEN")
	})
}

func TestOtherPeoplesThings(t *testing.T) {
	c := gateway(t)
	ada, eve := c.SignUp(), c.SignUp()
	file := ada.Upload("private.txt", []byte("private")).Is(201).File()
	content := func() io.Reader { return strings.NewReader("eve") }
	for name, a := range map[string]*harness.Answer{
		"read":     eve.Do("GET", "/v1/files/"+file.ID, nil),
		"download": eve.Do("GET", "/v1/files/"+file.ID+"/content", nil),
		"replace":  eve.Do("PUT", "/v1/files/"+file.ID+"/content", content(), harness.Header("Content-Type", "text/plain")),
		"rename":   eve.Do("PATCH", "/v1/files/"+file.ID, map[string]string{"name": "eve"}),
		"delete":   eve.Do("DELETE", "/v1/files/"+file.ID+"?permanent=1", nil),
		"session":  eve.Do("DELETE", "/v1/auth/sessions/"+ada.Session.SessionID, nil),
	} {
		t.Run(name, func(t *testing.T) { a.Refused(404, "NOT_FOUND") })
	}
	t.Run("an id that never was answers alike", func(t *testing.T) {
		eve.Do("GET", "/v1/files/01999999-9999-7999-8999-999999999999", nil).Refused(404, "NOT_FOUND")
	})
	t.Run("an id that is none", func(t *testing.T) {
		if a := eve.Do("GET", "/v1/files/not-an-id", nil); a.Status != 404 && a.Status != 400 {
			t.Errorf("answered %d", a.Status)
		}
	})
	t.Run("keys are the admin's", func(t *testing.T) { eve.Do("POST", "/v1/signing-keys", nil).Refused(403, "FORBIDDEN") })
	if got := ada.Do("GET", "/v1/files/"+file.ID+"/content", nil).Is(200); string(got.Body) != "private" {
		t.Errorf("the file became %q", got.Body)
	}
	ada.Do("GET", "/v1/auth/session", nil).Is(200)
}

// Package hostile sends what attackers and broken clients send, black box over HTTP, one named test a case. Each case
// says what it does, and what must come back; and when it was refused, that nothing has changed.
package hostile

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
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

package dialects

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

var (
	siteworksTokens = fields{"accessToken": jwt, "refreshToken": anything, "expiresAt": millis}
	siteworksWhole  = fields{
		"id": id, "email": anything, "name": anything, "isVerified": false, "isActive": true, "lastLoginAt": millis,
		"createdAt": millis, "updatedAt": millis,
	}
)

func siteworksUser(time string) fields {
	return fields{"id": id, "email": anything, "name": "John Doe", "isVerified": false, "isActive": true, time: millis}
}

// siteworksFailure is {success, error: {code, message}}.
func siteworksFailure(code string) fields {
	return fields{"success": false, "error": fields{"code": code, "message": anything}}
}

// siteworks registers somebody and returns their address and tokens.
func siteworks(t *testing.T, m mount) (email, access, refresh string) {
	t.Helper()
	_, email = person()
	body := m.do("POST", "/api/auth/register", fields{"email": email, "password": harness.Password, "name": "John Doe"}).is(201, fields{
		"success": true, "message": "User registered successfully", "user": siteworksUser("createdAt"), "tokens": siteworksTokens,
	})
	return email, body.text(t, "tokens", "accessToken"), body.text(t, "tokens", "refreshToken")
}

func TestSiteworks_SpeaksItsDocument(t *testing.T) {
	onBoth(t, start(t), "siteworks", func(t *testing.T, m mount) {
		email, access, refresh := siteworks(t, m)
		login := m.do("POST", "/api/auth/login", fields{"email": email, "password": harness.Password}).is(200, fields{
			"success": true, "message": "Login successful", "user": siteworksUser("lastLoginAt"), "tokens": siteworksTokens,
		})
		ends, err := time.Parse(time.RFC3339, login.text(t, "tokens", "expiresAt"))
		if left := time.Until(ends); err != nil || left < 167*time.Hour || left > 168*time.Hour {
			t.Errorf("the refresh token lives for %s (%v), want 7 days", left, err)
		}
		_, payload := claims(t, access)
		if life := payload["exp"].(float64) - payload["iat"].(float64); life != 900 {
			t.Errorf("the access token lives for %v s", life)
		}
		next := m.do("POST", "/api/auth/refresh", fields{"refreshToken": refresh}).is(200, fields{
			"success": true, "message": "Token refreshed successfully", "tokens": siteworksTokens,
		})
		access = next.text(t, "tokens", "accessToken")
		m.do("GET", "/api/auth/profile", nil, bearer(access)).is(200, fields{"success": true, "user": siteworksWhole})
		changed := m.do("PUT", "/api/auth/profile", fields{"name": "Updated Name"}, bearer(access)).is(200, fields{
			"success": true, "message": anything, "user": siteworksWhole,
		})
		if got := changed.text(t, "user", "name"); got != "Updated Name" {
			t.Errorf("the name is %q", got)
		}
		other := login.text(t, "tokens", "accessToken")
		m.do("PUT", "/api/auth/change-password", fields{"currentPassword": harness.Password, "newPassword": "NewSecurePass456!x"}, bearer(access)).
			is(200, fields{"success": true, "message": anything})
		m.do("GET", "/api/auth/profile", nil, bearer(other)).is(401, siteworksFailure("INVALID_TOKEN"))
		m.do("POST", "/api/auth/login", fields{"email": email, "password": harness.Password}).is(401, siteworksFailure("INVALID_CREDENTIALS"))
		m.do("POST", "/api/auth/logout", fields{"refreshToken": next.text(t, "tokens", "refreshToken")}, bearer(access)).
			is(200, fields{"success": true, "message": anything})
		m.do("GET", "/api/auth/profile", nil, bearer(access)).is(401, siteworksFailure("INVALID_TOKEN"))
		m.do("POST", "/api/auth/refresh", fields{"refreshToken": next.text(t, "tokens", "refreshToken")}).is(401, siteworksFailure("INVALID_REFRESH_TOKEN"))
		again := m.do("POST", "/api/auth/login", fields{"email": email, "password": "NewSecurePass456!x"})
		access = again.is(200, fields{"success": true, "message": anything, "user": fields{
			"id": id, "email": email, "name": "Updated Name", "isVerified": false, "isActive": true, "lastLoginAt": millis,
		}, "tokens": siteworksTokens}).text(t, "tokens", "accessToken")
		m.do("POST", "/api/auth/logout-all", nil, bearer(access)).is(200, fields{"success": true, "message": anything})
		m.do("GET", "/api/auth/profile", nil, bearer(access)).is(401, siteworksFailure("INVALID_TOKEN"))
	})
}

func TestSiteworks_RefusesInItsOwnWords(t *testing.T) {
	stack := start(t)
	onBoth(t, stack, "siteworks", func(t *testing.T, m mount) {
		email, access, refresh := siteworks(t, m)
		invalid := func(list ...string) fields {
			f := siteworksFailure("VALIDATION_ERROR")
			var bad []any
			for _, field := range list {
				bad = append(bad, fields{"field": field, "message": anything})
			}
			f["errors"] = bad
			return f
		}
		register := func(body any) answer { return m.do("POST", "/api/auth/register", body) }
		register(fields{}).is(400, invalid("email", "password"))
		register(fields{"email": "nobody", "password": harness.Password}).is(400, invalid("email"))
		register(fields{"email": 5, "password": harness.Password}).is(400, invalid("email"))
		register("{").is(400, invalid("body"))
		register("[]").is(400, invalid("body"))
		register(fields{"email": email, "password": harness.Password}).is(409, siteworksFailure("USER_EXISTS"))
		for password, missing := range map[string]int{"Aa1!aaa": 1, "lower1!longenough": 1, "UPPER1!LONGENOUGH": 1, "NoDigits!here": 1, "NoSpecial1here": 1, "a": 4} {
			_, free := person()
			register(fields{"email": free, "password": password}).is(400, invalid([]string{"password", "password", "password", "password"}[:missing]...))
		}
		m.do("POST", "/api/auth/login", fields{"email": email, "password": "Wrong1!password"}).is(401, siteworksFailure("INVALID_CREDENTIALS"))
		m.do("POST", "/api/auth/login", fields{"email": "nobody@example.org", "password": "Wrong1!password"}).is(401, siteworksFailure("INVALID_CREDENTIALS"))
		for _, text := range injections {
			m.do("POST", "/api/auth/login", fields{"email": text, "password": text}).is(401, siteworksFailure("INVALID_CREDENTIALS"))
			m.do("POST", "/api/auth/refresh", fields{"refreshToken": text}).is(401, siteworksFailure("INVALID_REFRESH_TOKEN"))
		}
		m.do("POST", "/api/auth/refresh", fields{}).is(400, invalid("refreshToken"))
		m.do("PUT", "/api/auth/profile", fields{}, bearer(access)).is(400, invalid("name"))
		m.do("PUT", "/api/auth/change-password", fields{"currentPassword": "Wrong1!password", "newPassword": "NewSecurePass456!x"}, bearer(access)).
			is(400, siteworksFailure("INVALID_CURRENT_PASSWORD"))
		m.do("PUT", "/api/auth/change-password", fields{"currentPassword": harness.Password, "newPassword": "alllower1!longenough"}, bearer(access)).
			is(400, invalid("newPassword"))
		for _, call := range [][2]string{{"POST", "logout"}, {"POST", "logout-all"}, {"GET", "profile"}, {"PUT", "profile"}, {"PUT", "change-password"}} {
			m.do(call[0], "/api/auth/"+call[1], fields{}).is(401, siteworksFailure("AUTH_ERROR"))
			for what, forged := range forgeries(access) {
				got := m.do(call[0], "/api/auth/"+call[1], fields{}, bearer(forged))
				if code := "INVALID_TOKEN"; strings.ContainsAny(forged, " ") {
					got.is(401, siteworksFailure("AUTH_ERROR"))
				} else if got.is(401, siteworksFailure(code)); t.Failed() {
					t.Fatalf("%s: %s", call[1], what)
				}
			}
		}
		m.do("GET", "/api/auth/nothing", nil).is(404, siteworksFailure("NOT_FOUND"))
		m.do("GET", "/api/auth/login", nil).is(405, siteworksFailure("METHOD_NOT_ALLOWED"))
		m.do("GET", "/%2e%2e/api/auth/profile", nil).is(400, siteworksFailure("VALIDATION_ERROR"))
		m.do("POST", "/api/auth/login", `{"email":"`+strings.Repeat("a", 1<<20)+`"}`).is(413, siteworksFailure("PAYLOAD_TOO_LARGE"))

		m.do("POST", "/api/auth/refresh", fields{"refreshToken": refresh}).is(200, fields{"success": true, "message": anything, "tokens": siteworksTokens})
		time.Sleep(11 * time.Second) // the window in which a lost answer may be asked for again
		m.do("POST", "/api/auth/refresh", fields{"refreshToken": refresh}).is(401, siteworksFailure("INVALID_REFRESH_TOKEN"))
		m.do("GET", "/api/auth/profile", nil, bearer(access)).is(401, siteworksFailure("INVALID_TOKEN"))
	})
}

func TestSiteworks_LimitsAreThoseOfItsDocument(t *testing.T) {
	stack := harness.Start(t)
	byPath, byHost := mounts(t, stack, "siteworks")["by path"], mounts(t, stack, "siteworks")["by host"]
	for path, most := range map[string]int{"register": 5, "login": 10, "refresh": 20} {
		for i := range most {
			m := byPath
			if i%2 == 1 {
				m = byHost // both ways in share a limit
			}
			m.do("POST", "/api/auth/"+path, fields{}).is(400, fields{
				"success": false, "error": fields{"code": "VALIDATION_ERROR", "message": anything}, "errors": anyList{},
			})
		}
		for _, m := range []mount{byPath, byHost} {
			a := m.do("POST", "/api/auth/"+path, fields{})
			a.is(429, siteworksFailure("RATE_LIMIT_EXCEEDED"))
			if a.header.Get("Retry-After") == "" {
				t.Errorf("%s: nobody says when to come back", path)
			}
		}
	}
	passed := 5 + 10 + 20
	for ; passed < 110; passed++ {
		if a := byPath.do("GET", "/api/auth/profile", nil); a.status == http.StatusTooManyRequests {
			break
		}
	}
	if passed < 100 || passed > 102 { // one more every nine seconds
		t.Errorf("%d calls passed, want 100", passed)
	}
	byHost.do("GET", "/api/auth/profile", nil).is(429, siteworksFailure("RATE_LIMIT_EXCEEDED"))
}

// anyList is like any list.
type anyList struct{}

func TestSiteworks_OnlyTheFrontEndMayRead(t *testing.T) {
	onBoth(t, start(t), "siteworks", func(t *testing.T, m mount) {
		ask := with("Origin", "http://localhost:3000", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
		if a := m.do("OPTIONS", "/api/auth/login", nil, ask); a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != "http://localhost:3000" {
			t.Errorf("the front end is answered %d %v", a.status, a.header)
		}
		ask.Set("Origin", "https://elsewhere.example")
		a := m.do("OPTIONS", "/api/auth/login", nil, ask)
		a.is(403, siteworksFailure("FORBIDDEN"))
		if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("another site is told %q", got)
		}
		if got := m.do("GET", "/api/auth/profile", nil, with("Origin", "https://elsewhere.example")).header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("another site may read: %q", got)
		}
	})
}

// Who registers gets a mail through the configured mailer, whose link names the configured address on either way in.
func TestSiteworks_ARegistrationIsMailed(t *testing.T) {
	s := start(t)
	onBoth(t, s, "siteworks", func(t *testing.T, m mount) {
		email, _, _ := siteworks(t, m)
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			paths, err := filepath.Glob(filepath.Join(s.Dir, "mail", "*.eml"))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				raw, err := os.ReadFile(path)
				if err == nil && strings.Contains(string(raw), email) {
					if !strings.Contains(string(raw), s.Public+"/auth/links/") || strings.Contains(string(raw), "siteworks.localhost") {
						t.Errorf("the link is not of the configured address:\n%s", raw)
					}
					return
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("no mail to %s among %d", email, len(paths))
			}
		}
	})
}

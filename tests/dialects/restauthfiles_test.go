package dialects

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

func says(text string) fields    { return fields{"message": text} }
func refuses(text string) fields { return fields{"error": text} }

// cookieOf returns the cookie of a name that an answer sets.
func (a answer) cookieOf(name string) *http.Cookie {
	a.t.Helper()
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == name {
			return c
		}
	}
	a.t.Fatalf("%s set no cookie %s: %v", a.what, name, a.header)
	return nil
}

// raf signs somebody up at rest-auth-files and returns their address and tokens.
func raf(t *testing.T, m mount) (email, access string, refresh *http.Cookie) {
	t.Helper()
	_, email = person()
	a := m.do("POST", "/signup", fields{"id": email, "password": harness.Password})
	body := a.is(201, fields{"message": "User registered successfully", "accessToken": jwt})
	return email, body.text(t, "accessToken"), a.cookieOf("refreshToken")
}

func withCookie(c *http.Cookie) http.Header { return with("Cookie", c.Name+"="+c.Value) }

func TestRestAuthFiles_SignsInAsItsDocumentSays(t *testing.T) {
	onBoth(t, start(t), "rest-auth-files", func(t *testing.T, m mount) {
		prefix := ""
		if m.host == "" {
			prefix = "/compat/rest-auth-files"
		}
		email, access, refresh := raf(t, m)
		if refresh.Path != prefix+"/signin/new_token" || refresh.MaxAge != 7*24*3600 || !refresh.HttpOnly || !refresh.Secure || refresh.SameSite != http.SameSiteStrictMode {
			t.Errorf("the cookie is %v", refresh)
		}
		_, payload := claims(t, access)
		if life := payload["exp"].(float64) - payload["iat"].(float64); life != 600 || payload["sessionId"] != payload["sid"] {
			t.Errorf("the access token says %v", payload)
		}
		m.do("GET", "/info", nil, bearer(access)).is(200, fields{"id": email})
		in := m.do("POST", "/signin", fields{"id": strings.ToUpper(email), "password": harness.Password})
		second := in.is(200, fields{"message": "Login successful", "accessToken": jwt}).text(t, "accessToken")

		next := m.do("POST", "/signin/new_token", nil, withCookie(refresh))
		third := next.is(200, fields{"message": "Access token refreshed", "accessToken": jwt}).text(t, "accessToken")
		if next.cookieOf("refreshToken").Value == refresh.Value {
			t.Error("a refresh brought the same cookie again")
		}
		m.do("POST", "/logout", nil, bearer(third)).is(200, says("Logged out successfully"))
		m.do("POST", "/logout", nil, bearer(third)).is(401, refuses("Session revoked"))
		m.do("GET", "/info", nil, bearer(access)).is(401, refuses("Session revoked"))
		m.do("POST", "/signin/new_token", nil, withCookie(next.cookieOf("refreshToken"))).is(401, refuses("Invalid or revoked refresh token"))
		m.do("GET", "/info", nil, bearer(second)).is(200, fields{"id": email}) // another device stays
	})
}

func TestRestAuthFiles_KnowsPeopleByPhoneToo(t *testing.T) {
	s := start(t)
	m := mounts(t, s, "rest-auth-files")["by path"]
	phone := fmt.Sprintf("+4420%08d", time.Now().UnixNano()%100_000_000)
	access := m.do("POST", "/signup", fields{"id": phone, "password": harness.Password}).is(201, fields{
		"message": anything, "accessToken": jwt,
	}).text(t, "accessToken")
	m.do("GET", "/info", nil, bearer(access)).is(200, fields{"id": phone})
	harness.NewClient(t, s.Public).LogIn(phone, harness.Password)
}

func TestRestAuthFiles_RefusesInItsOwnWords(t *testing.T) {
	onBoth(t, start(t), "rest-auth-files", func(t *testing.T, m mount) {
		email, access, refresh := raf(t, m)
		for _, body := range []any{nil, fields{}, fields{"id": email}, fields{"password": "x"}, fields{"id": "", "password": ""}, "[]"} {
			for _, path := range []string{"/signup", "/signin"} {
				if a := m.do("POST", path, body); a.status != 400 {
					t.Errorf("%s %v answered %d %s", path, body, a.status, a.body)
				}
			}
		}
		m.do("POST", "/signup", fields{"id": email}).is(400, refuses("Missing id or password"))
		m.do("POST", "/signup", fields{"id": email, "password": harness.Password}).is(409, refuses("User already exists"))
		m.do("POST", "/signup", fields{"id": "short-" + email, "password": "x"}).is(400, fields{"error": anything})
		wrong := m.do("POST", "/signin", fields{"id": email, "password": "wrong"}).is(401, refuses("Invalid id or password"))
		nobody := m.do("POST", "/signin", fields{"id": "nobody" + email, "password": "wrong"}).is(401, fields{"error": anything})
		if wrong["error"] != nobody["error"] {
			t.Errorf("a stranger can tell who has an account: %v, %v", wrong, nobody)
		}
		for _, text := range injections {
			m.do("POST", "/signin", fields{"id": text, "password": text}).is(401, refuses("Invalid id or password"))
		}
		for _, h := range []http.Header{nil, with("Authorization", access), with("Authorization", "Basic YTpi"), withCookie(refresh)} {
			m.do("GET", "/info", nil, h).is(401, refuses("Missing or Invalid Authorization header"))
			m.do("GET", "/file/list", nil, h).is(401, refuses("Missing or Invalid Authorization header"))
		}
		for what, token := range forgeries(access) {
			if strings.ContainsAny(token, " ;") {
				continue // no bearer at all
			}
			for _, path := range []string{"/info", "/file/list"} {
				if a := m.do("GET", path, nil, bearer(token)); a.status != 401 || !strings.HasPrefix(string(a.body), `{"error":"`) {
					t.Errorf("%s: %s answered %d %s", what, path, a.status, a.body)
				}
			}
		}
		m.do("POST", "/signin/new_token", nil).is(400, refuses("Missing refresh token"))
		m.do("POST", "/signin/new_token", nil, with("Cookie", "refreshToken=nonsense")).is(401, refuses("Invalid or revoked refresh token"))
		m.do("GET", "/nowhere", nil).is(404, fields{"error": anything})
		m.do("DELETE", "/signin", nil).is(405, fields{"error": anything})
		m.do("POST", "/signin", `{"id":"`+strings.Repeat("a", 1<<20)+`"}`).is(413, fields{"error": anything})
	})
}

func TestRestAuthFiles_ASpentCookieEndsItsSession(t *testing.T) {
	s := start(t, harness.Replace(t, "accessTTL: 10m\n", "accessTTL: 10m\n  reuseWindow: 0s\n"))
	m := mounts(t, s, "rest-auth-files")["by host"]
	_, access, refresh := raf(t, m)
	next := m.do("POST", "/signin/new_token", nil, withCookie(refresh))
	next.is(200, fields{"message": anything, "accessToken": jwt})
	m.do("POST", "/signin/new_token", nil, withCookie(refresh)).is(401, refuses("Invalid or revoked refresh token"))
	m.do("POST", "/signin/new_token", nil, withCookie(next.cookieOf("refreshToken"))).is(401, refuses("Invalid or revoked refresh token"))
	m.do("GET", "/info", nil, bearer(access)).is(401, refuses("Session revoked"))
	eventually(t, func() bool { return m.do("GET", "/file/list", nil, bearer(access)).status == 401 })
	m.do("GET", "/file/list", nil, bearer(access)).is(401, refuses("Session revoked"))
}

// eventually waits for what reaches the other service by the log.
func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not after a minute")
		}
	}
}

// formFile is a form with one file, and its content type.
func formFile(t *testing.T, field, name, content string) (string, http.Header) {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile(field, name)
	if err == nil {
		_, err = part.Write([]byte(content))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return body.String(), with("Content-Type", w.FormDataContentType())
}

func TestRestAuthFiles_KeepsFilesAsItsDocumentSays(t *testing.T) {
	onBoth(t, start(t), "rest-auth-files", func(t *testing.T, m mount) {
		_, access, _ := raf(t, m)
		_, stranger, _ := raf(t, m)
		me := bearer(access)
		body, kind := formFile(t, "file", "notes.txt", "one")
		fileID := m.do("POST", "/file/upload", body, kind, me).is(201, fields{"message": "File uploaded successfully", "id": id}).text(t, "id")
		record := fields{"id": fileID, "name": "notes.txt", "extension": ".txt", "mime_type": "application/octet-stream", "size": 3, "uploaded_at": millis}
		m.do("GET", "/file/"+fileID, nil, me).is(200, fields{"file": record})
		m.do("GET", "/file/list", nil, me).is(200, fields{"files": []any{record}})
		m.do("GET", "/file/list?page=2&list_size=5", nil, me).is(200, fields{"files": []any{}})
		if a := m.do("GET", "/file/download/"+fileID, nil, me); a.status != 200 || string(a.body) != "one" || !strings.Contains(a.header.Get("Content-Disposition"), "notes.txt") {
			t.Errorf("downloaded %d %q as %v", a.status, a.body, a.header)
		}
		body, kind = formFile(t, "file", "new.md", "two!")
		m.do("PUT", "/file/update/"+fileID, body, kind, me).is(201, fields{"message": "File updated successfully", "id": fileID})
		m.do("GET", "/file/list", nil, bearer(stranger)).is(200, fields{"files": []any{}})
		for _, call := range [][2]string{{"GET", "/file/"}, {"GET", "/file/download/"}, {"DELETE", "/file/delete/"}} {
			m.do(call[0], call[1]+fileID, nil, bearer(stranger)).is(404, refuses("File not found"))
		}
		if a := m.do("GET", "/file/download/"+fileID, nil, me); string(a.body) != "two!" {
			t.Errorf("downloaded %q", a.body)
		}
		m.do("POST", "/file/upload", nil, me).is(400, refuses("No file to upload"))
		m.do("POST", "/file/upload", fields{"file": "x"}, me).is(400, refuses("No file to upload"))
		m.do("DELETE", "/file/delete/"+fileID, nil, me).is(200, says("File deleted successfully"))
		m.do("GET", "/file/"+fileID, nil, me).is(404, refuses("File not found"))
		m.do("PUT", "/file/update/"+fileID, body, kind, me).is(404, refuses("File not found"))
		m.do("PATCH", "/file/list", nil, me).is(405, fields{"error": anything})
	})
}

func TestRestAuthFiles_OneLimitForBothWays(t *testing.T) {
	s := start(t, harness.Replace(t, "{name: rest-auth-files, limit: 3000, window: 1m, burst: 1000}", "{name: rest-auth-files, limit: 2, window: 1m}"))
	for _, m := range mounts(t, s, "rest-auth-files") {
		for m.do("POST", "/signin", nil).status != 429 {
		}
		for _, path := range []string{"/signin", "/file/upload"} {
			a := m.do("POST", path, nil)
			a.is(429, fields{"error": anything})
			if a.header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		}
	}
}

// A person is one person everywhere.
func TestDialects_OnePersonInAll(t *testing.T) {
	s := start(t)
	in := func(dialect string) mount { return mounts(t, s, dialect)["by path"] }
	email, access, _ := raf(t, in("rest-auth-files"))
	body, kind := formFile(t, "file", "one.txt", "mine")
	in("rest-auth-files").do("POST", "/file/upload", body, kind, bearer(access)).is(201, fields{"message": anything, "id": id})

	login := in("user-management").do("POST", "/v1/login", fields{"username": email, "password": harness.Password})
	login.is(200, fields{"success": true, "message": anything})
	in("user-management").do("GET", "/v1/users/me", nil, withCookie(login.cookieOf("access_token"))).is(200, fields{
		"success": true, "user": userOf(email, "guest", false),
	})
	here := harness.NewClient(t, s.Public).LogIn(email, harness.Password)
	var sessions, files struct {
		Items []fields `json:"items"`
	}
	here.Do("GET", "/v1/auth/sessions", nil).Is(200).JSON(&sessions)
	here.Do("GET", "/v1/files", nil).Is(200).JSON(&files)
	if len(sessions.Items) != 3 || len(files.Items) != 1 || files.Items[0]["name"] != "one.txt" {
		t.Fatalf("sessions are %v, files are %v", sessions.Items, files.Items)
	}
	for _, session := range sessions.Items {
		if session["current"] != true {
			here.Do("DELETE", "/v1/auth/sessions/"+session["id"].(string), nil).Is(204)
		}
	}
	in("rest-auth-files").do("GET", "/info", nil, bearer(access)).is(401, refuses("Session revoked"))
	in("user-management").do("GET", "/v1/users/me", nil, withCookie(login.cookieOf("access_token"))).is(401, failed("Invalid token."))
}

package hostile

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

type link struct {
	ID  string `json:"id"`
	URL string `json:"url"`
}

func newLink(ada *harness.Client, f harness.File, terms map[string]any) (l link) {
	if terms == nil {
		terms = map[string]any{}
	}
	if _, ok := terms["expires_in"]; !ok {
		terms["expires_in"] = 3600
	}
	ada.Do("POST", "/v1/files/"+f.ID+"/links", terms).Is(201).JSON(&l)
	l.URL = strings.TrimPrefix(l.URL, ada.Base)
	return l
}

func TestLink_NeedsNoAccountAndIsItsOwnersAlone(t *testing.T) {
	c := gateway(t)
	ada, eve := c.SignUp(), c.Fresh().SignUp()
	f := ada.Upload("shared.txt", []byte("for you")).Is(201).File()
	l := newLink(ada, f, nil)
	if a := c.Fresh().Do("GET", l.URL, nil).Is(200); string(a.Body) != "for you" {
		t.Errorf("got %q", a.Body)
	}
	eve.Do("GET", l.URL, nil).Is(200) // a session changes nothing
	eve.Do("GET", "/v1/files/"+f.ID+"/links", nil).Refused(404, "NOT_FOUND")
	eve.Do("DELETE", "/v1/files/"+f.ID+"/links/"+l.ID, nil).Refused(404, "NOT_FOUND")
	eve.Do("POST", "/v1/files/"+f.ID+"/links", map[string]any{"expires_in": 60}).Refused(404, "NOT_FOUND")
}

func TestLink_TokensThatAreNone(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	l := newLink(ada, ada.Upload("a", []byte("x")).Is(201).File(), nil)
	token := strings.TrimPrefix(l.URL, "/l/")
	for name, bad := range map[string]string{
		"its id": l.ID, "one shorter": token[:len(token)-1], "one longer": token + "A", "without its prefix": token[4:],
		"in upper case": strings.ToUpper(token), "SQL": "crl_%27%20OR%201=1--", "padded": token + "%3D", "a null byte": token + "%00",
		"64 KB": "crl_" + strings.Repeat("A", 60000), "another last bit": lastBit(token),
	} {
		if a := c.Do("GET", "/l/"+bad, nil); a.Status < 400 || a.Status >= 500 {
			t.Errorf("%s: answered %d", name, a.Status)
		}
	}
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		c.Do(method, l.URL, nil).Refused(405, "METHOD_NOT_ALLOWED")
	}
}

// lastBit changes the two bits of the last letter that no byte holds: a lax decoder takes both for one token.
func lastBit(token string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	i := strings.IndexByte(letters, token[len(token)-1])
	return token[:len(token)-1] + string(letters[i^1])
}

func TestLink_EndsAtOnce(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	for name, end := range map[string]func(f harness.File, l link){
		"revoked":           func(f harness.File, l link) { ada.Do("DELETE", "/v1/files/"+f.ID+"/links/"+l.ID, nil).Is(204) },
		"file in the trash": func(f harness.File, _ link) { ada.Do("DELETE", "/v1/files/"+f.ID, nil).Is(204) },
		"file deleted":      func(f harness.File, _ link) { ada.Do("DELETE", "/v1/files/"+f.ID+"?permanent=1", nil).Is(204) },
		"file back from the trash": func(f harness.File, _ link) {
			ada.Do("DELETE", "/v1/files/"+f.ID, nil).Is(204)
			ada.Do("POST", "/v1/trash/"+f.ID+"/restore", nil).Is(200)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := ada.Upload("a", []byte("x")).Is(201).File()
			l := newLink(ada, f, nil)
			c.Do("GET", l.URL, nil).Is(200)
			end(f, l)
			c.Do("GET", l.URL, nil).Refused(404, "NOT_FOUND")
		})
	}
	t.Run("expired", func(t *testing.T) {
		l := newLink(ada, ada.Upload("a", []byte("x")).Is(201).File(), map[string]any{"expires_in": 1})
		time.Sleep(1100 * time.Millisecond)
		c.Do("GET", l.URL, nil).Refused(404, "NOT_FOUND")
	})
}

func TestLink_CountHoldsInParallel(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	l := newLink(ada, ada.Upload("a", []byte("x")).Is(201).File(), map[string]any{"max_downloads": 5})
	got := parallel(60, func(i int) int {
		if i%2 == 0 {
			return c.Try("GET", l.URL, nil, harness.Header("Range", "bytes=0-0")).Status
		}
		return c.Try("GET", l.URL, nil).Status
	})
	if got[200]+got[206] != 5 || got[404] != 55 {
		t.Errorf("answers: %v, want 5 downloads", got)
	}
}

func TestLink_LookingDoesNotCount(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	f := ada.Upload("a", []byte("x")).Is(201).File()
	l := newLink(ada, f, map[string]any{"max_downloads": 1})
	for range 5 { // as scanners of mail do
		c.Do("HEAD", l.URL, nil).Is(200)
		c.Do("GET", l.URL, nil, harness.Header("If-None-Match", f.ETag)).Is(304)
		c.Do("GET", l.URL, nil, harness.Header("Range", "bytes=9-")).Is(416)
	}
	c.Do("GET", l.URL, nil).Is(200)
	c.Do("GET", l.URL, nil).Refused(404, "NOT_FOUND")
}

func passwordForm(password string) (io.Reader, harness.Option) {
	return raw(url.Values{"password": {password}}.Encode(), "application/x-www-form-urlencoded")
}

func TestLink_PasswordGuessedInParallel(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	l := newLink(ada, ada.Upload("a", []byte("x")).Is(201).File(), map[string]any{"password": "correct horse"})
	c.Do("GET", l.URL, nil).Refused(403, "FORBIDDEN")
	c.Do("GET", l.URL, nil, harness.Header("Authorization", "Basic eDpjb3JyZWN0IGhvcnNl")).Refused(403, "FORBIDDEN")
	body, kind := passwordForm("correct horse")
	c.Do("POST", l.URL, body, kind).Is(200)
	got := parallel(40, func(i int) int {
		body, kind := passwordForm(fmt.Sprint("guess ", i))
		return c.Try("POST", l.URL, body, kind).Status
	})
	if got[403] > 10 || got[200] > 0 || got[403]+got[429]+got[503] != 40 {
		t.Errorf("answers: %v, want at most 10 guesses looked at", got)
	}
}

func TestLink_NeverRunsAsAPage(t *testing.T) {
	c := gateway(t)
	ada := c.SignUp()
	for _, kind := range []string{"text/html", "image/svg+xml", "application/xml", "text/javascript"} {
		f := ada.Upload("evil", []byte("<svg onload=alert(1)>"), harness.Header("Content-Type", kind)).Is(201).File()
		h := c.Do("GET", newLink(ada, f, nil).URL+"?inline=1", nil).Is(200).Header
		if !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") || h.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || h.Get("Referrer-Policy") != "no-referrer" ||
			!strings.Contains(h.Get("Cache-Control"), "no-store") || h.Get("Set-Cookie") != "" {
			t.Errorf("%s: %v", kind, h)
		}
	}
}

func TestLink_HostDoesNotBecomeItsAddress(t *testing.T) {
	ada := gateway(t).SignUp()
	f := ada.Upload("a", []byte("x")).Is(201).File()
	a := ada.Do("POST", "/v1/files/"+f.ID+"/links", map[string]any{"expires_in": 60},
		harness.Header("X-Forwarded-Host", "evil.example"), harness.Header("X-Forwarded-Proto", "gopher")).Is(201)
	var l link
	a.JSON(&l)
	if strings.Contains(string(a.Body), "evil") || !strings.HasPrefix(l.URL, ada.Base+"/l/crl_") {
		t.Errorf("got %s, want the address this gateway is configured to have", a.Body)
	}
}

func TestLink_TokenIsInNoLog(t *testing.T) {
	stack := harness.Start(t)
	c := harness.NewClient(t, stack.Public)
	ada := c.SignUp()
	f := ada.Upload("a", []byte("x")).Is(201).File()
	l := newLink(ada, f, nil)
	c.Do("GET", l.URL, nil).Is(200)
	c.Do("DELETE", l.URL, nil).Is(405)
	c.Do("GET", l.URL+"/more", nil).Is(404)
	c.Do("GET", l.URL+"?password=hunter2", nil).Is(400)
	ada.Do("DELETE", "/v1/files/"+f.ID+"/links/"+l.ID, nil).Is(204)
	c.Do("GET", l.URL, nil).Is(404)
	if log := stack.Output(); strings.Contains(log, strings.TrimPrefix(l.URL, "/l/crl_")) || strings.Contains(log, "hunter2") {
		t.Errorf("the log tells the token or the password:\n%s", log)
	}
}

// The download of a link that is revoked stops, though its reader has taken nothing for a while.
func TestLink_RevokedWhileItIsRead(t *testing.T) {
	stack := harness.Start(t)
	c := harness.NewClient(t, stack.Public)
	ada := c.SignUp()
	f := ada.Do("POST", "/v1/files", io.LimitReader(zeros{}, 96<<20), harness.Raw("large")).Is(201).File()
	l := newLink(ada, f, nil)
	res := reading(t, c.Fresh(), l.URL)
	ada.Do("DELETE", "/v1/files/"+f.ID+"/links/"+l.ID, nil).Is(204)
	whenCut(t, stack)
	if n, err := io.Copy(io.Discard, res.Body); err == nil || n >= 95<<20 {
		t.Errorf("read %d more bytes, %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// What somebody shares is shut within a second of their being blocked, a download that runs included, and open again
// within a second of the block's end. Others' links go on, and a change of rights is no block.
func TestLink_OfABlockedPersonOpensNothing(t *testing.T) {
	stack := harness.Start(t)
	ada := harness.NewClient(t, stack.Public).SignUp()
	b := stack.Bootstrap()
	admin := ada.Fresh().LogIn(b.Admin.Username, b.Admin.Password)
	bob := ada.Fresh().SignUp()
	large := ada.Do("POST", "/v1/files", io.LimitReader(zeros{}, 96<<20), harness.Raw("large")).Is(201).File()
	l, others := newLink(ada, large, nil), newLink(bob, bob.Upload("a", []byte("x")).Is(201).File(), nil)
	set := func(change fields) { admin.Do("PATCH", "/v1/users/"+ada.User.ID, change).Is(200) }
	within := func(status int) {
		t.Helper()
		for changed := time.Now(); ada.Fresh().Do("HEAD", l.URL, nil).Status != status; time.Sleep(10 * time.Millisecond) {
			if time.Since(changed) > soon {
				t.Fatalf("the link does not answer %d", status)
			}
		}
	}
	res, err := http.Get(ada.Base + l.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	set(fields{"permissions": []fields{right("files", "read", "self")}})
	within(200)
	set(fields{"status": "blocked"})
	within(404)
	ada.Fresh().Do("GET", l.URL, nil).Refused(404, "NOT_FOUND")
	whenCut(t, stack)
	if n, err := io.Copy(io.Discard, res.Body); err == nil || n >= 95<<20 {
		t.Errorf("a download that ran read %d more bytes, %v", n, err)
	}
	bob.Do("GET", others.URL, nil).Is(200)
	set(fields{"name": "Ada"}) // another change keeps it shut
	within(404)
	set(fields{"status": "active"})
	within(200)
}

// Who is blocked is known again after a restart, and not asked of anybody on the way.
func TestLink_OfABlockedPersonAfterARestart(t *testing.T) {
	stack := harness.Start(t)
	c := harness.NewClient(t, stack.Public)
	b := stack.Bootstrap()
	admin := c.LogIn(b.Admin.Username, b.Admin.Password)
	ada := c.Fresh().SignUp()
	l := newLink(ada, ada.Upload("a", []byte("x")).Is(201).File(), nil)
	admin.Do("PATCH", "/v1/users/"+ada.User.ID, fields{"status": "blocked"}).Is(200)
	stack.Kill()
	stack.Run()
	again := harness.NewClient(t, stack.Public)
	again.Do("GET", l.URL, nil).Refused(404, "NOT_FOUND")
}

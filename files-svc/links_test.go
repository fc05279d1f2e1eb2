package filessvc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type link struct {
	ID           string `json:"id"`
	URL          string `json:"url"`
	Downloads    int64  `json:"downloads"`
	MaxDownloads *int64 `json:"max_downloads"`
	Password     bool   `json:"password"`
}

func (p *person) link(f file, body string) link {
	p.w.t.Helper()
	a := p.do(http.MethodPost, "/v1/files/"+f.ID+"/links", strings.NewReader(body), "Content-Type", "application/json", "X-Forwarded-Host", "evil.example")
	var l link
	if err := json.Unmarshal(a.body, &l); err != nil || a.status != http.StatusCreated || !strings.HasPrefix(l.URL, "http://localhost:8080/l/crl_") {
		p.w.t.Fatalf("got %d %s", a.status, a.body)
	}
	l.URL = strings.TrimPrefix(l.URL, "http://localhost:8080") // the path of the server under test
	return l
}

// anyone sends a request without a token.
func (w *world) anyone(method, path, body string, headers ...string) answer {
	w.t.Helper()
	nobody := &person{w: w}
	r := nobody.request(method, path, strings.NewReader(body), headers...)
	r.Header.Del("Authorization")
	return nobody.send(r)
}

func TestLinks_OpenWithoutAnAccount(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("Отчёт.html", "text/html", reader("<script>alert(1)</script>"))
	l := p.link(f, `{"expires_in": 60}`)
	a := w.anyone("GET", l.URL, "")
	if a.status != 200 || string(a.body) != "<script>alert(1)</script>" {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff",
		"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if cd := a.header.Get("Content-Disposition"); !strings.HasPrefix(cd, "attachment") {
		t.Errorf("Content-Disposition is %q", cd)
	}
	if a := w.anyone("GET", l.URL+"?inline=1", ""); !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") {
		t.Error("HTML is shown in place")
	}
	if a := w.anyone("GET", l.URL, "", "Range", "bytes=1-6"); a.status != 206 || string(a.body) != "script" {
		t.Errorf("range: %d %q", a.status, a.body)
	}
	if a := w.anyone("HEAD", l.URL, ""); a.status != 200 || a.header.Get("Content-Length") != "25" {
		t.Errorf("head: %d %v", a.status, a.header)
	}
	if a := w.anyone("GET", l.URL, "", "If-None-Match", f.ETag); a.status != 304 {
		t.Errorf("not modified: %d", a.status)
	}
	items, _ := page[link](t, p.get("/v1/files/"+f.ID+"/links"))
	if len(items) != 1 || items[0].ID != l.ID || items[0].Downloads != 3 || items[0].URL != "" {
		t.Errorf("links: %+v, want 3 downloads and no address", items)
	}
	if raw := p.get("/v1/files/" + f.ID + "/links").body; bytes.Contains(raw, []byte("crl_")) {
		t.Errorf("the list tells tokens: %s", raw)
	}
	if a := p.do(http.MethodDelete, "/v1/files/"+f.ID+"/links/"+l.ID, nil); a.status != 204 {
		t.Fatalf("revoke: %d %s", a.status, a.body)
	}
	w.anyone("GET", l.URL, "").refused(t, "revoked", 404, "NOT_FOUND")
}

func TestLinks_Refusals(t *testing.T) {
	w := newWorld(t, policyWith(`{maxLinkTTL: 1h}`))
	p, other := w.person(), w.person()
	reads := w.person("files:read:self", "files:create:self")
	f := p.upload("a", "text/plain", reader("x"))
	own := reads.upload("a", "text/plain", reader("x"))
	for _, body := range []string{
		`{}`, `{"expires_in": 0}`, `{"expires_in": 3601}`, `{"expires_in": -1}`, `{"expires_in": "60"}`, `{"expires_in": null}`,
		`{"expires_in": 9223372036854775807}`, `{"expires_in": 60, "max_downloads": 0}`, `{"expires_in": 60, "max_downloads": 1e18}`,
		`{"expires_in": 60, "password": ""}`, `{"expires_in": 60, "password": "` + strings.Repeat("x", 257) + `"}`,
		`{"expires_in": 60, "url": "/l/mine"}`, `{"expires_in": 60, "expires_in": 61}`,
	} {
		p.do(http.MethodPost, "/v1/files/"+f.ID+"/links", reader(body), "Content-Type", "application/json").refused(t, body, 400, "VALIDATION_ERROR")
	}
	post := func(p *person, id string) answer {
		return p.do(http.MethodPost, "/v1/files/"+id+"/links", reader(`{"expires_in": 60}`), "Content-Type", "application/json")
	}
	post(other, f.ID).refused(t, "another's file", 404, "NOT_FOUND")
	post(reads, own.ID).refused(t, "without the right to update", 403, "FORBIDDEN")
	l := p.link(f, `{"expires_in": 60}`)
	other.get("/v1/files/"+f.ID+"/links").refused(t, "another's links", 404, "NOT_FOUND")
	other.do(http.MethodDelete, "/v1/files/"+f.ID+"/links/"+l.ID, nil).refused(t, "another's link", 404, "NOT_FOUND")
	for _, path := range []string{"/l/x", "/l/crl_", "/l/" + l.ID, l.URL + "A", l.URL[:len(l.URL)-1]} {
		w.anyone("GET", path, "").refused(t, path, 404, "NOT_FOUND")
	}
}

func TestLinks_CountedExactlyInParallel(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	l := p.link(p.upload("a", "text/plain", reader("x")), `{"expires_in": 60, "max_downloads": 3}`)
	var won, lost atomic.Int64
	var wait sync.WaitGroup
	for range 24 {
		wait.Go(func() {
			switch a := w.anyone("GET", l.URL, ""); a.status {
			case 200:
				won.Add(1)
			case 404:
				lost.Add(1)
			default:
				t.Errorf("got %d %s, %v", a.status, a.body, a.err)
			}
		})
	}
	wait.Wait()
	if won.Load() != 3 || lost.Load() != 21 {
		t.Errorf("%d won, %d lost", won.Load(), lost.Load())
	}
}

func TestLinks_Password(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	l := p.link(p.upload("a", "text/plain", reader("secret")), `{"expires_in": 60, "password": "hunter2 & пароль"}`)
	if !l.Password {
		t.Error("the link does not say that it has a password")
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	w.anyone("GET", l.URL, "").refused(t, "without a password", 403, "FORBIDDEN")
	w.anyone("GET", l.URL+"?password=hunter2", "").refused(t, "a password in the query", 400, "VALIDATION_ERROR")
	a := w.anyone("GET", l.URL, "", "Accept", "text/html,*/*;q=0.8")
	if a.status != 403 || !bytes.Contains(a.body, []byte("<form")) || bytes.Contains(a.body, []byte("secret")) ||
		!strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("page: %d %v %s", a.status, a.header, a.body)
	}
	right := url.Values{"password": {"hunter2 & пароль"}}.Encode()
	wrong := w.anyone("POST", l.URL, "password=wrong", form...)
	wrong.refused(t, "a wrong password", 403, "FORBIDDEN")
	if !bytes.Contains(wrong.body, []byte("form field password")) {
		t.Errorf("a program is not told how to give it: %s", wrong.body)
	}
	w.anyone("POST", l.URL, right+"&x=1", form...).refused(t, "another field", 400, "VALIDATION_ERROR")
	w.anyone("POST", l.URL, right, "Content-Type", "text/plain").refused(t, "no form", 415, "UNSUPPORTED_MEDIA_TYPE")
	w.anyone("POST", l.URL, "password="+strings.Repeat("x", 5000), form...).refused(t, "a large form", 413, "PAYLOAD_TOO_LARGE")
	if a := w.anyone("POST", l.URL, right, form...); a.status != 200 || string(a.body) != "secret" || a.header.Get("Set-Cookie") != "" {
		t.Errorf("the right one: %d %s", a.status, a.body)
	}
}

// A download that is under way is cut within a second, by revoking the link and by deleting the file.
func TestLinks_RunningDownloadsAreCut(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	for name, end := range map[string]func(f file, l link) answer{
		"revoked": func(f file, l link) answer { return p.do(http.MethodDelete, "/v1/files/"+f.ID+"/links/"+l.ID, nil) },
		"trashed": func(f file, _ link) answer { return p.do(http.MethodDelete, "/v1/files/"+f.ID, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			f := p.upload(name, "application/zip", &zeros{64 << 20})
			l := p.link(f, `{"expires_in": 60}`)
			res, err := http.Get(w.url + l.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if _, err := io.ReadFull(res.Body, make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			if n := w.metric("cloakroom_files_link_downloads_in_flight"); n != 1 {
				t.Errorf("%v downloads by link", n)
			}
			if a := end(f, l); a.status != 204 {
				t.Fatalf("got %d %s", a.status, a.body)
			}
			began := time.Now()
			w.cut()
			eventually(t, "forgotten", func() error {
				if n := w.metric("cloakroom_files_link_downloads_in_flight"); n != 0 {
					return fmt.Errorf("%v downloads by link are watched", n)
				}
				return nil
			})
			n, err := io.Copy(io.Discard, res.Body)
			if !errors.Is(err, io.ErrUnexpectedEOF) || n >= 63<<20 {
				t.Errorf("read %d more bytes after %s, %v", n, time.Since(began), err)
			}
		})
	}
}

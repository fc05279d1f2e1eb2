package console

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func newConsole(t *testing.T) *Console {
	t.Helper()
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ask(c http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func TestConsole_DocumentForbidsWhatItDoesNotNeed(t *testing.T) {
	a := ask(newConsole(t), "GET", Path)
	if a.Code != 200 || a.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", a.Code, a.Header())
	}
	csp := a.Header().Get("Content-Security-Policy")
	for _, want := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'none'", "base-uri 'none'",
		"frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
	} {
		if !slices.Contains(strings.Split(csp, "; "), want) {
			t.Errorf("the policy lacks %s: %s", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "data:") || strings.Contains(csp, "*") {
		t.Errorf("the policy is loose: %s", csp)
	}
	for name, want := range map[string]string{
		"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := a.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestConsole_WhatTheDocumentLoadsIsThereForever(t *testing.T) {
	c := newConsole(t)
	doc := ask(c, "GET", Path).Body.String()
	loads := regexp.MustCompile(`(?:src|href)="([^"#]+)"`).FindAllStringSubmatch(doc, -1)
	if len(loads) < 3 {
		t.Fatalf("the document loads %v", loads)
	}
	for _, load := range loads {
		a := ask(c, "GET", Path+load[1])
		if a.Code != 200 || a.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d %v", load[1], a.Code, a.Header())
		}
	}
	imports := regexp.MustCompile(`from '\./([^']+)'`)
	for p, f := range c.files {
		for _, m := range imports.FindAllStringSubmatch(string(f.body), -1) {
			if _, ok := c.files[p[:strings.LastIndexByte(p, '/')+1]+m[1]]; !ok {
				t.Errorf("%s imports %s, which is not there", p, m[1])
			}
		}
	}
}

func TestConsole_AnswersByETag(t *testing.T) {
	c := newConsole(t)
	for _, path := range c.Paths() {
		a := ask(c, "GET", path)
		if path == "/console" {
			if a.Code != 308 || a.Header().Get("Location") != Path {
				t.Errorf("%s: %d %v", path, a.Code, a.Header())
			}
			continue
		}
		etag := a.Header().Get("ETag")
		for _, held := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
			if b := ask(c, "GET", path, "If-None-Match", held); b.Code != 304 || b.Body.Len() != 0 || b.Header().Get("ETag") != etag {
				t.Errorf("%s with %s: %d", path, held, b.Code)
			}
		}
		if b := ask(c, "GET", path, "If-None-Match", `"other"`); b.Code != 200 {
			t.Errorf("%s with another: %d", path, b.Code)
		}
		if b := ask(c, "HEAD", path); b.Code != 200 || b.Body.Len() != 0 || b.Header().Get("Content-Length") != a.Header().Get("Content-Length") {
			t.Errorf("HEAD %s: %d, %d bytes", path, b.Code, b.Body.Len())
		}
	}
}

// What could become markup or script out of somebody's words has no place in the page, nor has what loads from elsewhere.
func TestConsole_PageHasNoDoorForMarkup(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser|srcdoc|setAttribute\('on|javascript:|https?://`)
	inline := regexp.MustCompile(`(?i)<style|\son[a-z]+=|\sstyle=|<script(?:[^>]*)>[^<]`)
	for path, f := range newConsole(t).files {
		if found := forbidden.Find(f.body); found != nil && !strings.HasSuffix(path, ".svg") {
			t.Errorf("%s has %s", path, found)
		}
		if f.isDocument && inline.Match(f.body) {
			t.Errorf("the document has %s", inline.Find(f.body))
		}
	}
}

func TestConsole_OneByteMoreIsAnotherFolder(t *testing.T) {
	page := func(script string) []string {
		c, err := from(fstest.MapFS{"index.html": {Data: []byte("{assets}")}, "a.js": {Data: []byte(script)}})
		if err != nil {
			t.Fatal(err)
		}
		paths := c.Paths()
		slices.Sort(paths)
		return paths
	}
	if a, b := page("1"), page("2"); a[2] == b[2] || a[1] != b[1] || !slices.Equal(a, page("1")) {
		t.Errorf("%v %v", a, b)
	}
	for name, wrong := range map[string]fstest.MapFS{
		"no document": {"a.js": {}}, "unknown kind": {"index.html": {}, "a.exe": {}},
	} {
		if _, err := from(wrong); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// Package console is the page at /console/ where people look after their sessions and files, and administrators after
// people. It has nothing to do with the auth service's adapter of that name, which is a command line.
//
// Flow: the page's files are built into the program. New names the folder of its scripts and styles after their content, and
// writes that name into the one document. The document is asked for anew each time; what it loads never changes.
//
// Promises: the page speaks the public contract with the browser's own cookies and nothing else; it loads nothing from
// elsewhere, and its policy forbids that, inline script, and markup made from text.
package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// Path is where the document is.
const Path = "/console/"

// policy lets the page's own scripts, styles, pictures and calls be, and no string become markup or script.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// permissions leaves the page what it uses: the clipboard for links, and passkeys.
const permissions = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), " +
	"clipboard-write=(self), publickey-credentials-create=(self), publickey-credentials-get=(self)"

const document = "index.html"

//go:embed page
var embedded embed.FS

var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// Console is the page. It is immutable.
type Console struct{ files map[string]file }

// file is one answer.
type file struct {
	body              []byte
	kind, etag, keeps string
	isDocument        bool
}

// New reads the page that was built in. It fails when a file of it is of a kind that it has no name for.
func New() (*Console, error) {
	page, err := fs.Sub(embedded, "page")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	return from(page)
}

func from(page fs.FS) (*Console, error) {
	entries, err := fs.ReadDir(page, ".")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	whole, bodies := sha256.New(), map[string][]byte{}
	for _, e := range entries {
		if kinds[path.Ext(e.Name())] == "" {
			return nil, fmt.Errorf("console: no content type for %s", e.Name())
		}
		if bodies[e.Name()], err = fs.ReadFile(page, e.Name()); err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		fmt.Fprintf(whole, "%s %d\n", e.Name(), len(bodies[e.Name()]))
		_, _ = whole.Write(bodies[e.Name()]) // a hash takes everything
	}
	// One name for all of them: a script never meets one of another release.
	folder := hex.EncodeToString(whole.Sum(nil)[:12])
	c := &Console{files: map[string]file{}}
	for name, body := range bodies {
		if name == document {
			body = []byte(strings.ReplaceAll(string(body), "{assets}", folder))
			c.files[Path] = newFile(body, name, "no-cache")
			continue
		}
		c.files[Path+folder+"/"+name] = newFile(body, name, "public, max-age=31536000, immutable")
	}
	if _, ok := c.files[Path]; !ok {
		return nil, fmt.Errorf("console: there is no %s", document)
	}
	return c, nil
}

func newFile(body []byte, name, keeps string) file {
	sum := sha256.Sum256(body)
	return file{
		body: body, kind: kinds[path.Ext(name)], etag: `"` + hex.EncodeToString(sum[:12]) + `"`,
		keeps: keeps, isDocument: name == document,
	}
}

// Paths are all paths of the page; nothing else below Path is its.
func (c *Console) Paths() []string {
	paths := []string{strings.TrimSuffix(Path, "/")}
	for p := range c.files {
		paths = append(paths, p)
	}
	return paths
}

// ServeHTTP answers one of Paths.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	f, ok := c.files[r.URL.Path]
	if !ok {
		h.Set("Location", Path)
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	h.Set("ETag", f.etag)
	h.Set("Cache-Control", f.keeps)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if f.isDocument {
		h.Set("Content-Security-Policy", policy)
		h.Set("Permissions-Policy", permissions)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	if matches(r.Header.Get("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.kind)
	h.Set("Content-Length", strconv.Itoa(len(f.body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.body) // a client that has gone is no failure of ours
	}
}

// matches compares weakly, as RFC 9110 wants it for If-None-Match.
func matches(ifNoneMatch, etag string) bool {
	for _, held := range strings.Split(ifNoneMatch, ",") {
		held = strings.TrimSpace(held)
		if held == "*" || strings.TrimPrefix(held, "W/") == etag {
			return true
		}
	}
	return false
}

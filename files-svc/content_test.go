package filessvc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// someBytes is content that looks like nothing.
func someBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestContent_Ranges(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := someBytes(100_000)
	f := p.upload("a.bin", "application/octet-stream", bytes.NewReader(content))
	for _, c := range []struct {
		ask    string
		status int
		from   int
		to     int // exclusive
	}{
		{"bytes=0-0", 206, 0, 1},
		{"bytes=0-", 206, 0, 100_000},
		{"bytes=99999-", 206, 99_999, 100_000},
		{"bytes=-10", 206, 99_990, 100_000},
		{"bytes=500-999999", 206, 500, 100_000},
		{"bytes=10-19,15-29", 206, 10, 30},
		{"bytes=10-19, 200000-", 206, 10, 20},
		{"items=0-1", 200, 0, 100_000},
		{"bytes=" + strings.Repeat("0-0,", 500) + "0-0", 206, 0, 1},
		{"bytes=" + spread(17), 200, 0, 100_000},
		{"bytes=" + strings.Repeat("0-0,", 15_000) + "0-0", 200, 0, 100_000},
		{"bytes=100000-", 416, 0, 0},
		{"bytes=5-2", 416, 0, 0},
		{"bytes=x", 416, 0, 0},
	} {
		a := p.get(f.content(), "Range", c.ask)
		says := c.ask[:min(len(c.ask), 40)]
		if c.status == 416 {
			a.refused(t, says, 416, "VALIDATION_ERROR")
			if got := a.header.Get("Content-Range"); got != "bytes */100000" {
				t.Errorf("%s: Content-Range is %q", says, got)
			}
			continue
		}
		if a.err != nil || a.status != c.status || !bytes.Equal(a.body, content[c.from:c.to]) {
			t.Errorf("%s: got %d with %d bytes, %v; want %d with %d", says, a.status, len(a.body), a.err, c.status, c.to-c.from)
		}
		if want := fmt.Sprintf("bytes %d-%d/100000", c.from, c.to-1); c.status == 206 && a.header.Get("Content-Range") != want {
			t.Errorf("%s: Content-Range is %q, want %q", says, a.header.Get("Content-Range"), want)
		}
	}
}

// spread asks for n bytes that lie far apart.
func spread(n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, fmt.Sprintf("%d-%d", i*5000, i*5000))
	}
	return strings.Join(parts, ",")
}

func TestContent_SeveralRanges(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := someBytes(100_000)
	f := p.upload("a.bin", "image/png", bytes.NewReader(content))
	for _, ask := range []string{"bytes=5000-5999,0-9", "bytes=0-0,-1", "bytes=" + spread(16)} {
		a := p.get(f.content(), "Range", ask)
		mediaType, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
		if a.status != 206 || err != nil || mediaType != "multipart/byteranges" || a.header.Get("Content-Range") != "" {
			t.Fatalf("%s: got %d %v, %v", ask, a.status, a.header, a.err)
		}
		if fmt.Sprint(len(a.body)) != a.header.Get("Content-Length") {
			t.Errorf("%s: %d bytes under a Content-Length of %s", ask, len(a.body), a.header.Get("Content-Length"))
		}
		parts, last := multipart.NewReader(bytes.NewReader(a.body), params["boundary"]), -1
		for {
			part, err := parts.NextPart()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", ask, err)
			}
			var first, end int
			if _, err := fmt.Sscanf(part.Header.Get("Content-Range"), "bytes %d-%d/100000", &first, &end); err != nil || first <= last {
				t.Fatalf("%s: part %v, %v", ask, part.Header, err)
			}
			got, err := io.ReadAll(part)
			if err != nil || !bytes.Equal(got, content[first:end+1]) || part.Header.Get("Content-Type") != "image/png" {
				t.Errorf("%s: part %v has %d bytes, %v", ask, part.Header, len(got), err)
			}
			last = end
		}
	}
}

func TestContent_Conditions(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.txt", "text/plain", strings.NewReader("hello"))
	modified := p.get(f.content()).header.Get("Last-Modified")
	at, err := http.ParseTime(modified)
	if err != nil || time.Since(at) > time.Minute {
		t.Fatalf("Last-Modified is %q", modified)
	}
	earlier := at.Add(-time.Hour).Format(http.TimeFormat)
	for _, c := range []struct {
		says    string
		headers []string
		status  int
		length  int
	}{
		{"same tag", []string{"If-None-Match", f.ETag}, 304, 0},
		{"same tag, weak", []string{"If-None-Match", "W/" + f.ETag}, 304, 0},
		{"another tag", []string{"If-None-Match", `"x"`}, 200, 5},
		{"not modified since", []string{"If-Modified-Since", modified}, 304, 0},
		{"modified since", []string{"If-Modified-Since", earlier}, 200, 5},
		{"another tag beats the date", []string{"If-None-Match", `"x"`, "If-Modified-Since", modified}, 200, 5},
		{"match", []string{"If-Match", f.ETag}, 200, 5},
		{"no match", []string{"If-Match", `"x"`}, 412, -1},
		{"unmodified since", []string{"If-Unmodified-Since", earlier}, 412, -1},
		{"range of the same", []string{"Range", "bytes=1-2", "If-Range", f.ETag}, 206, 2},
		{"range of another", []string{"Range", "bytes=1-2", "If-Range", `"x"`}, 200, 5},
		{"range of an older date", []string{"Range", "bytes=1-2", "If-Range", earlier}, 200, 5},
		{"no match beats range", []string{"Range", "bytes=1-2", "If-Match", `"x"`}, 412, -1},
		{"not modified beats a bad range", []string{"Range", "bytes=9-", "If-None-Match", f.ETag}, 304, 0},
	} {
		a := p.get(f.content(), c.headers...)
		if a.err != nil || a.status != c.status || (c.length >= 0 && len(a.body) != c.length) {
			t.Errorf("%s: got %d %q, %v", c.says, a.status, a.body, a.err)
		}
		if a.status == 304 && (a.header.Get("Etag") != f.ETag || a.header.Get("Content-Type") != "") {
			t.Errorf("%s: headers are %v", c.says, a.header)
		}
	}
}

func TestContent_Head(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.txt", "text/plain", strings.NewReader("hello"))
	get, head := p.get(f.content()), p.do(http.MethodHead, f.content(), nil, "Range", "bytes=0-0")
	if head.status != 200 || len(head.body) != 0 {
		t.Errorf("got %d %q", head.status, head.body)
	}
	for _, name := range []string{"Content-Length", "Content-Type", "Content-Disposition", "Etag", "Last-Modified", "Repr-Digest", "Accept-Ranges"} {
		if head.header.Get(name) != get.header.Get(name) || head.header.Get(name) == "" {
			t.Errorf("%s is %q, a GET's is %q", name, head.header.Get(name), get.header.Get(name))
		}
	}
	if a := p.do(http.MethodHead, "/v1/files/"+f.ID+"x/content", nil); a.status != 404 || len(a.body) != 0 {
		t.Errorf("of none: got %d %q", a.status, a.body)
	}
}

var (
	png  = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	avif = []byte("\x00\x00\x00\x20ftypavif\x00\x00\x00\x00avifmif1")
	mp4  = []byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42mp41")
	html = []byte("<!DOCTYPE html><script>alert(1)</script>")
	svg  = []byte(`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`)
)

func TestContent_CanNotActAsAPage(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	for _, c := range []struct {
		says, contentType string
		content           []byte
		inline            bool
	}{
		{"png", "image/png", png, true},
		{"avif", "image/avif", avif, true},
		{"mp4", "video/mp4", mp4, true},
		{"mp4 as audio", "audio/mp4", mp4, true},
		{"text", "text/plain; charset=utf-8", []byte("hello"), true},
		{"html", "text/html", html, false},
		{"html as text", "text/plain", html, false},
		{"html as png", "image/png", html, false},
		{"svg", "image/svg+xml", svg, false},
		{"svg as text", "text/plain", svg, false},
		{"xml", "application/xml", svg, false},
		{"pdf", "application/pdf", []byte("%PDF-1.7"), false},
		{"png as jpeg", "image/jpeg", png, false},
		{"png as octets", "application/octet-stream", png, false},
		{"nothing as png", "image/png", nil, false},
	} {
		f := p.upload("x.bin", c.contentType, bytes.NewReader(c.content))
		for _, query := range []string{"", "?inline=0", "?inline=1"} {
			h := p.get(f.content() + query).header
			want := "attachment"
			if c.inline && query == "?inline=1" {
				want = "inline"
			}
			if kind, _, _ := strings.Cut(h.Get("Content-Disposition"), ";"); kind != want {
				t.Errorf("%s%s is sent as %s", c.says, query, kind)
			}
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") != "default-src 'none'; sandbox" ||
				h.Get("Cross-Origin-Resource-Policy") != "same-origin" {
				t.Errorf("%s%s: headers are %v", c.says, query, h)
			}
		}
	}
	f := p.upload("x.bin", "image/png", bytes.NewReader(png))
	p.get(f.content()+"?inline=maybe").refused(t, "inline", 400, "VALIDATION_ERROR")
	p.get(f.content()+"?disposition=inline").refused(t, "unknown query", 400, "VALIDATION_ERROR")
}

func TestContent_DamageIsNeverServedAsWhole(t *testing.T) {
	for _, size := range []int{1000, 3 << 20} {
		w := newWorld(t)
		p := w.person()
		content := someBytes(size)
		f := p.upload("a.bin", "text/plain", bytes.NewReader(content))
		if a := p.get(f.content()); a.err != nil || !bytes.Equal(a.body, content) {
			t.Fatalf("%d bytes: got %d, %v", size, a.status, a.err)
		}
		flipBlob(t, w, content)
		a := p.get(f.content())
		switch {
		case size <= 100_000: // known before the first byte
			a.refused(t, "a small damaged file", 500, "INTERNAL_ERROR")
		case a.err == nil || len(a.body) >= size:
			t.Errorf("%d bytes: the damaged content came whole: %d bytes, %v", size, len(a.body), a.err)
		}
		if n := w.metric("cloakroom_files_corrupt_blobs_total"); n < 1 {
			t.Errorf("%d bytes: no alert: %v", size, n)
		}
	}
}

// A range of everything is a whole content by another name, and who asks for the rest of a download puts one together.
func TestContent_DamageIsNotServedByRanges(t *testing.T) {
	for _, size := range []int{1000, 300_000, 3 << 20} {
		for _, ask := range []string{"bytes=0-", fmt.Sprintf("bytes=-%d", size), "bytes=0-0,1-", "bytes=400-", "bytes=0-9,100-109"} {
			w := newWorld(t)
			p := w.person()
			content := someBytes(size)
			f := p.upload("a.bin", "text/plain", bytes.NewReader(content))
			flipBlob(t, w, content)
			a := p.get(f.content(), "Range", ask)
			all := ask != "bytes=400-" && !strings.HasSuffix(ask, "109")
			switch {
			case size <= 1000 || size <= 1<<20 && !all: // known before the first byte
				a.refused(t, ask, 500, "INTERNAL_ERROR")
			case all && (a.err == nil || len(a.body) >= size):
				t.Errorf("%d bytes, %s: came whole: %d bytes, %v", size, ask, len(a.body), a.err)
			}
			eventually(t, fmt.Sprintf("%d bytes, %s: in quarantine", size, ask), func() error {
				if got := fmt.Sprint(p.flaw(f)[:1]); got != "[corrupt]" {
					return fmt.Errorf("it is %s", got)
				}
				return nil
			})
		}
	}
}

func TestContent_MissingAndCutBlobsAreErrors(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.bin", "text/plain", strings.NewReader("hello"))
	blob := w.blobFiles()[0]
	if err := os.Truncate(blob, 3); err != nil {
		t.Fatal(err)
	}
	p.get(f.content()).refused(t, "cut", 500, "INTERNAL_ERROR")
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	p.get(f.content()).refused(t, "missing", 500, "INTERNAL_ERROR")
	if a := p.get("/v1/files/" + f.ID); a.status != 200 {
		t.Errorf("its metadata: got %d", a.status)
	}
}

func flipBit(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// A reader keeps the version it has begun, whole, through replace and delete.
func TestContent_ReadersAreNotDisturbed(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := someBytes(8 << 20)
	f := p.upload("a.bin", "text/plain", bytes.NewReader(content))
	for _, disturb := range []func(){
		func() {
			p.do(http.MethodPut, f.content(), strings.NewReader("new"), "Content-Type", "text/plain").file(t, 200)
		},
		func() { p.do(http.MethodDelete, "/v1/files/"+f.ID+"?permanent=1", nil) },
	} {
		want := p.get(f.content()).body
		res, err := w.http.Do(p.request(http.MethodGet, f.content(), nil))
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 1)
		if _, err := io.ReadFull(res.Body, head); err != nil {
			t.Fatal(err)
		}
		disturb()
		rest, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !bytes.Equal(append(head, rest...), want) {
			t.Errorf("got %d bytes, %v", len(rest)+1, err)
		}
	}
	p.get(f.content()).refused(t, "after the delete", 404, "NOT_FOUND")
}

// Bytes that can't be read any more cut the connection; they are never made up for, and never a short 200.
func TestContent_FailingReadsCutTheConnection(t *testing.T) {
	w := newWorld(t)
	for says, headers := range map[string][]string{"verified": nil, "by the kernel": {"Range", "bytes=0-"}} {
		p := w.person()
		f := p.upload("a.bin", "text/plain", bytes.NewReader(someBytes(64<<20)))
		blobs := w.blobFiles()
		res, err := w.http.Do(p.request(http.MethodGet, f.content(), nil, headers...))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(blobs[len(blobs)-1], 1<<20); err != nil { // the client has read next to nothing yet
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err == nil || n >= f.Size {
			t.Errorf("%s: %d bytes came, %v", says, n, err)
		}
		eventually(t, "counted", func() error {
			if w.metric("cloakroom_files_downloads_total", "result", "error") == 0 {
				return errors.New("not yet")
			}
			return nil
		})
		if err := os.Remove(blobs[len(blobs)-1]); err != nil {
			t.Fatal(err)
		}
	}
}

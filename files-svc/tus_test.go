package filessvc

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestTus_UploadInChunks(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := randomBytes(3<<20 + 17)
	const name = "Отчёт 文件 🎟.bin"
	at := p.newTus(int64(len(content)), "Upload-Metadata", metadata("filename", name, "filetype", "image/png", "project", "annual"))
	p.tus("HEAD", at, nil).is(t, "new", 200, "Upload-Offset", "0", "Upload-Length", strconv.Itoa(len(content)), "Cache-Control", "no-store",
		"Upload-Metadata", metadata("filename", name, "filetype", "image/png", "project", "annual"))
	if u := p.get("/v1/files/usage"); !strings.HasPrefix(string(u.body), `{"bytes":0,"files":0,`) {
		t.Errorf("an upload under way counts as %s", u.body)
	}
	first := p.tus("PATCH", at, content[:1<<20], "Upload-Offset", "0")
	first.is(t, "first", 204, "Upload-Offset", strconv.Itoa(1<<20), "Location", "")
	if first.header.Get("Upload-Expires") == "" {
		t.Error("no Upload-Expires")
	}
	p.tus("HEAD", at, nil).is(t, "half", 200, "Upload-Offset", strconv.Itoa(1<<20))
	last := p.tus("PATCH", at, content[1<<20:], "Upload-Offset", strconv.Itoa(1<<20))
	where := last.at(t, 204)
	f := p.holds(where, content)
	if f.Name != name || f.ContentType != "image/png" || f.Metadata["project"] != "annual" || len(f.Metadata) != 1 {
		t.Errorf("file is %+v", f)
	}
	p.tus("HEAD", at, nil).is(t, "done", 200, "Upload-Offset", strconv.Itoa(len(content)), "Location", where)
	again := p.tus("PATCH", at, nil, "Upload-Offset", strconv.Itoa(len(content)))
	again.is(t, "asked again", 204, "Location", where, "Upload-Offset", strconv.Itoa(len(content)))
	p.tus("PATCH", at, []byte("more"), "Upload-Offset", strconv.Itoa(len(content))).refused(t, "more than all", 400, "VALIDATION_ERROR")
	p.tus("DELETE", at, nil).is(t, "end", 204)
	p.tus("HEAD", at, nil).is(t, "ended", 404)
	p.holds(where, content)
}

func TestTus_Creation(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	t.Run("with upload", func(t *testing.T) {
		a := p.tus("POST", "/v1/uploads", []byte("hello"), "Upload-Length", "10", "Content-Type", offsetStream)
		a.is(t, "created", 201, "Upload-Offset", "5")
		p.tus("PATCH", a.at(t, 201), []byte("world"), "Upload-Offset", "5").at(t, 204)
	})
	t.Run("with all of it", func(t *testing.T) {
		a := p.tus("POST", "/v1/uploads", []byte("hello"), "Upload-Length", "5", "Content-Type", offsetStream)
		a.is(t, "created", 201, "Upload-Offset", "5")
		p.holds(a.header.Get("Content-Location"), []byte("hello"))
	})
	t.Run("of nothing", func(t *testing.T) {
		a := p.tus("POST", "/v1/uploads", nil, "Upload-Length", "0")
		p.holds(p.tus("HEAD", a.at(t, 201), nil).at(t, 200), nil)
	})
	t.Run("without a length", func(t *testing.T) {
		at := p.tus("POST", "/v1/uploads", nil, "Upload-Defer-Length", "1").at(t, 201)
		p.tus("HEAD", at, nil).is(t, "deferred", 200, "Upload-Defer-Length", "1", "Upload-Length", "")
		p.tus("PATCH", at, []byte("hello"), "Upload-Offset", "0").is(t, "some", 204, "Upload-Offset", "5", "Location", "")
		p.tus("PATCH", at, nil, "Upload-Offset", "5", "Upload-Length", "4").refused(t, "shrunk", 400, "VALIDATION_ERROR")
		p.tus("PATCH", at, []byte(" world"), "Upload-Offset", "5", "Upload-Length", "20").is(t, "length", 204, "Upload-Offset", "11")
		p.tus("PATCH", at, nil, "Upload-Offset", "11", "Upload-Length", "11").refused(t, "changed", 400, "VALIDATION_ERROR")
		p.holds(p.tus("PATCH", at, []byte(" and more"), "Upload-Offset", "11").at(t, 204), []byte("hello world and more"))
	})
	t.Run("refused", func(t *testing.T) {
		for says, headers := range map[string][]string{
			"no length":       {},
			"two lengths":     {"Upload-Length", "1", "Upload-Defer-Length", "1"},
			"negative length": {"Upload-Length", "-1"},
			"odd length":      {"Upload-Length", "+1"},
			"huge length":     {"Upload-Length", "99999999999999999999"},
			"odd defer":       {"Upload-Defer-Length", "2"},
			"bad metadata":    {"Upload-Length", "1", "Upload-Metadata", "filename !"},
			"doubled key":     {"Upload-Length", "1", "Upload-Metadata", "a YQ==,a YQ=="},
			"long metadata":   {"Upload-Length", "1", "Upload-Metadata", metadata("a", strings.Repeat("x", 7000))},
			"long value":      {"Upload-Length", "1", "Upload-Metadata", metadata("a", strings.Repeat("x", 2000))},
			"bad name":        {"Upload-Length", "1", "Upload-Metadata", metadata("filename", "a\x00b")},
			"not UTF-8":       {"Upload-Length", "1", "Upload-Metadata", metadata("filename", "a\xff")},
			"odd concat":      {"Upload-Length", "1", "Upload-Concat", "whole"},
		} {
			p.tus("POST", "/v1/uploads", nil, headers...).refused(t, says, 400, "VALIDATION_ERROR")
		}
		p.tus("POST", "/v1/uploads", []byte("x"), "Upload-Length", "1", "Content-Type", "text/plain").refused(t, "type", 415, "UNSUPPORTED_MEDIA_TYPE")
		p.tus("POST", "/v1/uploads", nil, "Upload-Length", strconv.Itoa(513<<20)).refused(t, "too large", 413, "PAYLOAD_TOO_LARGE")
		p.tus("POST", "/v1/uploads", []byte("too long"), "Upload-Length", "1", "Content-Type", offsetStream).refused(t, "overrun", 413, "PAYLOAD_TOO_LARGE")
	})
}

func TestTus_Versions(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	for _, version := range []string{"0.2.2", "2.0.0", "1.0.0, 1.0.0", "x"} {
		a := p.do("POST", "/v1/uploads", nil, "Tus-Resumable", version, "Upload-Length", "1")
		a.refused(t, version, 412, "PRECONDITION_FAILED")
		a.is(t, version, 412, "Tus-Version", "1.0.0")
	}
	p.do("POST", "/v1/uploads", nil, "Upload-Length", "1").refused(t, "no protocol", 412, "PRECONDITION_FAILED")
	r := p.request("OPTIONS", "/v1/uploads", nil)
	r.Header.Del("Authorization")
	o := p.send(r)
	o.is(t, "options", 204, "Tus-Version", "1.0.0", "Tus-Checksum-Algorithm", "sha1,sha256", "Tus-Max-Size", strconv.Itoa(512<<20))
	for _, e := range []string{"creation", "creation-with-upload", "creation-defer-length", "checksum", "expiration", "termination", "concatenation"} {
		if !strings.Contains(","+o.header.Get("Tus-Extension")+",", ","+e+",") {
			t.Errorf("no %s in %q", e, o.header.Get("Tus-Extension"))
		}
	}
	nobody := &person{w: w, token: "x"}
	if a := nobody.tus("POST", "/v1/uploads", nil, "Upload-Length", "1"); a.status != 401 {
		t.Errorf("a stranger gets %d", a.status)
	}
}

func TestTus_Checksum(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := []byte("hello world")
	at := p.newTus(int64(len(content)))
	one, two := sha1.Sum(content[:5]), sha256.Sum256(content[5:])
	sum := func(algorithm string, b []byte) string { return algorithm + " " + base64.StdEncoding.EncodeToString(b) }
	p.tus("PATCH", at, content[:5], "Upload-Offset", "0", "Upload-Checksum", sum("sha1", two[:20])).refused(t, "wrong", 460, "DIGEST_MISMATCH")
	p.tus("HEAD", at, nil).is(t, "discarded", 200, "Upload-Offset", "0")
	p.tus("PATCH", at, content[:5], "Upload-Offset", "0", "Upload-Checksum", sum("md5", one[:])).refused(t, "md5", 400, "VALIDATION_ERROR")
	p.tus("PATCH", at, content[:5], "Upload-Offset", "0", "Upload-Checksum", "sha1").refused(t, "no sum", 400, "VALIDATION_ERROR")
	p.tus("PATCH", at, content[:5], "Upload-Offset", "0", "Upload-Checksum", sum("sha1", one[:])).is(t, "right", 204, "Upload-Offset", "5")
	p.tus("PATCH", at, content[5:], "Upload-Offset", "5", "Upload-Checksum", sum("sha256", one[:])).refused(t, "wrong at the end", 460, "DIGEST_MISMATCH")
	p.tus("HEAD", at, nil).is(t, "discarded again", 200, "Upload-Offset", "5", "Location", "")
	p.holds(p.tus("PATCH", at, content[5:], "Upload-Offset", "5", "Upload-Checksum", sum("sha256", two[:])).at(t, 204), content)
}

func TestTus_Offsets(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	at := p.newTus(10)
	p.tus("PATCH", at, []byte("abcde"), "Upload-Offset", "0").is(t, "five", 204)
	wrong := p.tus("PATCH", at, []byte("x"), "Upload-Offset", "4")
	wrong.refused(t, "behind", 409, "CONFLICT")
	wrong.is(t, "behind", 409, "Upload-Offset", "5")
	if !strings.Contains(string(wrong.body), `mismatching-upload-offset","title":"Conflict"`) ||
		!strings.Contains(string(wrong.body), `"expected-offset":5,"provided-offset":4`) {
		t.Errorf("says %s", wrong.body)
	}
	p.tus("PATCH", at, []byte("x"), "Upload-Offset", "6").refused(t, "ahead", 409, "CONFLICT")
	p.tus("PATCH", at, []byte("x")).refused(t, "none", 400, "VALIDATION_ERROR")
	p.tus("PATCH", at, []byte("x"), "Upload-Offset", "-5").refused(t, "negative", 400, "VALIDATION_ERROR")
	p.tus("PATCH", at, []byte("fghijk"), "Upload-Offset", "5").refused(t, "past the end", 413, "PAYLOAD_TOO_LARGE")
	p.tus("PATCH", at, []byte("x"), "Upload-Offset", "5", "Upload-Length", "10").is(t, "the same length", 204)
	chunked := p.request("PATCH", at, io.MultiReader(strings.NewReader("ghijklmn")), "Tus-Resumable", "1.0.0", "Content-Type", offsetStream, "Upload-Offset", "6")
	p.send(chunked).refused(t, "past the end without a length", 413, "PAYLOAD_TOO_LARGE")
	p.tus("HEAD", at, nil).is(t, "kept", 200, "Upload-Offset", "6")
	r := p.request("PATCH", at, strings.NewReader("x"), "Tus-Resumable", "1.0.0", "Content-Type", "text/plain", "Upload-Offset", "6")
	p.send(r).refused(t, "type", 415, "UNSUPPORTED_MEDIA_TYPE")
	p.holds(p.tus("PATCH", at, []byte("ghij"), "Upload-Offset", "6").at(t, 204), []byte("abcdexghij"))
}

func TestTus_Concatenation(t *testing.T) {
	w := newWorld(t)
	p, other := w.person(), w.person()
	a, b := randomBytes(100_000), randomBytes(50_000)
	part := func(content []byte) string {
		at := p.newTus(int64(len(content)), "Upload-Concat", "partial")
		p.tus("PATCH", at, content, "Upload-Offset", "0").is(t, "part", 204, "Location", "")
		p.tus("HEAD", at, nil).is(t, "part", 200, "Upload-Concat", "partial")
		return at
	}
	one, two := part(a), part(b)
	open := p.newTus(5, "Upload-Concat", "partial")
	whole := p.newTus(1)
	for says, list := range map[string]string{
		"open part": one + " " + open, "no part": one + " " + whole, "twice": one + " " + one, "none": "", "elsewhere": "/v1/files/x",
	} {
		p.tus("POST", "/v1/uploads", nil, "Upload-Concat", "final;"+list).refused(t, says, 400, "VALIDATION_ERROR")
	}
	other.tus("POST", "/v1/uploads", nil, "Upload-Concat", "final;"+one+" "+two).refused(t, "another's parts", 404, "NOT_FOUND")
	p.tus("POST", "/v1/uploads", nil, "Upload-Concat", "final;"+one, "Upload-Length", "5").refused(t, "length", 400, "VALIDATION_ERROR")

	final := "final;" + w.url + one + " " + two
	at := p.tus("POST", "/v1/uploads", nil, "Upload-Concat", final, "Upload-Metadata", metadata("filename", "joined.bin")).at(t, 201)
	h := p.tus("HEAD", at, nil)
	h.is(t, "final", 200, "Upload-Concat", "final;"+one+" "+two, "Upload-Length", "150000", "Upload-Offset", "150000")
	if f := p.holds(h.header.Get("Location"), append(bytes.Clone(a), b...)); f.Name != "joined.bin" {
		t.Errorf("joined %+v", f)
	}
	p.tus("PATCH", at, []byte("x"), "Upload-Offset", "150000").refused(t, "PATCH of a final upload", 403, "FORBIDDEN")
	again := p.tus("POST", "/v1/uploads", nil, "Upload-Concat", final, "Upload-Metadata", metadata("filename", "joined.bin"))
	again.is(t, "asked again", 201, "Location", at, "Content-Location", h.header.Get("Location"))
	p.tus("POST", "/v1/uploads", nil, "Upload-Concat", "final;"+two+" "+one).refused(t, "used up", 400, "VALIDATION_ERROR")
	if u := p.get("/v1/files/usage"); !strings.HasPrefix(string(u.body), `{"bytes":150000,"files":1,`) {
		t.Errorf("usage is %s", u.body)
	}
}

// A part whose bytes have changed on the disk since they were acknowledged must not become a file with a digest of its own.
func TestTus_DamagedPartsAreNotJoined(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := randomBytes(100_000)
	part := func() string {
		at := p.newTus(int64(len(content)), "Upload-Concat", "partial")
		p.tus("PATCH", at, content, "Upload-Offset", "0").is(t, "part", 204)
		return at
	}
	one, two := part(), part()
	bad := bytes.Clone(content)
	bad[70_000] ^= 1
	if err := os.WriteFile(filepath.Join(w.dir, "blobs", "uploads", filepath.Base(two)), bad, 0o600); err != nil {
		t.Fatal(err)
	}
	p.tus("POST", "/v1/uploads", nil, "Upload-Concat", "final;"+one+" "+two).refused(t, "damaged part", 410, "NOT_FOUND")
	if u := p.get("/v1/files/usage"); !strings.HasPrefix(string(u.body), `{"bytes":0,"files":0,`) {
		t.Errorf("usage is %s", u.body)
	}
	p.tus("HEAD", two, nil).is(t, "the damaged part", 404)
	p.tus("POST", "/v1/uploads", nil, "Upload-Concat", "final;"+one+" "+part()).at(t, 201)
}

package filessvc

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/httpapi"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

const offsetStream = "application/offset+octet-stream"

// tus makes a request in tus and returns its answer.
func (p *person) tus(method, path string, body []byte, headers ...string) answer {
	p.w.t.Helper()
	headers = append([]string{"Tus-Resumable", "1.0.0"}, headers...)
	if method == http.MethodPatch {
		headers = append(headers, "Content-Type", offsetStream)
	}
	a := p.do(method, path, bytes.NewReader(body), headers...)
	if a.err == nil && a.header.Get("Tus-Resumable") != "1.0.0" {
		p.w.t.Errorf("%s %s: answer is not in tus: %v", method, path, a.header)
	}
	return a
}

func metadata(pairs ...string) string {
	var words []string
	for i := 0; i+1 < len(pairs); i += 2 {
		words = append(words, pairs[i]+" "+base64.StdEncoding.EncodeToString([]byte(pairs[i+1])))
	}
	return strings.Join(words, ",")
}

// newTus makes an upload and returns where it is.
func (p *person) newTus(length int64, headers ...string) string {
	p.w.t.Helper()
	headers = append(headers, "Upload-Length", strconv.FormatInt(length, 10))
	a := p.tus("POST", "/v1/uploads", nil, headers...)
	return a.at(p.w.t, 201)
}

// at expects a status and returns the Location.
func (a answer) at(t *testing.T, status int) string {
	t.Helper()
	if a.err != nil || a.status != status || a.header.Get("Location") == "" {
		t.Fatalf("got %d %v %s, %v; want %d and a Location", a.status, a.header, a.body, a.err, status)
	}
	return a.header.Get("Location")
}

func (a answer) is(t *testing.T, says string, status int, headers ...string) {
	t.Helper()
	if a.err != nil || a.status != status {
		t.Fatalf("%s: got %d %s, %v; want %d", says, a.status, a.body, a.err, status)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if got := a.header.Get(headers[i]); got != headers[i+1] {
			t.Errorf("%s: %s is %q, want %q", says, headers[i], got, headers[i+1])
		}
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// holds checks a file's bytes and digest.
func (p *person) holds(location string, content []byte) (f file) {
	p.w.t.Helper()
	f = p.get(location).file(p.w.t, 200)
	sum := sha256.Sum256(content)
	got := p.get(location + "/content")
	if f.SHA256 != fmt.Sprintf("%x", sum) || !bytes.Equal(got.body, content) || f.Size != int64(len(content)) {
		p.w.t.Errorf("file %+v has %d other bytes than uploaded (%d)", f, len(got.body), len(content))
	}
	return f
}

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

func TestUploads_AnothersIsNotThere(t *testing.T) {
	w := newWorld(t)
	p, other := w.person(), w.person()
	at := p.newTus(10)
	for _, path := range []string{at, "/v1/uploads/AAAAAAAAAAAAAAAAAAAAAAAAAA", "/v1/uploads/..%2f..%2fetc"} {
		other.tus("PATCH", path, []byte("x"), "Upload-Offset", "0").refused(t, path, 404, "NOT_FOUND")
		other.tus("HEAD", path, nil).is(t, path, 404)
		other.tus("DELETE", path, nil).refused(t, path, 404, "NOT_FOUND")
	}
	reader := w.person("files:read:self")
	reader.tus("POST", "/v1/uploads", nil, "Upload-Length", "1").refused(t, "without the right", 403, "FORBIDDEN")
	p.tus("HEAD", at, nil).is(t, "untouched", 200, "Upload-Offset", "0")
	if len(filepath.Base(at)) < 26 {
		t.Errorf("%s has less than 128 random bits", at)
	}
}

func TestUploads_QuotaIsReserved(t *testing.T) {
	w := newWorld(t, strings.Replace(policyYAML, "quota: 1Gi, maxObjectBytes: 512Mi", "quota: 1Mi, maxObjectBytes: 1Mi", 1))
	p := w.person()
	at := p.newTus(800 << 10)
	p.tus("POST", "/v1/uploads", nil, "Upload-Length", strconv.Itoa(300<<10)).refused(t, "over", 413, "QUOTA_EXCEEDED")
	deferred := p.tus("POST", "/v1/uploads", nil, "Upload-Defer-Length", "1").at(t, 201)
	p.tus("PATCH", deferred, randomBytes(100<<10), "Upload-Offset", "0").is(t, "within", 204)
	p.tus("PATCH", deferred, randomBytes(200<<10), "Upload-Offset", strconv.Itoa(100<<10)).refused(t, "over while it comes", 413, "QUOTA_EXCEEDED")
	p.tus("DELETE", at, nil).is(t, "given up", 204)
	p.tus("DELETE", deferred, nil).is(t, "given up", 204)
	p.nothingKept("after the end")
	p.newTus(1 << 20)
}

// underway waits until bytes of a request that is still sending have been taken in.
func (p *person) underway(at string) {
	p.w.t.Helper()
	eventually(p.w.t, "under way", func() error {
		info, err := os.Stat(filepath.Join(p.w.dir, "blobs", "uploads", filepath.Base(at)))
		if err == nil && info.Size() == 0 {
			err = io.ErrNoProgress
		}
		return err
	})
}

func TestUploads_TheLaterRequestWins(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := randomBytes(300_000)
	at := p.newTus(int64(len(content)))
	body, feed := io.Pipe()
	older := make(chan answer, 1)
	go func() {
		r := p.request("PATCH", at, body, "Tus-Resumable", "1.0.0", "Content-Type", offsetStream, "Upload-Offset", "0")
		older <- p.send(r)
	}()
	_, _ = feed.Write(content[:200_000])
	p.underway(at)
	began := time.Now()
	h := p.tus("HEAD", at, nil) // takes the upload over: what it tells stays true
	if took := time.Since(began); h.status != 200 || took > time.Second {
		t.Fatalf("HEAD beside a PATCH got %d after %s", h.status, took)
	}
	offset, err := strconv.Atoi(h.header.Get("Upload-Offset"))
	if err != nil || offset == 0 || offset > 200_000 {
		t.Fatalf("offset is %q", h.header.Get("Upload-Offset"))
	}
	go func() { _, _ = feed.Write(bytes.Repeat([]byte("z"), 100_000)); _ = feed.Close() }()
	if a := <-older; a.err == nil && a.status != 409 {
		t.Errorf("the older request got %d %s", a.status, a.body)
	}
	p.tus("HEAD", at, nil).is(t, "still", 200, "Upload-Offset", strconv.Itoa(offset))
	p.holds(p.tus("PATCH", at, content[offset:], "Upload-Offset", strconv.Itoa(offset)).at(t, 204), content)
}

func TestUploads_ParallelPatchesNeverMix(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	const size = 400_000
	at := p.newTus(size)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			p.tus("PATCH", at, bytes.Repeat([]byte{byte('a' + i)}, size), "Upload-Offset", "0")
		})
	}
	group.Wait()
	h := p.tus("HEAD", at, nil)
	offset, _ := strconv.Atoi(h.header.Get("Upload-Offset"))
	where := h.header.Get("Location")
	if offset < size {
		where = p.tus("PATCH", at, bytes.Repeat([]byte{'z'}, size-offset), "Upload-Offset", strconv.Itoa(offset)).at(t, 204)
	}
	got := p.get(where + "/content").body
	for _, c := range got[:offset] {
		if c != got[0] {
			t.Fatalf("the first %d bytes are of several requests", offset)
		}
	}
}

func TestUploads_CutConnectionKeepsTheOffset(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := randomBytes(500_000)
	at := p.newTus(int64(len(content)))
	ctx, cancel := context.WithCancel(t.Context())
	body, feed := io.Pipe()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		p.send(p.request("PATCH", at, body, "Tus-Resumable", "1.0.0", "Content-Type", offsetStream, "Upload-Offset", "0").WithContext(ctx))
	}()
	_, _ = feed.Write(content[:400_000])
	p.underway(at)
	cancel()
	_ = feed.Close()
	<-gone
	h := p.tus("HEAD", at, nil)
	offset, _ := strconv.Atoi(h.header.Get("Upload-Offset"))
	if offset == 0 {
		t.Fatalf("%d bytes of 400000 are kept", offset)
	}
	p.holds(p.tus("PATCH", at, content[offset:], "Upload-Offset", strconv.Itoa(offset)).at(t, 204), content)
}

func TestUploads_RevocationCutsAndKeepsTheOffset(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := randomBytes(300_000)
	at := p.newTus(int64(len(content)))
	body, feed := io.Pipe()
	done := make(chan answer, 1)
	go func() {
		done <- p.send(p.request("PATCH", at, body, "Tus-Resumable", "1.0.0", "Content-Type", offsetStream, "Upload-Offset", "0"))
	}()
	_, _ = feed.Write(content[:200_000])
	p.underway(at)
	began := time.Now()
	w.issuer.Revoke(token.KindSession, p.session)
	select {
	case a := <-done:
		if a.err == nil && a.status != 401 {
			t.Errorf("got %d %s", a.status, a.body)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("not cut")
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("cut after %s", took)
	}
	_ = feed.Close()
	p.token = w.issuer.Mint(tokentest.Subject(p.id), tokentest.Permissions(strings.Fields(allFiles)...))
	offset, _ := strconv.Atoi(p.tus("HEAD", at, nil).header.Get("Upload-Offset"))
	if offset == 0 {
		t.Errorf("%d bytes are kept", offset)
	}
	p.holds(p.tus("PATCH", at, content[offset:], "Upload-Offset", strconv.Itoa(offset)).at(t, 204), content)
}

func TestUploads_LocationBehindAPrefix(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	at := p.newTus(1, "X-Forwarded-Prefix", "/cloud")
	if !strings.HasPrefix(at, "/cloud/v1/uploads/") {
		t.Errorf("Location is %s", at)
	}
	if odd := p.newTus(1, "X-Forwarded-Prefix", "//evil.example"); !strings.HasPrefix(odd, "/v1/uploads/") {
		t.Errorf("Location is %s", odd)
	}
}

func TestUploads_SurviveARestart(t *testing.T) {
	dir, issuer := t.TempDir(), tokentest.New(t)
	w := newWorldIn(t, dir, issuer, func(*Config) {})
	p := w.person()
	content := randomBytes(200_000)
	at := p.newTus(int64(len(content)))
	p.tus("PATCH", at, content[:120_000], "Upload-Offset", "0").is(t, "some", 204)
	w.stop()
	w2 := newWorldIn(t, dir, issuer, func(*Config) {})
	p.w = w2
	p.tus("HEAD", at, nil).is(t, "after the restart", 200, "Upload-Offset", "120000")
	p.holds(p.tus("PATCH", at, content[120_000:], "Upload-Offset", "120000").at(t, 204), content)
}

// trickle begins a PATCH that sends so much and then stays silent.
func (p *person) trickle(at string, content []byte) (answered chan answer, end func()) {
	body, feed := io.Pipe()
	answered = make(chan answer, 1)
	r := p.request("PATCH", at, body, "Tus-Resumable", "1.0.0", "Content-Type", offsetStream, "Upload-Offset", "0")
	go func() { answered <- p.send(r) }()
	_, _ = feed.Write(content)
	return answered, func() { _ = feed.Close() }
}

func TestUploads_TooSlowIsCutAndKeepsTheOffset(t *testing.T) {
	w := newWorldIn(t, t.TempDir(), tokentest.New(t), func(c *Config) {
		c.pace = httpapi.Pace{Window: 300 * time.Millisecond, FloorBytes: 300}
	})
	p := w.person()
	content := randomBytes(100_000)
	at := p.newTus(int64(len(content)))
	answered, end := p.trickle(at, content[:60_000])
	defer end()
	select {
	case a := <-answered:
		a.refused(t, "silent", 408, "UNAVAILABLE")
	case <-time.After(10 * time.Second):
		t.Fatal("not cut")
	}
	p.tus("HEAD", at, nil).is(t, "cut", 200, "Upload-Offset", "60000")
	p.holds(p.tus("PATCH", at, content[60_000:], "Upload-Offset", "60000").at(t, 204), content)
}

func TestUploads_AStopCutsAndKeepsTheOffset(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := randomBytes(100_000)
	at := p.newTus(int64(len(content)))
	listener := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		stopped <- run.Serve(ctx, run.ServeOptions{Log: slog.New(slog.DiscardHandler), DrainTimeout: 20 * time.Second},
			[]run.Server{{Name: "files", Listener: listener, Handler: w.service.Handler()}})
	}()
	before := w.url
	w.url = "http://" + listener.Addr().String()
	answered, end := p.trickle(at, content[:60_000])
	defer end()
	p.underway(at)
	stop()
	select {
	case a := <-answered:
		a.refused(t, "stopped", 503, "UNAVAILABLE")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("an upload holds up the end")
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	w.url = before
	offset, _ := strconv.Atoi(p.tus("HEAD", at, nil).header.Get("Upload-Offset"))
	if offset == 0 || offset > 60_000 {
		t.Fatalf("%d bytes of 60000 are kept", offset)
	}
	p.holds(p.tus("PATCH", at, content[offset:], "Upload-Offset", strconv.Itoa(offset)).at(t, 204), content)
}

// interop makes a request in the IETF draft, and collects the informational answers.
func (p *person) interop(method, path string, body []byte, headers ...string) (answer, []http.Header) {
	p.w.t.Helper()
	var ahead []http.Header
	r := p.request(method, path, bytes.NewReader(body), append(headers, "Upload-Draft-Interop-Version", "8")...)
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 104 {
				ahead = append(ahead, http.Header(h))
			}
			return nil
		},
	}))
	return p.send(r), ahead
}

func TestInterop_AllAtOnce(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := randomBytes(100_000)
	a, ahead := p.interop("POST", "/v1/uploads", content, "Upload-Complete", "?1", "Content-Type", "image/png",
		"Content-Disposition", "attachment; filename*=UTF-8''%D1%84.png")
	f := a.file(t, 200)
	a.is(t, "created", 200, "Upload-Complete", "?1", "Upload-Offset", "100000", "Location", "/v1/files/"+f.ID)
	if len(ahead) != 1 || !strings.HasPrefix(ahead[0].Get("Location"), "/v1/uploads/") || !strings.Contains(ahead[0].Get("Upload-Limit"), "max-size=536870912") ||
		ahead[0].Get("Upload-Draft-Interop-Version") != "8" {
		t.Fatalf("told ahead: %v", ahead)
	}
	if p.holds("/v1/files/"+f.ID, content); f.Name != "ф.png" || f.ContentType != "image/png" {
		t.Errorf("file is %+v", f)
	}
	h, _ := p.interop("HEAD", ahead[0].Get("Location"), nil)
	h.is(t, "done", 204, "Upload-Complete", "?1", "Upload-Offset", "100000", "Upload-Length", "100000", "Location", "/v1/files/"+f.ID)
	again, _ := p.interop("PATCH", ahead[0].Get("Location"), nil, "Content-Type", "application/partial-upload", "Upload-Offset", "100000", "Upload-Complete", "?1")
	if g := again.file(t, 200); g.ID != f.ID {
		t.Errorf("asked again: %+v", g)
	}
	more, _ := p.interop("PATCH", ahead[0].Get("Location"), []byte("x"), "Content-Type", "application/partial-upload", "Upload-Offset", "100000", "Upload-Complete", "?1")
	more.refused(t, "more", 400, "VALIDATION_ERROR")
	if !strings.Contains(string(more.body), "#completed-upload") {
		t.Errorf("says %s", more.body)
	}
}

func TestInterop_InPieces(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	content := randomBytes(100_000)
	const partial = "application/partial-upload"
	sum := sha256.Sum256(content)
	digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	a, _ := p.interop("POST", "/v1/uploads", content[:40_000], "Upload-Complete", "?0", "Repr-Digest", digest)
	at := a.at(t, 201)
	a.is(t, "begun", 201, "Upload-Complete", "?0", "Upload-Offset", "40000")
	h, _ := p.interop("HEAD", at, nil)
	h.is(t, "begun", 204, "Upload-Complete", "?0", "Upload-Offset", "40000", "Upload-Length", "")
	odd, _ := p.interop("HEAD", at, nil, "Upload-Offset", "3")
	odd.is(t, "told what is asked", 400)

	for says, c := range map[string]struct {
		headers []string
		status  int
		code    string
	}{
		"offset":  {[]string{"Content-Type", partial, "Upload-Offset", "1", "Upload-Complete", "?0"}, 409, "CONFLICT"},
		"no flag": {[]string{"Content-Type", partial, "Upload-Offset", "40000"}, 400, "VALIDATION_ERROR"},
		"flag":    {[]string{"Content-Type", partial, "Upload-Offset", "40000", "Upload-Complete", "1"}, 400, "VALIDATION_ERROR"},
		"type":    {[]string{"Content-Type", "text/plain", "Upload-Offset", "40000", "Upload-Complete", "?0"}, 415, "UNSUPPORTED_MEDIA_TYPE"},
		"length":  {[]string{"Content-Type", partial, "Upload-Offset", "40000", "Upload-Complete", "?1", "Upload-Length", "9"}, 400, "VALIDATION_ERROR"},
		"digest":  {[]string{"Content-Type", partial, "Upload-Offset", "40000", "Upload-Complete", "?0", "Content-Digest", digest}, 400, "DIGEST_MISMATCH"},
	} {
		r, _ := p.interop("PATCH", at, []byte("x"), c.headers...)
		r.refused(t, says, c.status, c.code)
	}
	part, _ := p.interop("PATCH", at, content[40_000:70_000], "Content-Type", partial, "Upload-Offset", "40000", "Upload-Complete", "?0")
	part.is(t, "part", 204, "Upload-Complete", "?0", "Upload-Offset", "70000")
	last, _ := p.interop("PATCH", at, content[70_000:], "Content-Type", partial, "Upload-Offset", "70000", "Upload-Complete", "?1")
	f := last.file(t, 200)
	last.is(t, "last", 200, "Upload-Complete", "?1", "Location", "/v1/files/"+f.ID)
	p.holds("/v1/files/"+f.ID, content)
}

func TestInterop_WrongWholeDigestLeavesNothing(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	sum := sha256.Sum256([]byte("other"))
	a, _ := p.interop("POST", "/v1/uploads", []byte("these"), "Upload-Complete", "?1",
		"Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	a.refused(t, "wrong digest", 400, "DIGEST_MISMATCH")
	p.nothingKept("wrong digest")
}

func TestInterop_OtherVersionsAndCancel(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	p.do("POST", "/v1/uploads", nil, "Upload-Draft-Interop-Version", "6", "Upload-Complete", "?0").refused(t, "interop 6", 400, "VALIDATION_ERROR")
	a, _ := p.interop("POST", "/v1/uploads", nil, "Upload-Complete", "?0", "Upload-Length", "100")
	at := a.at(t, 201)
	end, _ := p.interop("DELETE", at, nil)
	end.is(t, "cancelled", 204)
	gone, _ := p.interop("HEAD", at, nil)
	gone.is(t, "cancelled", 404)
	p.nothingKept("cancelled")
	var doc map[string]any
	if err := json.Unmarshal(a.body, &doc); len(a.body) > 0 && err == nil {
		t.Errorf("an incomplete upload answered %s", a.body)
	}
}

package filessvc

import (
	"bytes"
	"context"
	"io"
	"log/slog"
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
	if took := time.Since(began); h.status != 200 || took > soon {
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
	case <-time.After(patience):
		t.Fatal("not cut")
	}
	if took := time.Since(began); took > soon {
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

func (p *person) trickle(at string, content []byte) (answered chan answer, end func()) {
	body, feed := io.Pipe()
	answered = make(chan answer, 1)
	r := p.request("PATCH", at, body, "Tus-Resumable", "1.0.0", "Content-Type", offsetStream, "Upload-Offset", "0")
	go func() { answered <- p.send(r) }()
	_, _ = feed.Write(content)
	return answered, func() { _ = feed.Close() }
}

func TestUploads_TooSlowIsCutAndKeepsTheOffset(t *testing.T) {
	t.Parallel() // most of it is waiting
	w := newWorldIn(t, t.TempDir(), tokentest.New(t), func(c *Config) {
		c.pace = httpapi.Pace{Window: 2 * time.Second, FloorBytes: 2000} // a busy client stands still for moments, not for seconds
	})
	p := w.person()
	content := randomBytes(100_000)
	at := p.newTus(int64(len(content)))
	answered, end := p.trickle(at, content[:60_000])
	defer end()
	select {
	case a := <-answered:
		a.refused(t, "silent", 408, "UNAVAILABLE")
	case <-time.After(patience):
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
	case <-time.After(patience):
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

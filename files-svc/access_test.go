package filessvc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

func TestAccess_AnothersFileIsNotThere(t *testing.T) {
	w := newWorld(t)
	owner, other := w.person(), w.person()
	admin := w.person("files:read:all", "files:create:all", "files:update:all", "files:delete:all")
	f := owner.upload("a.txt", "text/plain", strings.NewReader("secret"))
	for _, p := range []*person{other, admin} { // 'all' opens no door here: nothing in the contract names another's files
		for _, c := range []struct{ method, path, body string }{
			{"GET", "/v1/files/" + f.ID, ""}, {"PATCH", "/v1/files/" + f.ID, `{"name":"b"}`}, {"DELETE", "/v1/files/" + f.ID, ""},
			{"DELETE", "/v1/files/" + f.ID + "?permanent=1", ""}, {"GET", f.content(), ""}, {"PUT", f.content(), "x"},
		} {
			contentType := "application/json"
			if c.method == "PUT" {
				contentType = "text/plain"
			}
			a := p.do(c.method, c.path, strings.NewReader(c.body), "Content-Type", contentType)
			missing := p.do(c.method, strings.Replace(c.path, f.ID, "01a2006d-e99a-7e09-824a-47751b27b8cc", 1), strings.NewReader(c.body), "Content-Type", contentType)
			a.refused(t, c.method+" "+c.path, 404, "NOT_FOUND")
			if without := func(a answer) string { return stripInstance(string(a.body)) }; without(a) != without(missing) {
				t.Errorf("%s %s: %s tells more than %s", c.method, c.path, a.body, missing.body)
			}
		}
		if l := p.get("/v1/files"); !strings.Contains(string(l.body), `"items":[]`) {
			t.Errorf("another lists %s", l.body)
		}
	}
	if a := owner.get(f.content()); string(a.body) != "secret" {
		t.Errorf("the owner gets %d %q", a.status, a.body)
	}
}

func stripInstance(body string) string {
	before, rest, ok := strings.Cut(body, `"instance":"`)
	if !ok {
		return body
	}
	_, after, _ := strings.Cut(rest, `"`)
	return before + after
}

func TestAccess_RightsAreNeeded(t *testing.T) {
	w := newWorld(t)
	id := "01a2006d-e99a-7e09-824a-47751b27b8cc"
	calls := map[string][]string{
		"files:read:self": {
			"GET /v1/files", "GET /v1/files/usage", "GET /v1/files/" + id, "GET /v1/files/" + id + "/content", "HEAD /v1/files/" + id + "/content",
		},
		"files:create:self": {"POST /v1/files"},
		"files:update:self": {"PATCH /v1/files/" + id, "PUT /v1/files/" + id + "/content"},
		"files:delete:self": {"DELETE /v1/files/" + id},
	}
	for right, list := range calls {
		with, without := w.person(right), w.person(slicesWithout(strings.Fields(allFiles), right)...)
		for _, call := range list {
			method, path, _ := strings.Cut(call, " ")
			headers := []string{"Content-Disposition", "attachment; filename=a", "Content-Type", "application/json"}
			if a := without.do(method, path, strings.NewReader("{}"), headers...); a.status != 403 {
				t.Errorf("%s without %s: got %d %s", call, right, a.status, a.body)
			}
			if a := with.do(method, path, strings.NewReader("{}"), headers...); a.status == 403 || a.status >= 500 {
				t.Errorf("%s with %s: got %d %s", call, right, a.status, a.body)
			}
			nobody := &person{w: w, token: "x"}
			if a := nobody.do(method, path, nil, headers...); a.status != 401 || a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s without a token: got %d %s", call, a.status, a.body)
			}
		}
	}
}

func slicesWithout(list []string, drop string) (out []string) {
	for _, s := range list {
		if s != drop {
			out = append(out, s)
		}
	}
	return out
}

// endless is a body that never ends and never hurries: a live transfer.
type endless struct {
	ctx   context.Context
	every time.Duration
	chunk []byte
}

func (e endless) Read(p []byte) (int, error) {
	select {
	case <-e.ctx.Done():
		return 0, io.ErrUnexpectedEOF
	case <-time.After(e.every):
		return copy(p, e.chunk), nil
	}
}

func TestRevocation_CutsUploads(t *testing.T) {
	w := newWorld(t)
	for says, every := range map[string]time.Duration{"flowing": time.Millisecond, "silent": time.Hour} {
		p := w.person()
		result := make(chan answer, 1)
		go func() {
			r := p.request(http.MethodPost, "/v1/files", endless{t.Context(), every, make([]byte, 1000)},
				"Content-Type", "text/plain", "Content-Disposition", "attachment; filename=a")
			result <- p.send(r)
		}()
		w.transferring("up")
		start := time.Now()
		w.issuer.Revoke(token.KindSession, p.session)
		select {
		case a := <-result:
			// The answer may be lost to a client that is still sending; what counts is the end, and what is kept.
			if a.err == nil {
				a.refused(t, says, 401, "INVALID_TOKEN")
			}
			if took := time.Since(start); took > soon {
				t.Errorf("%s: cut after %v", says, took)
			}
		case <-time.After(patience):
			t.Fatalf("%s: never cut", says)
		}
	}
	eventually(t, "without blobs", func() error {
		if left := w.blobFiles(); len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		return nil
	})
}

// The last byte after the revocation does not make a file of what was sent before it.
func TestRevocation_MidUploadRefusesTheCommit(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	conn := w.dial()
	conn.head(p, "Content-Length: 10")
	conn.write("hello")
	w.transferring("up")
	w.applied(w.issuer.Revoke(token.KindSession, p.session))
	_, _ = io.WriteString(conn.conn, "world")
	if a := conn.answer(); a.err == nil {
		a.refused(t, "mid-upload", 401, "INVALID_TOKEN")
	}
	fresh := &person{w: w, id: p.id, token: w.issuer.Mint(tokentest.Subject(p.id), tokentest.Session("other"), tokentest.Permissions(strings.Fields(allFiles)...))}
	fresh.nothingKept("mid-upload")
}

func TestRevocation_CutsDownloads(t *testing.T) {
	w := newWorld(t)
	for says, kind := range map[string]token.Kind{"session": token.KindSession, "epoch": token.KindUserEpoch, "person": token.KindUserDeleted} {
		p := w.person()
		f := p.upload("a.bin", "text/plain", bytes.NewReader(someBytes(64<<20)))
		if says == "epoch" {
			p.get(f.content(), "Range", "bytes=0-0") // by the way of a range: the kernel sends it
		}
		res, err := w.http.Do(p.request(http.MethodGet, f.content(), nil))
		if err != nil {
			t.Fatal(err)
		}
		w.transferring("down") // the client reads nothing: the server is blocked in a write
		id := p.session
		if kind != token.KindSession {
			id = p.id
		}
		w.issuer.Revoke(kind, id)
		w.cut()
		if n, err := io.Copy(io.Discard, res.Body); err == nil || n >= f.Size {
			t.Errorf("%s: %d bytes came, %v", says, n, err)
		}
		_ = res.Body.Close()
		if a := p.get("/v1/files"); a.status != 401 {
			t.Errorf("%s: afterwards got %d", says, a.status)
		}
	}
}

// applied waits until the service has heard of an entry.
func (w *world) applied(entry token.Entry) {
	w.t.Helper()
	eventually(w.t, "applied", func() error {
		if head := w.service.auth.view.Head(); head < entry.Seq {
			return fmt.Errorf("applied up to %d", head)
		}
		return nil
	})
}

// cut waits until no download runs any more, though its reader takes nothing. A second is what is promised, on a machine with time for it.
func (w *world) cut() {
	w.t.Helper()
	start := time.Now()
	eventually(w.t, "cut", func() error {
		if n := w.metric("cloakroom_files_transfers_in_flight", "direction", "down"); n != 0 {
			return fmt.Errorf("%v still running", n)
		}
		return nil
	})
	if took := time.Since(start); took > soon {
		w.t.Errorf("cut after %v", took)
	}
}

// transferring waits until a transfer runs.
func (w *world) transferring(direction string) {
	w.t.Helper()
	eventually(w.t, "transferring", func() error {
		if w.metric("cloakroom_files_transfers_in_flight", "direction", direction) == 0 {
			return errors.New("no transfer")
		}
		return nil
	})
}

func TestErasure_DeletedPeopleLeaveNothing(t *testing.T) {
	w := newWorld(t)
	p, other := w.person(), w.person()
	p.upload("a.txt", "text/plain", strings.NewReader("mine"))
	kept := other.upload("b.txt", "text/plain", strings.NewReader("theirs"))
	entry := w.issuer.Revoke(token.KindUserDeleted, p.id)
	eventually(t, "erased", func() error {
		return w.workedOff(entry)
	})
	again := &person{w: w, token: w.issuer.Mint(tokentest.Subject(p.id), tokentest.Session("s2"), tokentest.Epoch(entry.Seq), tokentest.Permissions(strings.Fields(allFiles)...))}
	if a := again.get("/v1/files"); a.status != 401 {
		t.Errorf("a deleted person gets %d", a.status)
	}
	if a := other.get(kept.content()); string(a.body) != "theirs" {
		t.Errorf("another's file: got %d %q", a.status, a.body)
	}
	if n := w.metric("cloakroom_files_erasures_total", "result", "ok"); n != 1 {
		t.Errorf("%v erasures", n)
	}
}

// workedOff reports whether erasures have come as far as entry.
func (w *world) workedOff(entry token.Entry) error {
	seq, err := w.service.core.LogPosition(w.t.Context())
	if err == nil && seq != entry.Seq {
		err = fmt.Errorf("the log is worked off to %d", seq)
	}
	return err
}

// An erasure that a crash has swallowed is made up for at the next start, from the log.
func TestErasure_SurvivesARestart(t *testing.T) {
	dir, issuer := t.TempDir(), tokentest.New(t)
	first := newWorldIn(t, dir, issuer, func(*Config) {})
	p := first.person()
	p.upload("a.txt", "text/plain", strings.NewReader("mine"))
	first.stop()
	entry := issuer.Revoke(token.KindUserDeleted, p.id)
	second := newWorldIn(t, dir, issuer, func(*Config) {})
	eventually(t, "erased", func() error {
		return second.workedOff(entry)
	})
}

// A revocation that comes while the bytes are being made durable is in time: the commit asks.
func TestRevocation_WhileSyncingRefusesTheCommit(t *testing.T) {
	stores := filestest.Memory()
	revoked := fault.New(fault.InvalidToken, "revoked")
	ctx, revoke := context.WithCancelCause(filestest.As(t.Context(), "ann"))
	core := filestest.New(t, stores, files.Options{At: func(step string) error {
		if step == files.StepDurable {
			revoke(revoked)
		}
		return nil
	}})
	_, err := core.Create(ctx, "ann", files.NewFile{Name: "a", Size: 3}, strings.NewReader("abc"))
	if !errors.Is(err, revoked) {
		t.Errorf("got %v", err)
	}
	if u, err := core.Usage(filestest.As(t.Context(), "ann"), "ann"); err != nil || u.Files != 0 {
		t.Errorf("got %+v, %v", u, err)
	}
}

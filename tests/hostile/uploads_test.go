package hostile

import (
	"bytes"
	"encoding/base64"
	"io"
	"io/fs"
	"net/http"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

const offsetStream = "application/offset+octet-stream"

// tus sets a request's headers to those of tus 1.0 and the pairs given.
func tus(pairs ...string) harness.Option {
	return func(r *http.Request) {
		r.Header.Set("Tus-Resumable", "1.0.0")
		if r.Method == http.MethodPatch {
			r.Header.Set("Content-Type", offsetStream)
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			r.Header.Set(pairs[i], pairs[i+1])
		}
	}
}

func begin(c *harness.Client, length int, pairs ...string) string {
	return c.Do("POST", "/v1/uploads", nil, tus(append([]string{"Upload-Length", strconv.Itoa(length)}, pairs...)...)).Is(201).Header.Get("Location")
}

func patch(c *harness.Client, at, content string, offset int, pairs ...string) *harness.Answer {
	return c.Try("PATCH", at, strings.NewReader(content), tus(append([]string{"Upload-Offset", strconv.Itoa(offset)}, pairs...)...))
}

// stands expects an upload to stand at an offset.
func stands(t *testing.T, c *harness.Client, at string, offset int) {
	t.Helper()
	if got := c.Do("HEAD", at, nil, tus()).Is(200).Header.Get("Upload-Offset"); got != strconv.Itoa(offset) {
		t.Errorf("the upload stands at %s, want %d", got, offset)
	}
}

func coded(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestUploads_Interop(t *testing.T) {
	anyone := gateway(t)
	ada, eve := anyone.SignUp(), anyone.SignUp()
	draft := func(pairs ...string) harness.Option {
		return func(r *http.Request) {
			r.Header.Set("Upload-Draft-Interop-Version", "8")
			if r.Method == http.MethodPatch {
				r.Header.Set("Content-Type", "application/partial-upload")
			}
			for i := 0; i+1 < len(pairs); i += 2 {
				r.Header.Set(pairs[i], pairs[i+1])
			}
		}
	}
	at := ada.Do("POST", "/v1/uploads", strings.NewReader("hello"), draft("Upload-Complete", "?0", "Upload-Length", "10")).Is(201).Header.Get("Location")
	for says, c := range map[string]struct {
		who    *harness.Client
		body   string
		pairs  []string
		status int
	}{
		"another person":          {eve, "x", []string{"Upload-Offset", "5", "Upload-Complete", "?0"}, 404},
		"an offset behind":        {ada, "x", []string{"Upload-Offset", "4", "Upload-Complete", "?0"}, 409},
		"an offset ahead":         {ada, "x", []string{"Upload-Offset", "6", "Upload-Complete", "?0"}, 409},
		"past the end":            {ada, "world!", []string{"Upload-Offset", "5", "Upload-Complete", "?0"}, 413},
		"complete too early":      {ada, "wor", []string{"Upload-Offset", "5", "Upload-Complete", "?1"}, 400},
		"another length":          {ada, "w", []string{"Upload-Offset", "5", "Upload-Complete", "?0", "Upload-Length", "11"}, 400},
		"no word on completeness": {ada, "w", []string{"Upload-Offset", "5"}, 400},
		"a word that is none":     {ada, "w", []string{"Upload-Offset", "5", "Upload-Complete", "true"}, 400},
		"two words":               {ada, "w", []string{"Upload-Offset", "5", "Upload-Complete", "?0, ?1"}, 400},
		"a fraction":              {ada, "w", []string{"Upload-Offset", "5.0", "Upload-Complete", "?0"}, 400},
		"less than nothing":       {ada, "w", []string{"Upload-Offset", "-5", "Upload-Complete", "?0"}, 400},
		"a wrong digest": {ada, "w", []string{"Upload-Offset", "5", "Upload-Complete", "?0",
			"Content-Digest", "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:"}, 400},
		"another type":          {ada, "w", []string{"Upload-Offset", "5", "Upload-Complete", "?0", "Content-Type", "text/plain"}, 415},
		"another draft":         {ada, "w", []string{"Upload-Offset", "5", "Upload-Complete", "?0", "Upload-Draft-Interop-Version", "6"}, 400},
		"both protocols, wrong": {ada, "w", []string{"Upload-Offset", "5", "Upload-Complete", "?0", "Tus-Resumable", "9"}, 412},
	} {
		t.Run(says, func(t *testing.T) {
			a := c.who.Try("PATCH", at, strings.NewReader(c.body), draft(c.pairs...))
			if a.Err != nil || a.Status != c.status {
				t.Errorf("got %d %s, %v; want %d", a.Status, a.Body, a.Err, c.status)
			}
			if got := ada.Do("HEAD", at, nil, draft()).Is(204).Header.Get("Upload-Offset"); got != "5" && says != "complete too early" {
				t.Errorf("the upload stands at %s", got)
			}
			if says == "complete too early" { // what came counts, but it is no file
				ada.Do("DELETE", at, nil, draft()).Is(204)
				at = ada.Do("POST", "/v1/uploads", strings.NewReader("hello"), draft("Upload-Complete", "?0", "Upload-Length", "10")).Is(201).Header.Get("Location")
			}
		})
	}
	ada.Do("HEAD", at, nil, draft("Upload-Complete", "?1")).Is(400)
	if got := files(t, ada); len(got) != 0 {
		t.Errorf("there are files: %+v", got)
	}
}

func TestUploads_ManyRequestsForOne(t *testing.T) {
	ada := gateway(t).SignUp()
	const size = 300_000
	at := begin(ada, size)
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			patch(ada, at, strings.Repeat(string(rune('a'+i)), size), 0)
		})
	}
	group.Wait()
	head := ada.Do("HEAD", at, nil, tus()).Is(200)
	offset, _ := strconv.Atoi(head.Header.Get("Upload-Offset"))
	where := head.Header.Get("Location")
	if offset < size {
		where = patch(ada, at, strings.Repeat("z", size-offset), offset).Is(204).Header.Get("Location")
	}
	content := ada.Do("GET", where+"/content", nil).Is(200).Body
	if len(content) != size || offset > 0 && !bytes.Equal(content[:offset], bytes.Repeat(content[:1], offset)) {
		t.Errorf("%d bytes, the first %d of them of several requests", len(content), offset)
	}
	if got := files(t, ada); len(got) != 1 {
		t.Errorf("%d files", len(got))
	}
}

// untilBytesOf waits until some of an upload's bytes are in the stack's store.
func untilBytesOf(t *testing.T, stack *harness.Stack, at string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		kept := int64(0)
		_ = filepath.WalkDir(stack.Dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == path.Base(at) {
				if info, err := d.Info(); err == nil {
					kept = info.Size()
				}
			}
			return nil
		})
		if kept > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no byte of the upload is kept")
		}
	}
}

func TestUploads_LogoutCutsAndKeepsWhatCame(t *testing.T) {
	stack := harness.Start(t)
	anyone := harness.NewClient(t, stack.Public)
	ada := anyone.SignUp()
	again := anyone.LogIn(ada.User.Username, harness.Password)
	at := begin(ada, 1<<20)
	body, feed := io.Pipe()
	done := make(chan *harness.Answer, 1)
	go func() { done <- ada.Try("PATCH", at, body, tus("Upload-Offset", "0")) }()
	_, _ = feed.Write(make([]byte, 300_000))
	go func() { // a client that never stops
		for {
			if _, err := feed.Write(make([]byte, 100)); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	untilBytesOf(t, stack, at)
	began := time.Now()
	again.Do("DELETE", "/v1/auth/sessions/"+ada.Session.SessionID, nil).Is(204)
	select {
	case a := <-done:
		if a.Err == nil && a.Status != 401 {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	case <-time.After(patience):
		t.Fatal("not cut")
	}
	if took := time.Since(began); took > soon {
		t.Errorf("cut after %s", took)
	}
	_ = feed.Close()
	offset, _ := strconv.Atoi(again.Do("HEAD", at, nil, tus()).Is(200).Header.Get("Upload-Offset"))
	if offset == 0 || offset > 1<<20 {
		t.Errorf("the upload stands at %d", offset)
	}
	ada.Do("HEAD", at, nil, tus()).Is(401)
}

func TestUploads_ReservationsEndAtTheQuota(t *testing.T) {
	ada := gateway(t).SignUp()
	begin(ada, 5<<30)
	second := begin(ada, 5<<30)
	ada.Do("POST", "/v1/uploads", nil, tus("Upload-Length", "1")).Refused(413, "QUOTA_EXCEEDED")
	ada.Upload("a", []byte("x")).Refused(413, "QUOTA_EXCEEDED")
	ada.Do("DELETE", second, nil, tus()).Is(204)
	ada.Upload("a", []byte("x")).Is(201)
}

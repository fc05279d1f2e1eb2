package hostile

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
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

func TestUploads_Tus(t *testing.T) {
	anyone := gateway(t)
	ada, eve := anyone.SignUp(), anyone.SignUp()

	t.Run("a chunk behind or ahead of the offset", func(t *testing.T) {
		at := begin(ada, 10)
		patch(ada, at, "hello", 0).Is(204)
		for _, offset := range []int{0, 4, 6, 10, 1 << 40} {
			a := patch(ada, at, "x", offset)
			a.Is(409)
			if a.Header.Get("Upload-Offset") != "5" {
				t.Errorf("at %d: told to go on at %q", offset, a.Header.Get("Upload-Offset"))
			}
		}
		stands(t, ada, at, 5)
	})
	t.Run("a chunk past the end", func(t *testing.T) {
		at := begin(ada, 4)
		patch(ada, at, "hello", 0).Refused(413, "PAYLOAD_TOO_LARGE")
		ada.Do("PATCH", at, io.MultiReader(strings.NewReader("hello")), tus("Upload-Offset", "0")).Refused(413, "PAYLOAD_TOO_LARGE")
		stands(t, ada, at, 0)
	})
	t.Run("a wrong checksum", func(t *testing.T) {
		at := begin(ada, 5)
		sum := sha1.Sum([]byte("jello"))
		patch(ada, at, "hello", 0, "Upload-Checksum", "sha1 "+base64.StdEncoding.EncodeToString(sum[:])).Refused(460, "DIGEST_MISMATCH")
		stands(t, ada, at, 0)
	})
	t.Run("checksums nobody checks", func(t *testing.T) {
		at := begin(ada, 5)
		for _, sum := range []string{"md5 XUFAKrxLKna5cZ2REBfFkg==", "sha1", "sha1 !", "crc32 AAAAAA==", "SHA1 qvTGHdzF6KLavt4PO0gs2a6pQ00="} {
			patch(ada, at, "hello", 0, "Upload-Checksum", sum).Refused(400, "VALIDATION_ERROR")
		}
		stands(t, ada, at, 0)
	})
	t.Run("a length that shrinks or changes", func(t *testing.T) {
		at := ada.Do("POST", "/v1/uploads", nil, tus("Upload-Defer-Length", "1")).Is(201).Header.Get("Location")
		patch(ada, at, "hello", 0).Is(204)
		patch(ada, at, "", 5, "Upload-Length", "4").Is(400)
		patch(ada, at, "", 5, "Upload-Length", "-1").Is(400)
		patch(ada, at, "", 5, "Upload-Length", "99999999999999999999").Is(400)
		patch(ada, at, "", 5, "Upload-Length", strconv.Itoa(6<<30)).Refused(413, "PAYLOAD_TOO_LARGE")
		patch(ada, at, "", 5, "Upload-Length", "8").Is(204)
		patch(ada, at, "", 5, "Upload-Length", "9").Is(400)
		stands(t, ada, at, 5)
	})
	t.Run("guessed addresses", func(t *testing.T) {
		for _, id := range []string{"AAAAAAAAAAAAAAAAAAAAAAAAAA", "0", "01a2006d-e99a-7e09-824a-47751b27b8cc", strings.Repeat("A", 4000), "a'%20OR%201=1", "%00"} {
			if a := ada.Try("HEAD", "/v1/uploads/"+id, nil, tus()); a.Err != nil || a.Status != 404 && a.Status != 400 {
				t.Errorf("%.40s: %d %v", id, a.Status, a.Err)
			}
		}
	})
	t.Run("another person's address", func(t *testing.T) {
		at := begin(ada, 5)
		eve.Do("HEAD", at, nil, tus()).Is(404)
		patch(eve, at, "hello", 0).Refused(404, "NOT_FOUND")
		eve.Do("DELETE", at, nil, tus()).Refused(404, "NOT_FOUND")
		anyone.Do("HEAD", at, nil, tus()).Is(401)
		stands(t, ada, at, 0)
	})
	t.Run("a terminated upload", func(t *testing.T) {
		at := begin(ada, 5)
		ada.Do("DELETE", at, nil, tus()).Is(204)
		patch(ada, at, "hello", 0).Refused(404, "NOT_FOUND")
		ada.Do("DELETE", at, nil, tus()).Refused(404, "NOT_FOUND")
	})
	t.Run("another person's parts", func(t *testing.T) {
		at := begin(ada, 5, "Upload-Concat", "partial")
		patch(ada, at, "hello", 0).Is(204)
		eve.Do("POST", "/v1/uploads", nil, tus("Upload-Concat", "final;"+at)).Refused(404, "NOT_FOUND")
		if got := files(t, eve); len(got) != 0 {
			t.Errorf("she has %+v", got)
		}
	})
	t.Run("parts that are none", func(t *testing.T) {
		whole, open := begin(ada, 0), begin(ada, 5, "Upload-Concat", "partial")
		for _, list := range []string{whole, open, "", "x", "/v1/files/1", "https://evil.example/v1/uploads/", open + " " + open,
			strings.Repeat(open+" ", 300)} {
			if a := ada.Try("POST", "/v1/uploads", nil, tus("Upload-Concat", "final;"+list)); a.Status != 400 {
				t.Errorf("%.60q: %d %s", list, a.Status, a.Body)
			}
		}
		ada.Do("POST", "/v1/uploads", nil, tus("Upload-Concat", "final;"+open, "Upload-Length", "5")).Is(400)
		ada.Do("POST", "/v1/uploads", nil, tus("Upload-Concat", "part", "Upload-Length", "5")).Is(400)
	})
	t.Run("metadata", func(t *testing.T) {
		before := len(files(t, ada))
		for says, text := range map[string]string{
			"8 KiB and more":  "a " + coded(strings.Repeat("x", 7000)),
			"a long value":    "a " + coded(strings.Repeat("x", 2000)),
			"many keys":       "k eA==" + manyKeys(100),
			"no base64":       "filename ?",
			"one key twice":   "a YQ==,a Yg==",
			"a NUL in a name": "filename " + coded("a\x00b"),
			"a line in a name": "filename " +
				coded("a\r\nSet-Cookie: x=y"),
			"bytes that are no text": "filename " + coded("\xff\xfe"),
			"a name of dots":         "filename " + coded(".."),
			"a long name":            "filename " + coded(strings.Repeat("n", 256)),
			"a type that is none":    "filetype " + coded("text/html\r\nX: y"),
			"an empty key":           "a YQ==,, b YQ==",
		} {
			if a := ada.Try("POST", "/v1/uploads", nil, tus("Upload-Length", "0", "Upload-Metadata", text)); a.Status != 400 {
				t.Errorf("%s: %d %s", says, a.Status, a.Body)
			}
		}
		if after := len(files(t, ada)); after != before {
			t.Errorf("%d files more", after-before)
		}
	})
	t.Run("a name that is a path", func(t *testing.T) {
		at := begin(ada, 0, "Upload-Metadata", "filename "+coded("../../etc/passwd"))
		where := ada.Do("HEAD", at, nil, tus()).Is(200).Header.Get("Location")
		if f := ada.Do("GET", where, nil).Is(200).File(); f.Name != "../../etc/passwd" {
			t.Errorf("became %+v", f)
		}
	})
	t.Run("other versions of tus", func(t *testing.T) {
		for _, version := range []string{"0.2.2", "1.0.1", "2.0.0", "1.0.0, 2.0.0", "١.٠.٠"} {
			a := ada.Do("POST", "/v1/uploads", nil, harness.Header("Tus-Resumable", version), harness.Header("Upload-Length", "1"))
			a.Refused(412, "PRECONDITION_FAILED")
			if a.Header.Get("Tus-Version") != "1.0.0" {
				t.Errorf("%s: told of %q", version, a.Header.Get("Tus-Version"))
			}
		}
		ada.Do("POST", "/v1/uploads", nil, harness.Header("Upload-Length", "1")).Refused(412, "PRECONDITION_FAILED")
	})
	t.Run("doubled and odd numbers", func(t *testing.T) {
		at := begin(ada, 5)
		for _, offset := range []string{"", "-0", "+0", "0x0", "0.0", " 0 0", "0, 0", "１"} {
			if a := ada.Try("PATCH", at, strings.NewReader("hello"), tus("Upload-Offset", offset)); a.Err == nil && a.Status != 400 {
				t.Errorf("%q: %d", offset, a.Status)
			}
		}
		ada.Do("PATCH", at, strings.NewReader("hello"), tus("Upload-Offset", "0"), func(r *http.Request) {
			r.Header["Upload-Offset"] = []string{"0", "0"}
		}).Is(400)
		stands(t, ada, at, 0)
	})
	t.Run("a method in a header", func(t *testing.T) {
		at := begin(ada, 5)
		a := ada.Do("POST", at, strings.NewReader("hello"), tus("X-HTTP-Method-Override", "DELETE"))
		a.Refused(405, "METHOD_NOT_ALLOWED")
		stands(t, ada, at, 0)
	})
	t.Run("a poisoned Location", func(t *testing.T) {
		at := begin(ada, 1, "X-Forwarded-Host", "evil.example", "X-Forwarded-Prefix", "/evil", "X-Forwarded-Proto", "javascript")
		if !strings.HasPrefix(at, "/v1/uploads/") {
			t.Errorf("Location is %s", at)
		}
	})
	t.Run("a type that is not the protocol's", func(t *testing.T) {
		at := begin(ada, 5)
		ada.Do("PATCH", at, strings.NewReader("hello"), tus("Upload-Offset", "0", "Content-Type", "multipart/form-data; boundary=x")).Refused(415, "UNSUPPORTED_MEDIA_TYPE")
		ada.Do("POST", "/v1/uploads", strings.NewReader("hello"), tus("Upload-Length", "5", "Content-Type", "text/html")).Refused(415, "UNSUPPORTED_MEDIA_TYPE")
		stands(t, ada, at, 0)
	})
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",k%d eA==", i)
	}
	return b.String()
}

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

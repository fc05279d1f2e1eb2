package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/tests/harness"
)

const offsetStream = "application/offset+octet-stream"

// tus is a request in tus 1.0.
func tus(headers ...string) harness.Option {
	return func(r *http.Request) {
		r.Header.Set("Tus-Resumable", "1.0.0")
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// isFile checks that a file has these bytes, by digest and read back.
func isFile(t *testing.T, c *harness.Client, location string, content []byte) {
	t.Helper()
	sum := sha256.Sum256(content)
	f := c.Do("GET", location, nil).Is(200).File()
	if f.SHA256 != hex.EncodeToString(sum[:]) || f.Size != int64(len(content)) {
		t.Errorf("became %+v", f)
	}
	if got := c.Do("GET", location+"/content", nil).Is(200); !bytes.Equal(got.Body, content) {
		t.Error("reads back with other bytes")
	}
}

func TestUploads_TusThroughTheGateway(t *testing.T) {
	ada := harness.Shared(t).SignUp()
	options := ada.Fresh().Do("OPTIONS", "/v1/uploads", nil).Is(204)
	if ext := options.Header.Get("Tus-Extension"); !strings.Contains(ext, "concatenation") || options.Header.Get("Tus-Max-Size") == "" {
		t.Errorf("discovery says %v", options.Header)
	}
	content := randomBytes(5 << 20)
	at := ada.Do("POST", "/v1/uploads", nil, tus("Upload-Length", strconv.Itoa(len(content)),
		"Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte("文件.bin")))).Is(201).Header.Get("Location")
	for offset := 0; offset < len(content); offset += 2 << 20 {
		ada.Do("HEAD", at, nil, tus()).Is(200)
		end := min(len(content), offset+2<<20)
		ada.Do("PATCH", at, bytes.NewReader(content[offset:end]), tus("Content-Type", offsetStream, "Upload-Offset", strconv.Itoa(offset))).Is(204)
	}
	isFile(t, ada, ada.Do("HEAD", at, nil, tus()).Is(200).Header.Get("Location"), content)
	ada.Do("DELETE", at, nil, tus()).Is(204)
	ada.Do("HEAD", at, nil, tus()).Is(404)
	ada.Fresh().Do("HEAD", at, nil, tus()).Is(401)
}

func TestUploads_PagesOfOtherOrigins(t *testing.T) {
	ada := harness.Shared(t).SignUp()
	origin := harness.Header("Origin", "https://app.example.org")
	preflight := ada.Fresh().Do("OPTIONS", "/v1/uploads", nil, origin, harness.Header("Access-Control-Request-Method", "PATCH"),
		harness.Header("Access-Control-Request-Headers", "authorization,tus-resumable,upload-offset")).Is(204)
	for _, name := range []string{"Authorization", "Tus-Resumable", "Upload-Offset", "Upload-Metadata", "Upload-Checksum"} {
		if !strings.Contains(preflight.Header.Get("Access-Control-Allow-Headers"), strings.ToLower(name)) {
			t.Errorf("%s is not allowed: %v", name, preflight.Header)
		}
	}
	made := ada.Do("POST", "/v1/uploads", nil, origin, tus("Upload-Length", "1")).Is(201)
	for _, name := range []string{"Location", "Tus-Resumable", "Upload-Offset"} {
		if !strings.Contains(strings.ToLower(made.Header.Get("Access-Control-Expose-Headers")), strings.ToLower(name)) {
			t.Errorf("%s is not exposed: %v", name, made.Header)
		}
	}
	if made.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Error("cookies of other origins are taken")
	}
}

func TestUploads_InteropThroughTheGateway(t *testing.T) {
	ada := harness.Shared(t).SignUp()
	content := randomBytes(1 << 20)
	req, err := ada.Request("POST", "/v1/uploads", bytes.NewReader(content), harness.Header("Upload-Complete", "?1"),
		harness.Header("Upload-Draft-Interop-Version", "8"), harness.Raw("a.bin"))
	if err != nil {
		t.Fatal(err)
	}
	var ahead []http.Header
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 104 {
				ahead = append(ahead, http.Header(h))
			}
			return nil
		},
	}))
	res, err := ada.HTTP().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Upload-Complete") != "?1" {
		t.Fatalf("answered %d %v", res.StatusCode, res.Header)
	}
	isFile(t, ada, res.Header.Get("Location"), content)
	if len(ahead) == 0 || ahead[0].Get("Upload-Limit") == "" || ahead[0].Get("Location") == "" {
		t.Fatalf("told ahead: %v", ahead)
	}
	done := ada.Do("HEAD", ahead[0].Get("Location"), nil).Is(204)
	if done.Header.Get("Location") != res.Header.Get("Location") || done.Header.Get("Upload-Complete") != "?1" {
		t.Errorf("HEAD tells %v", done.Header)
	}
}

// slowly gives its content out in pieces, and waits after each: a line on which an upload can be interrupted.
type slowly struct {
	io.Reader
	piece int
	wait  time.Duration
}

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(s.wait)
	return s.Reader.Read(p[:min(len(p), s.piece)])
}

func TestUploads_KillInTheMiddleAndResume(t *testing.T) {
	s := harness.Start(t)
	ada := harness.NewClient(t, s.Public).SignUp()
	content := randomBytes(8 << 20)
	at := ada.Do("POST", "/v1/uploads", nil, tus("Upload-Length", strconv.Itoa(len(content)))).Is(201).Header.Get("Location")
	acknowledged, kills := 0, 0
	for {
		patched := make(chan *harness.Answer, 1)
		go func() {
			patched <- ada.Try("PATCH", at, slowly{bytes.NewReader(content[acknowledged:]), 64 << 10, 25 * time.Millisecond},
				tus("Content-Type", offsetStream, "Upload-Offset", strconv.Itoa(acknowledged)))
		}()
		time.Sleep(1300 * time.Millisecond)
		s.Kill()
		last := <-patched
		kills++
		s.Run()
		ada.Base = s.Public
		head := ada.Do("HEAD", at, nil, tus()).Is(200)
		offset, err := strconv.Atoi(head.Header.Get("Upload-Offset"))
		if err != nil || offset < acknowledged {
			t.Fatalf("offset %q after %d was acknowledged", head.Header.Get("Upload-Offset"), acknowledged)
		}
		t.Logf("kill %d: the PATCH got %d %v, the upload stands at %d", kills, last.Status, last.Err, offset)
		if acknowledged = offset; kills == 2 {
			break
		}
	}
	if acknowledged == 0 {
		t.Error("nothing of a long PATCH survives a kill")
	}
	if acknowledged < len(content) {
		ada.Do("PATCH", at, bytes.NewReader(content[acknowledged:]), tus("Content-Type", offsetStream, "Upload-Offset", strconv.Itoa(acknowledged))).Is(204)
	}
	isFile(t, ada, ada.Do("HEAD", at, nil, tus()).Is(200).Header.Get("Location"), content)
}

// A stop tells a client that is still sending at once, does not wait for it, and loses no byte that was acknowledged: the next
// process goes on where this one ended.
func TestUploads_StopInTheMiddleKeepsTheOffset(t *testing.T) {
	s := harness.Start(t)
	ada := harness.NewClient(t, s.Public).SignUp()
	content := randomBytes(256 << 20) // at the pace below it would take minutes
	at := ada.Do("POST", "/v1/uploads", nil, tus("Upload-Length", strconv.Itoa(len(content)))).Is(201).Header.Get("Location")
	patched := make(chan *harness.Answer, 1)
	go func() {
		patched <- ada.Try("PATCH", at, slowly{bytes.NewReader(content), 64 << 10, 25 * time.Millisecond},
			tus("Content-Type", offsetStream, "Upload-Offset", "0"))
	}()
	time.Sleep(800 * time.Millisecond)
	began := time.Now()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("an upload held up the end for %s", took)
	}
	if last := <-patched; last.Err != nil || last.Status != http.StatusServiceUnavailable || last.Header.Get("Retry-After") == "" {
		t.Errorf("the client was told %d %v, %v", last.Status, last.Header, last.Err)
	}
	s.Run()
	ada.Base = s.Public
	offset, _ := strconv.Atoi(ada.Do("HEAD", at, nil, tus()).Is(200).Header.Get("Upload-Offset"))
	t.Logf("the upload stands at %d", offset)
	if offset == 0 {
		t.Error("SIGTERM lost what had come")
	}
	ada.Do("PATCH", at, bytes.NewReader(content[offset:]), tus("Content-Type", offsetStream, "Upload-Offset", strconv.Itoa(offset))).Is(204)
	isFile(t, ada, ada.Do("HEAD", at, nil, tus()).Is(200).Header.Get("Location"), content)
}

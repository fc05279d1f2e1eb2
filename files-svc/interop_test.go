package filessvc

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
)

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

package filessvc

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
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

// underway waits until bytes of a request that is still sending have been taken in.

// trickle begins a PATCH that sends so much and then stays silent.

// interop makes a request in the IETF draft, and collects the informational answers.

package filessvc

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/files-svc/internal/adapter/httpapi"
	"cloakroom.dev/libs/token/tokentest"
)

// raw is a connection on which a test writes what no client would.
type raw struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (w *world) dial() *raw {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &raw{w.t, conn, bufio.NewReader(conn)}
}

// head writes the head of an upload.
func (c *raw) head(p *person, lines ...string) {
	c.t.Helper()
	c.write("POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + p.token + "\r\n" +
		"Content-Disposition: attachment; filename=a.txt\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n")
}

func (c *raw) write(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *raw) answer() answer {
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return answer{err: err}
	}
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, body, err}
}

// closed checks that the server ends the connection.
func (c *raw) closed(says string) {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.in.ReadByte(); err == nil || isTimeout(err) {
		c.t.Errorf("%s: the connection stays open: %v", says, err)
	}
}

func isTimeout(err error) bool {
	t, ok := err.(net.Error) //nolint:errorlint // straight from the connection
	return ok && t.Timeout()
}

func hurried(t *testing.T, documents ...string) *world {
	return newWorldIn(t, t.TempDir(), tokentest.New(t), func(c *Config) {
		c.pace = httpapi.Pace{Window: time.Second, FloorBytes: 1000}
	}, documents...)
}

func TestHostile_RefusedRequestsSendNoBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.person()
	t.Run("each", func(t *testing.T) {
		for says, c := range map[string]struct {
			token  string
			lines  []string
			status int
			code   string
		}{
			"no permission":        {w.person("files:read:self").token, []string{"Content-Length: 10"}, 403, "FORBIDDEN"},
			"a bad token":          {"x.y.z", []string{"Content-Length: 10"}, 401, "INVALID_TOKEN"},
			"too large":            {p.token, []string{"Content-Length: 600000000"}, 413, "PAYLOAD_TOO_LARGE"},
			"a bad condition":      {p.token, []string{"Content-Length: 10", "If-None-Match: \"x\""}, 400, "VALIDATION_ERROR"},
			"a bad digest":         {p.token, []string{"Content-Length: 10", "Repr-Digest: x"}, 400, "VALIDATION_ERROR"},
			"two names":            {p.token, []string{"Content-Length: 10", "Content-Disposition: attachment; filename=b"}, 400, "VALIDATION_ERROR"},
			"too large, in a form": {p.token, []string{"Content-Length: 600000000", "Content-Type: multipart/form-data; boundary=x"}, 413, "PAYLOAD_TOO_LARGE"},
		} {
			t.Run(says, func(t *testing.T) {
				t.Parallel()
				conn := w.dial()
				conn.t = t
				conn.head(&person{w: w, token: c.token}, append(c.lines, "Expect: 100-continue")...)
				a := conn.answer() // a 100 would be an answer of its own
				a.refused(t, says, c.status, c.code)
				if c.status == 401 || c.status == 413 { // the others end in the same way, each after libs/web's linger time
					conn.closed(says)
				}
			})
		}
	})
	p.nothingKept("refused")
}

func TestHostile_BodiesThatBreakOff(t *testing.T) {
	t.Parallel()
	w := hurried(t)
	p := w.person()
	form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhello"
	for says, c := range map[string]struct {
		lines []string
		body  string
		half  bool // the client closes its side
		want  []int
	}{
		"shorter than declared, then closed": {[]string{"Content-Length: 10"}, "hello", true, []int{400}},
		"shorter than declared, then silent": {[]string{"Content-Length: 10"}, "hello", false, []int{408}},
		"a chunk that is cut":                {[]string{"Transfer-Encoding: chunked"}, "a\r\nhello", true, []int{400}},
		"no last chunk":                      {[]string{"Transfer-Encoding: chunked"}, "5\r\nhello\r\n", true, []int{400}},
		"a chunk of nonsense":                {[]string{"Transfer-Encoding: chunked"}, "zz\r\nhello\r\n", false, []int{400}},
		"a chunk of a huge size":             {[]string{"Transfer-Encoding: chunked"}, "ffffffffffffffffff\r\nhello", false, []int{400}},
		"chunk extensions without end":       {[]string{"Transfer-Encoding: chunked"}, "5;" + strings.Repeat("x", 100_000), false, []int{400}},
		"a form that is cut":                 {[]string{"Content-Length: 1000", "Content-Type: multipart/form-data; boundary=b"}, form, true, []int{400}},
		"a form without its end":             {[]string{fmt.Sprint("Content-Length: ", len(form)), "Content-Type: multipart/form-data; boundary=b"}, form, false, []int{400}},
		"a form of another boundary":         {[]string{fmt.Sprint("Content-Length: ", len(form)), "Content-Type: multipart/form-data; boundary=c"}, form, false, []int{400}},
		"a form without a boundary":          {[]string{"Content-Length: 5", "Content-Type: multipart/form-data"}, "hello", false, []int{400}},
		"two lengths":                        {[]string{"Content-Length: 5", "Content-Length: 6"}, "hello", false, []int{400}},
		"a signed length":                    {[]string{"Content-Length: +5"}, "hello", false, []int{400}},
		"gzip, chunked":                      {[]string{"Transfer-Encoding: gzip, chunked"}, "0\r\n\r\n", false, []int{501}},
	} {
		conn := w.dial()
		lines := c.lines
		head := "POST /v1/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + p.token + "\r\nContent-Disposition: attachment; filename=a.txt\r\n"
		conn.write(head + strings.Join(lines, "\r\n") + "\r\n\r\n" + c.body)
		if c.half {
			_ = conn.conn.(*net.TCPConn).CloseWrite()
		}
		a := conn.answer()
		if a.err != nil || a.status != c.want[0] {
			t.Errorf("%s: got %d %s, %v; want %v", says, a.status, a.body, a.err, c.want)
		}
		if !strings.HasPrefix(says, "a form") || c.half { // the others have been read to their end, and the connection is sound
			conn.closed(says)
		}
	}
	p.nothingKept("bodies that break off")
}

// Bytes behind a declared length are the next request, and bad ones: they end the connection and change nothing.
func TestHostile_BytesBehindTheLengthAreNotAFile(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	conn := w.dial()
	conn.head(p, "Content-Length: 5")
	conn.write("hello and more\r\n\r\n")
	if f := conn.answer().file(t, 201); f.Size != 5 {
		t.Errorf("got %+v", f)
	}
	if a := conn.answer(); a.err == nil && a.status != 400 {
		t.Errorf("the rest got %d", a.status)
	}
	conn.closed("after the rest")
}

func TestHostile_OverTheLimitWhileStreaming(t *testing.T) {
	w := newWorld(t, strings.Replace(policyYAML, "maxObjectBytes: 512Mi", "maxObjectBytes: 1Mi", 1))
	p := w.person()
	conn := w.dial()
	conn.head(p, "Transfer-Encoding: chunked")
	go func() { // a client that never stops
		chunk := []byte("10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n")
		for {
			if _, err := conn.conn.Write(chunk); err != nil {
				return
			}
		}
	}()
	conn.answer().refused(t, "without a length", 413, "PAYLOAD_TOO_LARGE")
	conn.closed("without a length")
	p.nothingKept("over the limit")
}

func TestHostile_SlowSendersAreCut(t *testing.T) {
	t.Parallel()
	w := hurried(t)
	p := w.person()
	for _, every := range []time.Duration{time.Hour, 10 * time.Millisecond} {
		conn := w.dial()
		conn.head(p, "Content-Length: 1000000")
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 10_000 {
				if _, err := conn.conn.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(min(every, 3*time.Second))
			}
		}()
		start := time.Now()
		conn.answer().refused(t, "a byte each "+every.String(), 408, "UNAVAILABLE")
		if took := time.Since(start); took > soon {
			t.Errorf("cut after %v", took)
		}
		_ = conn.conn.Close()
		<-done
	}
	p.nothingKept("slow senders")
}

// Chunks of one byte are slow to read, but they are no attack on memory and they end as a file.
func TestHostile_ChunksOfOneByte(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	conn := w.dial()
	conn.head(p, "Transfer-Encoding: chunked")
	conn.write(strings.Repeat("1\r\nx\r\n", 20_000) + "0\r\n\r\n")
	if f := conn.answer().file(t, 201); f.Size != 20_000 {
		t.Errorf("got %+v", f)
	}
}

func TestHostile_SlowReadersAreCut(t *testing.T) {
	w := hurried(t)
	p := w.person()
	content := someBytes(32 << 20)
	f := p.upload("a.bin", "text/plain", bytes.NewReader(content))
	conn := w.dial()
	_ = conn.conn.(*net.TCPConn).SetReadBuffer(4096)
	conn.write("GET " + f.content() + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + p.token + "\r\nRange: bytes=0-33000000\r\n\r\n")
	eventually(t, "sending", func() error {
		if w.metric("cloakroom_files_transfers_in_flight", "direction", "down") == 0 && w.metric("cloakroom_files_downloads_total") == 0 {
			return fmt.Errorf("no transfer yet")
		}
		return nil
	})
	// Nothing is read. A stretch of 1 MiB at the floor of this test would take an hour, so the bound is looked at elsewhere
	// (TestPace_Allowance); here it is that one who goes away is not kept.
	_ = conn.conn.Close()
	eventually(t, "cut", func() error {
		if n := w.metric("cloakroom_files_downloads_total", "result", "cut"); n != 1 {
			return fmt.Errorf("%v cut", n)
		}
		return nil
	})
}

func TestHostile_EmptyAndWrongBodiesOfMetadata(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	f := p.upload("a.txt", "text/plain", strings.NewReader("x"))
	for says, body := range map[string]string{
		"unknown field":  `{"owner":"x"}`,
		"privileged":     `{"size":1,"sha256":"x","version":9}`,
		"a key twice":    `{"name":"a","name":"b"}`,
		"another case":   `{"Name":"a"}`,
		"null name":      `{"name":null}`,
		"null metadata":  `{"metadata":null}`,
		"empty name":     `{"name":""}`,
		"dot dot":        `{"name":".."}`,
		"NUL":            `{"name":"a\u0000b"}`,
		"line break":     `{"name":"a\r\nb"}`,
		"lone surrogate": `{"name":"\ud800"}`,
		"a number":       `{"name":1}`,
		"a list":         `[]`,
		"two values":     `{}{}`,
		"no JSON":        `name=a`,
		"deep":           `{"metadata":` + strings.Repeat(`{"a":`, 10_000) + `1` + strings.Repeat(`}`, 10_001),
		"a past expiry":  `{"expires_at":"2001-01-01T00:00:00Z"}`,
		"no time":        `{"expires_at":"soon"}`,
	} {
		p.do(http.MethodPatch, "/v1/files/"+f.ID, strings.NewReader(body), "Content-Type", "application/json").
			refused(t, says, 400, "VALIDATION_ERROR")
	}
	p.do(http.MethodPatch, "/v1/files/"+f.ID, strings.NewReader(`{}`), "Content-Type", "text/plain").
		refused(t, "not JSON", 415, "UNSUPPORTED_MEDIA_TYPE")
	p.do(http.MethodPatch, "/v1/files/"+f.ID, strings.NewReader(`{"name":"`+strings.Repeat("x", 1<<20)+`"}`), "Content-Type", "application/json").
		refused(t, "1 MiB and more", 413, "PAYLOAD_TOO_LARGE")
	if got := p.get("/v1/files/"+f.ID).file(t, 200); got.Name != "a.txt" || got.Version != 1 {
		t.Errorf("it has changed: %+v", got)
	}
}

func TestHostile_PathsAndMethods(t *testing.T) {
	w := newWorld(t)
	p := w.person()
	for _, path := range []string{
		"/", "/v1", "/v1/files/", "/v1/files//content", "/v1/files/..%2f..%2fetc%2fpasswd", "/v1/files/%00", "/v1/files/x/content/",
		"/v1/files/" + strings.Repeat("x", 5000), "/v1/files/%zz",
	} {
		if a := p.rawGet(path); a.status != 404 && a.status != 400 {
			t.Errorf("%.60s: got %d %s", path, a.status, a.body)
		}
	}
	p.do(http.MethodPut, "/v1/files", nil).refused(t, "PUT of the list", 405, "METHOD_NOT_ALLOWED")
	p.do(http.MethodPost, "/v1/files/x/content", nil).refused(t, "POST of a content", 405, "METHOD_NOT_ALLOWED")
}

func (p *person) rawGet(path string) answer {
	conn := p.w.dial()
	conn.write("GET " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + p.token + "\r\n\r\n")
	return conn.answer()
}

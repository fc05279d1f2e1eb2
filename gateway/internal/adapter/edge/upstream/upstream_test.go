package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
)

// service is a service of raw bytes: handle has each connection to itself.
type service struct {
	url   *url.URL
	dial  upstream.Dial // nil: by the url
	conns atomic.Int64
}

func serve(t testing.TB, handle func(n int64, c net.Conn, in *bufio.Reader)) *service {
	t.Helper()
	l, to, dial := listen(t)
	s := &service{url: to, dial: dial}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := s.conns.Add(1)
			go func() {
				defer c.Close()
				handle(n, c, bufio.NewReader(c))
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return s
}

// says answers every request with the same bytes, written at once.
func says(answer string) func(int64, net.Conn, *bufio.Reader) {
	return func(_ int64, c net.Conn, in *bufio.Reader) {
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

var pool = upstream.Pool{MaxIdleConns: 16, IdleTimeout: time.Minute, DialTimeout: time.Minute}

// address reaches s, and shows at the end of the test that no goroutine and no connection is left.
func address(t testing.TB, s *service, p upstream.Pool) *upstream.Address {
	t.Helper()
	p.Dial = s.dial
	a := upstream.NewAddress(s.url, p)
	t.Cleanup(func() {
		a.Close()
		deadline := time.Now().Add(time.Minute)
		for a.Stats().Open != 0 || strings.Contains(stacks(), "edge/upstream.(*exchange)") {
			if time.Now().After(deadline) {
				t.Errorf("left behind: %+v\n%s", a.Stats(), stacks())
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	return a
}

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

func request(ctx context.Context, method string, body io.Reader) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, "http://files/thing?q=1", body)
	if err != nil {
		panic(err)
	}
	return r
}

// ask sends a request and reads the whole answer.
func ask(a http.RoundTripper, r *http.Request) (*http.Response, string, error) {
	res, err := a.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

func TestRequest_IsWhatWasAskedAndNothingElse(t *testing.T) {
	got := make(chan string, 1)
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		text := ""
		for !strings.HasSuffix(text, "\r\n\r\n") {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			text += line
		}
		got <- text
		_, _ = io.WriteString(c, ok)
	})
	a := address(t, s, pool)
	r := request(t.Context(), http.MethodPost, nil)
	r.Header = http.Header{"X-One": {"1"}, "Content-Length": {"99"}, "Transfer-Encoding": {"chunked"}, "Trailer": {"X"}, "Host": {"evil"}, "User-Agent": {""}}
	if _, _, err := ask(a, r); err != nil {
		t.Fatal(err)
	}
	if want := "POST /thing?q=1 HTTP/1.1\r\nHost: files\r\nX-One: 1\r\nContent-Length: 0\r\n\r\n"; <-got != want {
		t.Errorf("not %q", want)
	}
	for name, bad := range map[string]func(*http.Request){
		"a value with another header": func(r *http.Request) { r.Header.Set("X", "1\r\nY: 2") },
		"a value with a bare LF":      func(r *http.Request) { r.Header.Set("X", "1\nY: 2") },
		"a name with a space":         func(r *http.Request) { r.Header["X Y"] = []string{"1"} },
		"a method with a space":       func(r *http.Request) { r.Method = "GET /x" },
		"a host with a line":          func(r *http.Request) { r.Host = "a\r\nX: y" },
		"a path with a space":         func(r *http.Request) { r.URL = &url.URL{Opaque: "/a b"} },
		"CONNECT":                     func(r *http.Request) { r.Method = http.MethodConnect },
	} {
		r := request(t.Context(), http.MethodGet, nil)
		bad(r)
		if _, _, err := ask(a, r); err == nil {
			t.Errorf("%s was sent", name)
		}
	}
}

func TestAnswer_IsReadToItsOwnEnd(t *testing.T) {
	for name, c := range map[string]struct {
		method, answer, body string
		status               int
		length               int64
		kept                 bool
	}{
		"by length":                {"GET", ok, "ok", 200, 2, true},
		"without reason":           {"GET", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "ok", 200, 2, true},
		"of length zero":           {"GET", "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", "", 200, 0, true},
		"in chunks":                {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\no\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n", "o0123456789", 200, -1, true},
		"HEAD":                     {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "", 200, 2, true},
		"HEAD of unknown length":   {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", "", 200, -1, true},
		"HEAD in chunks":           {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", 200, -1, true},
		"204":                      {"GET", "HTTP/1.1 204 No Content\r\n\r\n", "", 204, 0, true},
		"304":                      {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", "", 304, 0, true},
		"that closes":              {"GET", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok", "ok", 200, 2, false},
		"HTTP/1.0 with its length": {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", 200, 2, false},
		"bytes behind the end":     {"GET", ok + "x", "ok", 200, 2, false},
		"bytes behind the chunks":  {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n", "", 200, -1, false},
		"bytes behind HEAD":        {"HEAD", ok, "", 200, 2, false},
		"bytes behind 304":         {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", "", 304, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, says(c.answer))
			a := address(t, s, pool)
			for range 2 {
				res, body, err := ask(a, request(t.Context(), c.method, nil))
				if err != nil || res.StatusCode != c.status || body != c.body || res.ContentLength != c.length {
					t.Fatalf("%v %q %v", res, body, err)
				}
			}
			if kept := s.conns.Load() == 1; kept != c.kept {
				t.Errorf("the connection was kept: %v", kept)
			}
		})
	}
}

func TestAnswer_ThatLeavesAQuestionIsRefused(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":                      "",
		"half a head":                  "HTTP/1.1 200 OK\r\nContent-Le",
		"a length and chunks":          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":                  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
		"one length twice":             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
		"a list of lengths":            "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
		"a length with a sign":         "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
		"a length that overflows":      "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok",
		"an empty length":              "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
		"another encoding":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"two encodings":                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"an encoding in HTTP/1.0":      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"an encoding of 204":           "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a length of 204":              "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
		"no framing":                   "HTTP/1.1 200 OK\r\n\r\nok",
		"no framing that closes":       "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
		"no framing of HTTP/1.0":       "HTTP/1.0 200 OK\r\n\r\nok",
		"HTTP/0.9":                     "ok",
		"HTTP/2":                       "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.2":                     "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"a status of two digits":       "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
		"a status of four digits":      "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
		"a status below 100":           "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
		"an empty line in front":       "\r\n" + ok,
		"bare LF":                      strings.ReplaceAll(ok, "\r\n", "\n"),
		"bare LF at the end":           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
		"bare LF between headers":      "HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\nok",
		"bare CR in a header":          "HTTP/1.1 200 OK\r\nX: y\rContent-Length: 3\r\nContent-Length: 2\r\n\r\nok",
		"a NUL in a header":            "HTTP/1.1 200 OK\r\nX: y\x00\r\nContent-Length: 2\r\n\r\nok",
		"a folded header":              "HTTP/1.1 200 OK\r\nX: y\r\n Content-Length: 3\r\nContent-Length: 2\r\n\r\nok",
		"a folded first header":        "HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 2\r\n\r\nok",
		"a name with a space behind":   "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
		"no name":                      "HTTP/1.1 200 OK\r\n: y\r\nContent-Length: 2\r\n\r\nok",
		"no colon":                     "HTTP/1.1 200 OK\r\nX\r\nContent-Length: 2\r\n\r\nok",
		"a head without end":           "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10) + "\r\nContent-Length: 2\r\n\r\nok",
		"too many headers":             "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 2000) + "Content-Length: 2\r\n\r\nok",
		"an upgrade nobody asked for":  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"a trailer that would frame":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\nContent-Length: 1\r\n\r\n",
		"an endless 1xx":               "HTTP/1.1 103 Early Hints\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\n" + ok,
		"an informational with chunks": "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n" + ok,
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
				if _, err := http.ReadRequest(in); err == nil {
					_, _ = io.WriteString(c, answer)
				}
			})
			a := address(t, s, pool)
			res, body, err := ask(a, request(t.Context(), http.MethodGet, nil))
			var unsent *upstream.NotSentError
			if err == nil || errors.As(err, &unsent) {
				t.Errorf("%v %q %v", res, body, err)
			}
			if n := s.conns.Load(); n != 1 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}

func TestAnswer_ThatBreaksOffIsNeverWhole(t *testing.T) {
	const inChunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, answer := range map[string]string{
		"by length":             "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
		"in a chunk":            inChunks + "3\r\nok",
		"behind a chunk":        inChunks + "2\r\nok",
		"behind a chunk's CRLF": inChunks + "2\r\nok\r\n",
		"in a size":             inChunks + "2\r\nok\r\n1",
		"before the trailer":    inChunks + "2\r\nok\r\n0\r\n",
		"in the trailer":        inChunks + "2\r\nok\r\n0\r\nX: y\r\n",
		"a chunk too long":      inChunks + "2\r\nok!\r\n0\r\n\r\n",
		"a size with a space":   inChunks + "2 \r\nok\r\n0\r\n\r\n",
		"a size of 16 digits":   inChunks + "0000000000000002\r\nok\r\n0\r\n\r\n",
		"a size with a sign":    inChunks + "+2\r\nok\r\n0\r\n\r\n",
		"no size":               inChunks + ";x\r\nok\r\n0\r\n\r\n",
		"a size with bare LF":   inChunks + "2\nok\r\n0\r\n\r\n",
		"an extension with CR":  inChunks + "2;a\rb\r\nok\r\n0\r\n\r\n",
		"a trailer with LF":     inChunks + "2\r\nok\r\n0\r\nX: y\n\r\n",
		"an endless extension":  inChunks + "2;" + strings.Repeat("x", 10_000) + "\r\nok\r\n0\r\n\r\n",
		"an endless trailer":    inChunks + "2\r\nok\r\n0\r\n" + strings.Repeat("X: y\r\n", 10_000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
				if _, err := http.ReadRequest(in); err == nil {
					_, _ = io.WriteString(c, answer)
				}
			})
			a := address(t, s, pool)
			res, body, err := ask(a, request(t.Context(), http.MethodGet, nil))
			if err == nil || errors.Is(err, io.EOF) || len(body) > 2 {
				t.Errorf("%v %q %v", res, body, err)
			}
		})
	}
}

func TestAnswer_TrailersAreThoseThatWereAnnounced(t *testing.T) {
	s := serve(t, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Digest, x-none\r\n\r\n2\r\nok\r\n0\r\nx-digest: abc\r\nX-User-Id: root\r\n\r\n"))
	res, body, err := ask(address(t, s, pool), request(t.Context(), http.MethodGet, nil))
	if err != nil || body != "ok" || res.Trailer.Get("X-Digest") != "abc" || res.Trailer.Get("X-User-Id") != "" || res.Header["Trailer"] != nil {
		t.Errorf("%v %q %v", res, body, err)
	}
}

func TestAnswer_InformationalOnesComeFirst(t *testing.T) {
	s := serve(t, says("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 104 Upload Resumption Supported\r\nLocation: /u/1\r\nUpload-Offset: 7\r\n\r\n"+ok))
	a := address(t, s, pool)
	var got []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		got = append(got, fmt.Sprint(code, h))
		return nil
	}})
	_, body, err := ask(a, request(ctx, http.MethodGet, nil))
	want := []string{"103map[Link:[</a>]]", "104map[Location:[/u/1] Upload-Offset:[7]]"}
	if err != nil || body != "ok" || strings.Join(got, "|") != strings.ReplaceAll(strings.Join(want, "|"), "map", " map") {
		t.Errorf("%q %q %v", got, body, err)
	}
	if _, body, err := ask(a, request(t.Context(), http.MethodGet, nil)); err != nil || body != "ok" {
		t.Errorf("nobody listens: %q %v", body, err)
	}
}

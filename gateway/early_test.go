package gateway_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// says makes the service write text to the connection of every request, and close it when hangUp is set. It reads
// nothing of a body.
func (b *backend) says(text string, hangUp bool) {
	b.answer(func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, text)
		if hangUp {
			_ = conn.Close()
			return
		}
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	})
}

func TestEarly_AClientThatStallsInItsBodyIsAnsweredAtOnce(t *testing.T) {
	const refusal = "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nbig"
	for _, c := range []struct {
		name, text string
		hangUp     bool
		framing    string
		status     int
	}{
		{"the service refuses", refusal, false, "Content-Length: 1000000", 413},
		{"the service refuses and closes", refusal, true, "Content-Length: 1000000", 413},
		{"the service refuses in chunks", "HTTP/1.1 413 Payload Too Large\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbig\r\n0\r\n\r\n", false, "Content-Length: 1000000", 413},
		{"the service refuses what comes in chunks", refusal, false, "Transfer-Encoding: chunked", 413},
		{"the service hangs up", "", true, "Content-Length: 1000000", 502},
		{"the service talks nonsense", "nonsense\r\n\r\n", false, "Transfer-Encoding: chunked", 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := start(t, setup{wire: true})
			w.files.says(c.text, c.hangUp)
			conn, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, "POST /open HTTP/1.1\r\nHost: a\r\n"+c.framing+"\r\n\r\n5\r\nhello\r\n")
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			began := time.Now()
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("after %v: %v", time.Since(began), err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != c.status || (c.status == 413 && string(body) != "big") {
				t.Errorf("%d %q %v", res.StatusCode, body, err)
			}
			if took := time.Since(began); took > soon {
				t.Errorf("answered after %v", took)
			}
		})
	}
}

// TestEarly_AClientInFullFlightReadsTheAnswer: a connection that is closed while its client sends is reset, and what the
// client has not read by then it never will.
func TestEarly_AClientInFullFlightReadsTheAnswer(t *testing.T) {
	w := start(t, setup{wire: true, boot: "  trustedProxies: {none: {}}\n  limits: {maxBodyBytes: 1Gi}\n"})
	w.files.says("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nbig", false)
	body := make([]byte, 64<<20)
	for i := range 20 {
		res, err := client.Post("http://"+w.addr+"/open", "", bytes.NewReader(body))
		if err != nil {
			t.Errorf("request %d: %v", i, err)
			continue
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != 413 || string(text) != "big" {
			t.Errorf("request %d: %d %q %v", i, res.StatusCode, text, err)
		}
	}
}

// rawAnswers sends one request and returns all that comes.
func (w *world) rawAnswers(request string) string {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, request)
	all, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Errorf("the connection is not closed behind %q", all)
	}
	return string(all)
}

// TestInformational_TakesNothingFromTheAnswer: what a service says beforehand is not the gateway's word, and the headers
// that are stay on the answer.
func TestInformational_TakesNothingFromTheAnswer(t *testing.T) {
	w := start(t, setup{wire: true})
	w.files.says("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nSet-Cookie: __Host-cloakroom=evil\r\nX-Request-Id: forged\r\n"+
		"Connection: close, x-hop\r\nX-Hop: 1\r\nAlt-Svc: h3=\":1\"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", true)
	upgrade := "GET /open HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"
	all := w.rawAnswers(upgrade)
	hint, answer, _ := strings.Cut(all, "\r\n\r\n")
	if !strings.HasPrefix(hint, "HTTP/1.1 103 ") || !strings.Contains(hint, "</a.css>") {
		t.Errorf("the hint is %q", hint)
	}
	for _, own := range []string{"Set-Cookie", "X-Request-Id: forged", "Alt-Svc", "Connection", "X-Hop"} {
		if strings.Contains(hint, own) {
			t.Errorf("the hint has the service's %s: %q", own, hint)
		}
	}
	for _, own := range []string{"Connection: close", "X-Request-Id: "} {
		if !strings.Contains(answer, own) {
			t.Errorf("the answer lacks %s: %q", own, answer)
		}
	}
	old := w.rawAnswers("GET /open HTTP/1.0\r\nHost: a\r\n\r\n")
	if !strings.HasPrefix(old, "HTTP/1.1 200") && !strings.HasPrefix(old, "HTTP/1.0 200") {
		t.Errorf("a client of HTTP/1.0, which knows no informational answers, got %q", old)
	}
}

// TestTrailer_IsNotTheGatewaysWord: what comes behind an answer has been through as much as what stands in its head.
func TestTrailer_IsNotTheGatewaysWord(t *testing.T) {
	w := start(t, setup{wire: true})
	w.files.says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Digest, Set-Cookie, X-Request-Id, Connection\r\n\r\n"+
		"2\r\nok\r\n0\r\nX-Digest: abc\r\nSet-Cookie: __Host-cloakroom=evil\r\nX-Request-Id: forged\r\nConnection: x\r\n\r\n", true)
	all := w.rawAnswers("GET /open HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTE: trailers\r\n\r\n")
	if !strings.Contains(all, "X-Digest: abc") || strings.Contains(all, "evil") || strings.Contains(all, "forged") || strings.Contains(all, "Connection: x") {
		t.Errorf("%q", all)
	}
}

// TestEarly_AClientThatBreaksOffItsBodyIsNotTheServicesFailure: the service answers while the body comes, and the body turns
// out to be none. Whoever likes could send such bodies until the service is out of use.
func TestEarly_AClientThatBreaksOffItsBodyIsNotTheServicesFailure(t *testing.T) {
	w := start(t, setup{wire: true})
	w.files.says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun", false)
	for range 3 {
		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(conn, "POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		in := bufio.NewReader(conn)
		for line := ""; !strings.HasSuffix(line, "begun"); {
			b, err := in.ReadByte()
			if err != nil {
				t.Fatal(err)
			}
			line += string(b)
		}
		_, _ = io.WriteString(conn, "no chunk\r\n")
		if rest, err := io.ReadAll(in); err == nil && len(rest) == 95 {
			t.Error("the answer was whole")
		}
		_ = conn.Close()
	}
	if n := w.metric("cloakroom_gateway_upstream_errors_total", "kind=broken"); n != 0 {
		t.Errorf("%v of the client's failures are the service's", n)
	}
}

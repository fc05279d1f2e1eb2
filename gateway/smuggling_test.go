package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// raw sends bytes as they stand and returns the statuses of the answers, the last answer's body, and whether the
// connection was closed by the gateway.
func (w *world) raw(text string) (statuses []int, lastBody string, closed bool) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		w.t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	asked := false
	for br := bufio.NewReader(c); ; {
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			return statuses, lastBody, !errors.Is(err, os.ErrDeadlineExceeded)
		}
		body, _ := io.ReadAll(res.Body)
		if asked && res.StatusCode == http.StatusNotFound {
			return statuses, lastBody, false
		}
		statuses, lastBody = append(statuses, res.StatusCode), string(body)
		if !asked && !res.Close { // who still listens answers what stands behind, and then this
			asked = true
			_, _ = io.WriteString(c, "GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		}
	}
}

// TestSmuggling_OneRequestInIsAtMostOneOut sends what has fooled pairs of servers. Behind each stands a second request
// that must never be served in the first one's shadow.
func TestSmuggling_OneRequestInIsAtMostOneOut(t *testing.T) {
	w := start(t, setup{})
	const (
		post    = "POST /open/first HTTP/1.1\r\nHost: a\r\n"
		chunked = "Transfer-Encoding: chunked\r\n"
		behind  = "GET /open/hidden HTTP/1.1\r\nHost: a\r\n\r\n"
	)
	for i, c := range []struct {
		name, text string
		status     int // of the first answer
		passed     int // how often the service may get it
	}{
		{"CL.TE", post + "Content-Length: 6\r\n" + chunked + "\r\n0\r\n\r\nG", 400, 0},
		{"TE.CL", post + chunked + "Content-Length: 4\r\n\r\n5c\r\n" + behind + "0\r\n\r\n", 400, 0},
		{"TE.TE with one hidden by case", post + chunked + "Transfer-encoding: identity\r\n\r\n0\r\n\r\n", 501, 0},
		{"TE.TE with a tab", post + "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n" + behind, 200, 1},
		{"TE with a vertical tab", post + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n" + behind, 400, 0},
		{"TE named with a space", post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + behind, 400, 0},
		{"TE with another coding behind", post + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + behind, 501, 0},
		{"TE with an underscore", post + "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 200, 1},
		{"TE.0 on OPTIONS", "OPTIONS /open/first HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n26\r\n" + behind + "\r\n0\r\n\r\n", 200, 1},
		{"TE on GET", "GET /open/first HTTP/1.1\r\nHost: a\r\n" + chunked + "\r\n0\r\n\r\n", 200, 1},
		{"CL.0", post + "Content-Length: 38\r\n\r\n" + behind, 200, 1},
		{"two lengths", post + "Content-Length: 0\r\nContent-Length: 39\r\n\r\n" + behind, 400, 0},
		{"one length twice", post + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400, 0},
		{"a length with a sign", post + "Content-Length: +39\r\n\r\n" + behind, 400, 0},
		{"a length with a comma", post + "Content-Length: 39,39\r\n\r\n" + behind, 400, 0},
		{"obs-fold", post + "X: y\r\n " + chunked + "\r\n0\r\n\r\n" + behind, 400, 0},
		{"obs-fold in the length", post + "Content-Length:\r\n 0\r\n\r\n" + behind, 400, 0},
		{"bare LF", strings.ReplaceAll(post+"\r\n", "\r\n", "\n"), 400, 0},
		{"bare LF between headers", post + "X: y\nContent-Length: 39\r\n\r\n" + behind, 400, 0},
		{"bare CR in a header", post + "X: y\rContent-Length: 39\r\n\r\n" + behind, 400, 0},
		{"two hosts", "GET /open/first HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, 0},
		{"a chunk extension", post + chunked + "\r\n1;ext=\"x\"\r\nA\r\n0\r\n\r\n", 200, 1},
		{"a bare LF in a chunk extension", post + chunked + "\r\n1;ext\nA\r\n0\r\n\r\n" + behind, 400, 1},
		{"a chunk longer than it says", post + chunked + "\r\n1\r\nABC\r\n0\r\n\r\n" + behind, 400, 1},
		{"a chunk size that overflows", post + chunked + "\r\n10000000000000001\r\nA\r\n0\r\n\r\n" + behind, 400, 1},
		{"a chunk size in front of a space", post + chunked + "\r\n1 \r\nA\r\n0\r\n\r\n", 200, 1},
		{"a trailer that would be a header", post + chunked + "Trailer: X-User-Id\r\n\r\n0\r\nX-User-Id: root\r\n\r\n", 200, 1},
		{"no length, and a request behind", post + "\r\n" + behind, 200, 1},
		{"HTTP/1.0 with an encoding", "POST /open/first HTTP/1.0\r\n" + chunked + "\r\n0\r\n\r\n", 400, 0},
		{"HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 0},
		{"an upgrade to h2c", "GET /open/first HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n" + behind, 200, 1},
		{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n" + behind, 400, 0},
		{"a target with userinfo", "GET http://a@b/open/first HTTP/1.1\r\nHost: b\r\n\r\n", 400, 0},
		{"a space in the target", "GET /open/first /open/second HTTP/1.1\r\nHost: a\r\n\r\n", 400, 0},
		{"an expectation that is none", post + "Expect: y 100-continue\r\nContent-Length: 38\r\n\r\n" + behind, 400, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			mine := fmt.Sprintf("/open/case%d", i) // a body that broke off may show at the service only later
			statuses, body, closed := w.raw(strings.ReplaceAll(c.text, "/open/first", mine))
			if len(statuses) == 0 || statuses[0] != c.status {
				t.Fatalf("statuses %v, want %d first (%s)", statuses, c.status, body)
			}
			passed := 0
			seen, _ := w.files.all()
			for _, r := range seen {
				if r.URL.Path != mine {
					continue
				}
				passed++
				if r.Header.Get("Content-Length") != "" && len(r.TransferEncoding) > 0 {
					t.Errorf("both framings were sent on: %v %v", r.Header, r.TransferEncoding)
				}
				if len(r.Trailer) > 0 || r.Header.Get("X-User-Id") != "" {
					t.Errorf("a trailer was sent on: %v", r.Trailer)
				}
			}
			if passed > c.passed {
				t.Errorf("the service got it %d times", passed)
			}
			if c.status >= 400 && (!closed || len(statuses) != 1) {
				t.Errorf("closed %v after %v", closed, statuses)
			}
			if c.status == 400 && !strings.Contains(body, `"instance"`) && !strings.Contains(c.name, "space in the target") {
				t.Errorf("no problem document: %s", body)
			}
		})
	}
	hidden := 0
	seen, _ := w.files.all()
	for _, r := range seen {
		if r.URL.Path == "/open/hidden" {
			hidden++
		}
	}
	// Two of them stand behind a request that ended before them beyond doubt, and are requests like any other.
	if hidden != 2 {
		t.Errorf("%d hidden requests were served", hidden)
	}
	if n := w.metric("cloakroom_gateway_malformed_requests_total", "reason=length_and_encoding"); n < 2 {
		t.Errorf("%v counted", n)
	}
}

// TestSmuggling_BodiesAreReframed: whatever the client's framing was, the service gets one that leaves no question.
func TestSmuggling_BodiesAreReframed(t *testing.T) {
	w := start(t, setup{})
	statuses, _, _ := w.raw("POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n3;x=y\r\nabc\r\n00\r\n\r\nPOST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\nabc")
	seen, bodies := w.files.all()
	if fmt.Sprint(statuses) != "[200 200]" || fmt.Sprint(bodies) != "[abc abc]" {
		t.Fatalf("%v %q", statuses, bodies)
	}
	if first := seen[0]; fmt.Sprint(first.TransferEncoding) != "[chunked]" || first.ContentLength != -1 {
		t.Errorf("%v %d", first.TransferEncoding, first.ContentLength)
	}
	if second := seen[1]; len(second.TransferEncoding) != 0 || second.ContentLength != 3 {
		t.Errorf("%v %d", second.TransferEncoding, second.ContentLength)
	}
}

// TestSmuggling_AServiceThatAnswersTwiceFoolsNobody: what nobody asked for is no request's answer, however many run.
func TestSmuggling_AServiceThatAnswersTwiceFoolsNobody(t *testing.T) {
	w := start(t, setup{wire: true})
	w.files.serve(func(rw http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = buf.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
		_ = buf.Flush()
	})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 25 {
				if a := w.get("/open"); a.body != "ok" {
					t.Errorf("%d %q", a.status, a.body)
				}
			}
		})
	}
	all.Wait()
	if n := w.metric("cloakroom_gateway_upstream_connections_idle", "upstream=files"); n != 0 {
		t.Errorf("%v of its connections are kept", n)
	}
}

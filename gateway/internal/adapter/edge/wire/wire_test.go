package wire_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cloakroom.dev/gateway/internal/adapter/edge/wire"
)

// seen is one request as the handler got it.
type seen struct{ line, body, refusal string }

// serve runs net/http behind a watched listener and returns its address and what its handler sees.
func serve(t testing.TB) (addr string, requests chan seen) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	requests = make(chan seen, 64)
	// A head in many pieces takes its time on a busy machine, so nothing here ends by a timeout.
	srv := &http.Server{ReadHeaderTimeout: patience, MaxHeaderBytes: 64 << 10, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			if why, refused := wire.Refusal(r); refused {
				requests <- seen{line: r.Method + " " + r.RequestURI, refusal: why.String()}
				w.Header().Set("Connection", "close")
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			if wire.MustClose(r) {
				w.Header().Set("Connection", "close")
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			requests <- seen{line: r.Method + " " + r.RequestURI, body: string(body)}
			_, _ = io.WriteString(w, "ok")
		})}
	go func() { _ = srv.Serve(wire.Listen(l, wire.Limits{})) }()
	t.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String(), requests
}

// patience is how long a test waits for what is certain to come.
const patience = time.Minute

// send writes raw bytes in the given pieces and returns the statuses that came back before the server ended the connection.
func send(t interface{ Fatal(...any) }, addr string, pieces ...string) (statuses []int) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		for i, p := range pieces {
			if i > 0 {
				time.Sleep(300 * time.Microsecond)
			}
			if _, err := io.WriteString(c, p); err != nil {
				return
			}
		}
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	for br := bufio.NewReader(c); ; {
		res, err := http.ReadResponse(br, nil)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatal("the connection does not end")
		case err != nil:
			return statuses
		}
		_, _ = io.Copy(io.Discard, res.Body)
		statuses = append(statuses, res.StatusCode)
	}
}

func drain(requests chan seen) (all []seen) {
	for {
		select {
		case r := <-requests:
			all = append(all, r)
		default:
			return all
		}
	}
}

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

func TestListen_RefusesWhatTwoParsersReadDifferently(t *testing.T) {
	for _, c := range []struct{ name, request, reason string }{
		{"length and encoding", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, "length_and_encoding"},
		{"encoding and length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n" + smuggled, "length_and_encoding"},
		{"a foreign encoding and a length", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", "length_and_encoding"},
		{"the same length twice", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "repeated_length"},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 0\r\n\r\nabc", "repeated_length"},
		{"a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", "bad_length"},
		{"a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", "bad_length"},
		{"a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", "bad_length"},
		{"a length in hex", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", "bad_length"},
		{"a length that overflows", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nabc", "bad_length"},
		{"an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc", "bad_length"},
		{"encoding before HTTP/1.1", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, "encoding_before_http11"},
		{"a folded header", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c: d\r\n\r\n", "folded_header"},
		{"a folded encoding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "folded_header"},
		{"a header folded by a tab", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\tc\r\n\r\n", "folded_header"},
		{"a space before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "folded_header"},
		{"bare line feeds", "GET / HTTP/1.1\nHost: a\n\n", "bare_line_feed"},
		{"a bare line feed in a header", "GET / HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 3\r\n\r\nabc", "bare_line_feed"},
		{"a bare line feed at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n" + smuggled, "bare_line_feed"},
		{"a carriage return in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: y\rContent-Length: 3\r\n\r\n", "bad_header_value"},
		{"a NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: y\x00\r\n\r\n", "bad_header_value"},
		{"a space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", "bad_header_name"},
		{"a tab in a name", "POST / HTTP/1.1\r\nHost: a\r\nTransfer\tEncoding: chunked\r\n\r\n", "bad_header_name"},
		{"a line without a colon", "GET / HTTP/1.1\r\nHost: a\r\nfoo\r\n\r\n", "bad_header_name"},
		{"a header without a name", "GET / HTTP/1.1\r\nHost: a\r\n: foo\r\n\r\n", "bad_header_name"},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "host_count"},
		{"the same host twice", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "host_count"},
		{"no host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", "host_count"},
		{"no target", "GET\r\nHost: a\r\n\r\n", "malformed"},
		{"no version", "GET /\r\nHost: a\r\n\r\n", "malformed"},
		{"a target of two", "GET / / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
		{"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
		{"a method that is none", "G{T / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
		{"a broken escape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
		{"half an escape", "GET /% HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
		{"a control character in the target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
		{"a target without a slash", "GET foo HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
		{"a carriage return before the request", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "malformed"},
		{"no request at all", "hello\r\n\r\n", "malformed"},
		{"a version that is none", "GET / HTTP/one\r\nHost: a\r\n\r\n", "bad_version"},
		{"a target without an end", "GET /" + strings.Repeat("y", 80<<10), "target_too_long"},
		{"a target that is too long", "GET /" + strings.Repeat("y", 80<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", "target_too_long"},
		{"a header without an end", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 80<<10), "head_too_large"},
		{"too many headers", "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: yyyyyyyyyyyyyyy\r\n", 5000) + "\r\n", "head_too_large"},
		{"a long target and long headers", "GET /" + strings.Repeat("y", 40<<10) + " HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 40<<10) + "\r\n\r\n", "head_too_large"},
		{"another encoding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "foreign_encoding"},
		{"two encodings", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "foreign_encoding"},
		{"an encoding in quotes", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", "foreign_encoding"},
		{"a host that is none", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "bad_host"},
		{"an expectation", "GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", "foreign_expectation"},
		{"a version to come", "GET / HTTP/1.2\r\nHost: a\r\n\r\n" + smuggled, "bad_version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, cut := range []int{0, 1, len(c.request) / 2, len(c.request) - 1} {
				addr, requests := serve(t)
				statuses := send(t, addr, c.request[:cut], c.request[cut:]+smuggled)
				got := drain(requests)
				if len(got) != 1 || got[0].refusal != c.reason || len(statuses) != 1 || statuses[0] != 400 {
					t.Errorf("cut at %d: statuses %v, handler saw %+v", cut, statuses, got)
				}
			}
		})
	}
}

func TestListen_BrokenChunksEndTheConnection(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, c := range []struct{ name, body string }{
		{"a size that is none", "xyz\r\n"},
		{"an empty size", "\r\n"},
		{"a bare line feed behind the size", "3\nabc\r\n0\r\n\r\n"},
		{"a bare line feed in an extension", "3;a\nabc\r\n0\r\n\r\n"},
		{"a carriage return in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"},
		{"data longer than its size", "3\r\nabcd\r\n0\r\n\r\n"},
		{"a size that overflows", "ffffffffffffffffff\r\nabc"},
		{"a bare line feed in the trailers", "0\r\nX: y\n\r\n"},
		{"a signed size", "+3\r\nabc\r\n0\r\n\r\n"},
		{"a size with a prefix", "0x3\r\nabc\r\n0\r\n\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, requests := serve(t)
			statuses := send(t, addr, head+c.body+smuggled)
			if got := drain(requests); len(got) != 0 || len(statuses) > 1 {
				t.Errorf("statuses %v, handler saw %+v", statuses, got)
			}
		})
	}
}

func TestListen_AfterAnUpgradeRequestNothingElseIsServed(t *testing.T) {
	addr, requests := serve(t)
	statuses := send(t, addr, "GET /first HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", smuggled)
	if got := drain(requests); len(got) != 1 || len(statuses) != 1 {
		t.Errorf("statuses %v, handler saw %+v", statuses, got)
	}
}

// TestListen_GoodRequestsPassHoweverTheyAreCut sends pipelined requests of all framings in random pieces: every one
// arrives, whole, in order.
func TestListen_GoodRequestsPassHoweverTheyAreCut(t *testing.T) {
	addr, requests := serve(t)
	rapid.Check(t, func(t *rapid.T) {
		var stream strings.Builder
		var want []seen
		for i := range rapid.IntRange(1, 6).Draw(t, "requests") {
			raw, expect := drawRequest(t, i)
			stream.WriteString(raw)
			want = append(want, expect)
		}
		text := stream.String()
		var pieces []string
		for len(text) > 0 {
			n := min(len(text), rapid.IntRange(1, 200).Draw(t, "piece"))
			pieces, text = append(pieces, text[:n]), text[n:]
		}
		if len(pieces) > 40 {
			pieces = append(pieces[:39:39], strings.Join(pieces[39:], ""))
		}
		statuses := send(t, addr, pieces...)
		got := drain(requests)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("statuses %v\n got %+v\nwant %+v", statuses, got, want)
		}
	})
}

func drawRequest(t *rapid.T, i int) (raw string, want seen) {
	body := rapid.StringMatching(`[a-z\r\n:]{0,40}`).Draw(t, "body")
	path := fmt.Sprintf("/%d", i)
	pad := rapid.SampledFrom([]string{"", "X-Pad: " + strings.Repeat("p", 5000) + "\r\n"}).Draw(t, "pad")
	switch rapid.IntRange(0, 2).Draw(t, "framing") {
	case 0:
		return "GET " + path + " HTTP/1.1\r\nHost: a\r\n" + pad + "\r\n", seen{line: "GET " + path}
	case 1:
		return fmt.Sprintf("POST %s HTTP/1.1\r\n%shOsT:a\r\ncontent-LENGTH:  %d \r\n\r\n%s", path, pad, len(body), body), seen{line: "POST " + path, body: body}
	default:
		var chunks strings.Builder
		for rest := body; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "chunk")
			fmt.Fprintf(&chunks, "%x%s\r\n%s\r\n", n, rapid.SampledFrom([]string{"", ";a=b", " "}).Draw(t, "extension"), rest[:n])
			rest = rest[n:]
		}
		trailer := rapid.SampledFrom([]string{"", "X-Trailer: t\r\n"}).Draw(t, "trailer")
		return fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n%s\r\n%s0\r\n%s\r\n", path, pad, chunks.String(), trailer), seen{line: "PUT " + path, body: body}
	}
}

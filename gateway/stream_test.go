package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/libs/token"
	"cloakroom.dev/libs/token/tokentest"
)

// TestStream_BothWaysByteByByte: the service sees the first part of a body before the client has sent the last, and the
// client sees the first part of the answer before the service has written the last. Whoever buffers hangs here.
func TestStream_BothWaysByteByByte(t *testing.T) {
	w := start(t, setup{})
	fromClient := make(chan string)
	w.files.serve(func(rw http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(rw).EnableFullDuplex()
		if r.URL.Query().Get("length") != "" {
			rw.Header().Set("Content-Length", "6")
		}
		buf := make([]byte, 3)
		for range 2 {
			if _, err := io.ReadFull(r.Body, buf); err != nil {
				t.Errorf("the service reads: %v", err)
			}
			fromClient <- string(buf)
			_, _ = rw.Write(buf)
			_ = http.NewResponseController(rw).Flush()
		}
	})
	for name, declared := range map[string]int64{"of unknown length": -1, "of declared length": 6} {
		t.Run("a body "+name, func(t *testing.T) {
			body, sink := io.Pipe()
			path := "/open"
			if declared > 0 {
				path += "?length=1"
			}
			r, _ := http.NewRequest(http.MethodPost, "http://"+w.addr+path, body)
			r.ContentLength = declared
			answered := make(chan *http.Response, 1)
			go func() {
				res, err := client.Do(r)
				if err != nil {
					t.Errorf("%v", err)
				}
				answered <- res
			}()
			_, _ = io.WriteString(sink, "abc")
			if got := <-fromClient; got != "abc" {
				t.Fatalf("the service got %q first", got)
			}
			res := <-answered
			first := make([]byte, 3)
			if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "abc" {
				t.Fatalf("the client got %q first, %v", first, err)
			}
			_, _ = io.WriteString(sink, "def")
			_ = sink.Close()
			if got := <-fromClient; got != "def" {
				t.Fatalf("the service got %q last", got)
			}
			if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "def" {
				t.Fatalf("the client got %q last, %v", rest, err)
			}
		})
	}
}

func TestStream_ARefusedUploadIsNeverSent(t *testing.T) {
	w := start(t, setup{boot: "  trustedProxies: {none: {}}\n  limits: {maxBodyBytes: 2Gi}\n", resources: []string{basics, `
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: small}
spec:
  rules:
  - matches: [{path: {type: Exact, value: /small}}]
    auth: {anonymous: {reason: a test of body limits}}
    limits: {maxBodyBytes: 1Ki}
    backends: [{name: files}]
`}})
	w.files.serve(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusForbidden) })
	raw := w.issuer.Mint()
	for _, c := range []struct {
		name, path string
		headers    []string
		status     int
	}{
		{"without a token", "/closed", nil, 401},
		{"over the limit by its own word", "/small", nil, 413},
		{"that the service refuses", "/closed", []string{bearer(raw)}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			reads := 0
			r, _ := http.NewRequest(http.MethodPost, "http://"+w.addr+c.path, readerFunc(func([]byte) (int, error) {
				reads++
				return 0, errors.New("nobody should read this")
			}))
			r.ContentLength = 1 << 30
			r.Header.Set("Expect", "100-continue")
			for _, h := range c.headers {
				name, value, _ := strings.Cut(h, ": ")
				r.Header.Set(name, value)
			}
			patient := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: patience}}
			defer patient.CloseIdleConnections()
			res, err := patient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != c.status || reads != 0 {
				t.Errorf("%d after %d reads", res.StatusCode, reads)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestStream_ALimitHoldsForBodiesThatDoNotSayTheirLength also shows that the gateway answers, and does not just hang up.
func TestStream_ALimitHoldsForBodiesThatDoNotSayTheirLength(t *testing.T) {
	w := start(t, setup{boot: "  trustedProxies: {none: {}}\n  limits: {maxBodyBytes: 64Ki}\n"})
	body := strings.NewReader(strings.Repeat("x", 1<<20))
	r, _ := http.NewRequest(http.MethodPost, "http://"+w.addr+"/open", io.MultiReader(body)) // hides the length
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	w.want(answer{res.StatusCode, res.Header, string(text)}, 413, "PAYLOAD_TOO_LARGE")
	_, bodies := w.files.all()
	for _, body := range bodies {
		if len(body) > 64<<10 {
			t.Errorf("the service got %d bytes", len(body))
		}
	}
	w.want(w.do(http.MethodPost, "/open", strings.Repeat("x", 64<<10)), 200, "")
	w.want(w.do(http.MethodPost, "/open", strings.Repeat("x", 64<<10+1)), 413, "PAYLOAD_TOO_LARGE")
}

func TestStream_InformationalAnswersAndTrailersPass(t *testing.T) {
	w := start(t, setup{})
	w.files.serve(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Link", "</style.css>; rel=preload")
		rw.WriteHeader(http.StatusEarlyHints)
		rw.Header().Set("Trailer", "X-Digest")
		_, _ = io.WriteString(rw, "body")
		rw.Header().Set("X-Digest", "abc")
	})
	var hints []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, h.Get("Link")))
		return nil
	}}
	r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, "http://"+w.addr+"/open", nil)
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(res.Body)
	_ = res.Body.Close()
	if len(hints) != 1 || hints[0] != "103</style.css>; rel=preload" || res.Trailer.Get("X-Digest") != "abc" {
		t.Errorf("%q %v", hints, res.Trailer)
	}
}

// TestStream_RevocationCutsWhatRuns: a download, an upload and a download nobody reads, all of one session.
func TestStream_RevocationCutsWhatRuns(t *testing.T) {
	w := start(t, setup{boot: "  trustedProxies: {none: {}}\n  limits: {maxBodyBytes: 1Gi}\n"})
	block := make([]byte, 64<<10)
	serviceDone := make(chan string, 3)
	w.files.serve(func(rw http.ResponseWriter, r *http.Request) {
		defer func() { serviceDone <- r.URL.Path }()
		if r.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		rw.Header().Set("Content-Length", fmt.Sprint(int64(1)<<40))
		for r.Context().Err() == nil {
			if _, err := rw.Write(block); err != nil {
				return
			}
			if r.URL.Path == "/closed/slow" {
				time.Sleep(5 * time.Millisecond)
			}
		}
	})
	raw := w.issuer.Mint(tokentest.Session("s-cut"))
	ended := make(chan string, 3)
	dial := func(text string) net.Conn {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, text)
		return c
	}
	head := "HTTP/1.1\r\nHost: a\r\n" + bearer(raw) + "\r\n"
	download := dial("GET /closed/slow " + head + "\r\n")
	unread := dial("GET /closed/unread " + head + "\r\n")
	upload := dial("PUT /closed/up " + head + "Content-Length: 1000000000\r\n\r\n")
	go func() { _, _ = io.Copy(io.Discard, download); ended <- "download" }()
	stop := make(chan struct{})
	go func() {
		for {
			if _, err := upload.Write(block); err != nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		ended <- "upload"
		close(stop)
	}()
	eventually(t, "all three run", func() bool { return w.files.count() == 3 })
	time.Sleep(100 * time.Millisecond) // so that the write which nobody reads hangs
	began := time.Now()
	w.issuer.Revoke(token.KindSession, "s-cut")
	for range 3 {
		select {
		case <-serviceDone:
		case <-time.After(patience):
			t.Fatal("a service still works for a revoked session")
		}
	}
	if took := time.Since(began); took > soon {
		t.Errorf("the services were let go after %v", took)
	}
	for range 2 {
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatal("a client is still served")
		}
	}
	// The download nobody reads: its connection is gone too, whatever was on the way already.
	_ = unread.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, unread); err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the unread download goes on")
	}
}

func TestStream_ASlowBodyIsGivenUp(t *testing.T) {
	t.Parallel() // it takes the whole of a body's window
	w := start(t, setup{})
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
	began := time.Now()
	go func() {
		for {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
	}()
	_ = c.SetReadDeadline(time.Now().Add(2 * patience))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusRequestTimeout {
		t.Fatalf("%v %v after %v", res, err, time.Since(began))
	}
}

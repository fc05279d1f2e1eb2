package upstream_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
)

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestPool_AnAnswerNobodyAskedForIsNobodys: whenever the second answer comes before the next request goes, it is not that
// request's. It comes with the first one, or a moment later.
func TestPool_AnAnswerNobodyAskedForIsNobodys(t *testing.T) {
	const forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
	for name, pause := range map[string]time.Duration{"at once": -1, "in a segment of its own": 0, "later": 5 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			sent := make(chan bool, 1)
			s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				if pause < 0 {
					_, _ = io.WriteString(c, ok+forged)
				} else {
					_, _ = io.WriteString(c, ok)
					time.Sleep(pause)
					_, _ = io.WriteString(c, forged)
				}
				sent <- true
				_, _ = in.ReadByte()
			})
			a := address(t, s, pool)
			for range 50 {
				if _, body, err := ask(a, request(t.Context(), http.MethodGet, nil)); err != nil || body != "ok" {
					t.Fatalf("%q %v", body, err)
				}
				<-sent // the next request comes when the forgery has
			}
		})
	}
}

func TestPool_AClosedConnectionCostsNobodyARequest(t *testing.T) {
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err == nil {
			_, _ = io.WriteString(c, ok)
		}
	})
	a := address(t, s, pool)
	for range 50 {
		if _, body, err := ask(a, request(t.Context(), http.MethodPost, nil)); err != nil || body != "ok" {
			t.Fatalf("%q %v", body, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestPool_ARequestIsSentAgainOnlyWhenThatIsSafe: the service reads the second request of each connection and hangs up, or
// says something first.
func TestPool_ARequestIsSentAgainOnlyWhenThatIsSafe(t *testing.T) {
	for name, c := range map[string]struct {
		method, body, lastWords string
		asked                   int64 // how often, the first request aside
	}{
		"GET":                        {"GET", "", "", 2},
		"DELETE":                     {"DELETE", "", "", 2},
		"DELETE of one state":        {"DELETE *", "", "", 1}, // the second would be refused, though the first was done
		"POST":                       {"POST", "", "", 1},
		"PUT with a body":            {"PUT", "body", "", 1},
		"GET with an answer's start": {"GET", "", "HTTP/1.1 2", 1},
		"GET with an informational":  {"GET", "", "HTTP/1.1 103 Early Hints\r\n\r\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			s := serve(t, func(n int64, conn net.Conn, in *bufio.Reader) {
				for i := 0; ; i++ {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					asked.Add(1)
					_, _ = io.Copy(io.Discard, r.Body)
					if n == 1 && i == 1 {
						_, _ = io.WriteString(conn, c.lastWords)
						return
					}
					_, _ = io.WriteString(conn, ok)
				}
			})
			a := address(t, s, pool)
			if _, _, err := ask(a, request(t.Context(), http.MethodGet, nil)); err != nil {
				t.Fatal(err)
			}
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
			}
			method, conditional := strings.CutSuffix(c.method, " *")
			r := request(t.Context(), method, body)
			if conditional {
				r.Header.Set("If-Match", `"1"`)
			}
			_, _, err := ask(a, r)
			if got := asked.Load() - 1; got != c.asked || (err == nil) != (c.asked == 2) {
				t.Errorf("asked %d times, %v", got, err)
			}
		})
	}
}

func TestPool_IsBounded(t *testing.T) {
	t.Parallel() // those who wait have time enough to be seen
	release := make(chan bool)
	var at, most atomic.Int64
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		for {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			most.Store(max(most.Load(), at.Add(1)))
			<-release
			at.Add(-1)
			_, _ = io.WriteString(c, ok)
		}
	})
	bounds := pool
	bounds.MaxConns, bounds.DialTimeout = 2, 4*time.Second
	a := address(t, s, bounds)
	results := make(chan error, 5)
	for range 5 {
		go func() {
			_, _, err := ask(a, request(t.Context(), http.MethodGet, nil))
			results <- err
		}()
	}
	eventually(t, "two are asked and three wait", func() bool { return at.Load() == 2 && a.Stats().Waiting == 3 })
	release <- true
	eventually(t, "the next one's turn has come", func() bool { return at.Load() == 2 && a.Stats().Waiting == 2 })
	var unsent *upstream.NotSentError
	if err := <-results; err != nil {
		t.Error(err)
	}
	for range 2 { // nobody is done in time
		if err := <-results; !errors.As(err, &unsent) {
			t.Errorf("%v", err)
		}
	}
	close(release)
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if got := a.Stats(); most.Load() != 2 || s.conns.Load() != 2 || got != (upstream.Stats{Open: 2, Idle: 2, Waited: 3, GaveUp: 2}) {
		t.Errorf("%d at once, %d connections, %+v", most.Load(), s.conns.Load(), got)
	}
}

func TestPool_KeepsFewAndNotForLong(t *testing.T) {
	s := serve(t, says(ok))
	keepFew(t, address(t, s, upstream.Pool{MaxIdleConns: 2, IdleTimeout: time.Minute, DialTimeout: time.Minute}), func(got upstream.Stats) bool {
		return got.Open == 2 && got.Idle == 2
	})
	young := address(t, s, upstream.Pool{MaxIdleConns: 2, IdleTimeout: 100 * time.Millisecond, DialTimeout: time.Minute})
	keepFew(t, young, func(got upstream.Stats) bool { return got.Open <= 2 })
	eventually(t, "they grow old", func() bool { return young.Stats().Open == 0 })
}

// keepFew has four requests at once, and then looks at what is kept.
func keepFew(t *testing.T, a *upstream.Address, fine func(upstream.Stats) bool) {
	t.Helper()
	var all sync.WaitGroup
	var open []*http.Response
	for range 4 {
		res, err := a.RoundTrip(request(t.Context(), http.MethodGet, nil))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, res)
	}
	for _, res := range open {
		all.Go(func() { _, _ = io.Copy(io.Discard, res.Body) })
	}
	all.Wait()
	if got := a.Stats(); !fine(got) {
		t.Errorf("%+v", got)
	}
}

func TestPool_WhatCannotBeReachedWasNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	a := upstream.NewAddress(&url.URL{Scheme: "http", Host: l.Addr().String()}, pool)
	defer a.Close()
	body := &closing{Reader: strings.NewReader("body")}
	_, err = a.RoundTrip(request(t.Context(), http.MethodPost, body))
	var unsent *upstream.NotSentError
	if !errors.As(err, &unsent) || body.closed.Load() || body.Reader.(*strings.Reader).Len() != 4 || a.Stats().Open != 0 {
		t.Errorf("%v, closed %v, %+v", err, body.closed.Load(), a.Stats())
	}
}

type closing struct {
	io.Reader
	closed atomic.Bool
}

func (c *closing) Close() error { c.closed.Store(true); return nil }

// TestCancel_EndsWhateverWaits at once, with the context's cause, and leaves nothing behind (address looks).
func TestCancel_EndsWhateverWaits(t *testing.T) {
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if r.Header.Get("X-Begin") != "" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")
		}
		time.Sleep(20 * time.Second)
	})
	why := errors.New("revoked")
	for name, c := range map[string]struct {
		begin  bool
		body   io.Reader
		expect bool
	}{
		"for an answer":              {},
		"for an answer's rest":       {begin: true},
		"in a write":                 {body: endless{}},
		"in a write and in a read":   {body: endless{}, begin: true},
		"for leave to send the body": {body: strings.NewReader("x"), expect: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := address(t, s, pool)
			ctx, cancel := context.WithCancelCause(t.Context())
			r := request(ctx, http.MethodPut, c.body)
			if c.begin {
				r.Header.Set("X-Begin", "1")
			}
			if c.expect {
				r.Header.Set("Expect", "100-continue")
			}
			time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
			began := time.Now()
			_, _, err := ask(a, r)
			if !errors.Is(err, why) || time.Since(began) > 10*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	}
	a := address(t, s, pool)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	var unsent *upstream.NotSentError
	if _, err := a.RoundTrip(request(ctx, http.MethodGet, nil)); !errors.Is(err, why) || !errors.As(err, &unsent) {
		t.Errorf("%v", err)
	}
}

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestTLS_KeepsItsConnections: what TLS sends by itself is no answer nobody asked for, an answer nobody asked for is.
func TestTLS_KeepsItsConnections(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int64
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Forge") != "" {
					conn, _, _ := http.NewResponseController(w).Hijack()
					_, _ = io.WriteString(conn, ok+"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
					return
				}
				_, _ = io.Copy(w, r.Body)
			}))
			srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					conns.Add(1)
				}
			}
			srv.TLS = &tls.Config{MaxVersion: version}
			srv.StartTLS()
			t.Cleanup(srv.Close)
			to, _ := url.Parse(srv.URL)
			bounds := pool
			roots := x509.NewCertPool()
			roots.AddCert(srv.Certificate())
			bounds.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
			a := address(t, &service{url: to}, bounds)
			for range 20 {
				if res, body, err := ask(a, request(t.Context(), http.MethodPost, strings.NewReader("secret"))); err != nil || body != "secret" {
					t.Fatalf("%v %q %v", res, body, err)
				}
			}
			if n := conns.Load(); n > 2 { // see TestUpload_ArrivesAsItIs
				t.Errorf("%d connections", n)
			}
			forge := request(t.Context(), http.MethodGet, nil)
			forge.Header.Set("X-Forge", "1")
			for range 5 {
				if _, body, err := ask(a, forge); err != nil || body != "ok" {
					t.Fatalf("%q %v", body, err)
				}
			}
			stranger := upstream.NewAddress(to, pool)
			defer stranger.Close()
			var unsent *upstream.NotSentError
			if _, err := stranger.RoundTrip(request(t.Context(), http.MethodGet, nil)); !errors.As(err, &unsent) {
				t.Errorf("a certificate nobody knows: %v", err)
			}
		})
	}
}

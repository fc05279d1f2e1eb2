package wire_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/adapter/edge/wire"
	"cloakroom.dev/libs/web"
)

// parkingServer is a server whose connections are parked after a moment. It counts what net/http has taken for connections.
type parkingServer struct {
	*http.Server
	addr        string
	begun, gone atomic.Int64
}

const parkedAfter = 30 * time.Millisecond

func park(t *testing.T, limits wire.Limits, set func(*http.Server)) *parkingServer {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limits.Park = parkedAfter
	s := &parkingServer{addr: inner.Addr().String()}
	s.Server = web.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}), slog.New(slog.DiscardHandler))
	s.ConnState = func(c net.Conn, state http.ConnState) {
		wire.ConnState(c, state)
		switch state {
		case http.StateNew:
			s.begun.Add(1)
		case http.StateClosed:
			s.gone.Add(1)
		}
	}
	if set != nil {
		set(s.Server)
	}
	go func() { _ = s.Serve(wire.Listen(inner, limits)) }()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// guest is a client that may say its requests in pieces.
type guest struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func (s *parkingServer) dial(t testing.TB) *guest {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &guest{t, c, bufio.NewReader(c)}
}

func (g *guest) ask(body string) {
	g.t.Helper()
	g.say(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	g.hear(body)
}

func (g *guest) say(text string) {
	g.t.Helper()
	if _, err := io.WriteString(g, text); err != nil {
		g.t.Error(err)
	}
}

func (g *guest) hear(want string) {
	g.t.Helper()
	res, err := http.ReadResponse(g.in, nil)
	if err != nil {
		g.t.Error(err)
		return
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != want {
		g.t.Errorf("%q, %v, want %q", got, err, want)
	}
}

type gauge struct{ atomic.Int64 }

func (g *gauge) Inc() { g.Add(1) }
func (g *gauge) Dec() { g.Add(-1) }

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestPark_NetHTTPLetsGoAndTheClientDoesNotNotice: the connection keeps its one place all the time.
func TestPark_NetHTTPLetsGoAndTheClientDoesNotNotice(t *testing.T) {
	var open, parked gauge
	s := park(t, wire.Limits{Connections: 1, Open: &open, Parked: &parked}, nil)
	first := s.dial(t)
	for n := range int64(3) {
		first.ask("hello")
		eventually(t, "net/http lets go of it", func() bool { return s.gone.Load() == n+1 })
		eventually(t, "it counts as parked", func() bool { return parked.Load() == 1 && open.Load() == 1 })
	}
	second := s.dial(t)
	second.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
	time.Sleep(2 * parkedAfter)
	if n := s.begun.Load(); n != 3 {
		t.Fatalf("a second connection beside the first, which may be the only one: %d", n)
	}
	_ = first.Close() // while it is parked
	second.hear("")
	_ = second.Close()
	eventually(t, "nothing is counted any more", func() bool { return parked.Load() == 0 && open.Load() == 0 })
}

// TestPark_WhatHasBegunStays: half a request is never lost, nor is one that came with the one before.
func TestPark_WhatHasBegunStays(t *testing.T) {
	s := park(t, wire.Limits{}, nil)
	g := s.dial(t)
	g.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1P")
	g.hear("1")
	for _, part := range []string{"OST", " / HTTP/1.1\r\n", "Host: a\r\nContent", "-Length: 2\r\n\r\n", "2", "2"} {
		time.Sleep(2 * parkedAfter)
		g.say(part)
	}
	g.hear("22")
	g.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n2")
	g.hear("1")
	g.hear("2")
}

// TestPark_IdleConnectionsStillEnd: by the server's time, and with the server.
func TestPark_IdleConnectionsStillEnd(t *testing.T) {
	for name, c := range map[string]struct {
		idle time.Duration
		end  func(*parkingServer) error
	}{
		"idle timeout": {10 * parkedAfter, func(*parkingServer) error { return nil }},
		"shutdown":     {time.Hour, func(s *parkingServer) error { return s.Shutdown(t.Context()) }},
		"close":        {time.Hour, func(s *parkingServer) error { return s.Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			s := park(t, wire.Limits{}, func(srv *http.Server) { srv.IdleTimeout = c.idle })
			g := s.dial(t)
			g.ask("hello")
			eventually(t, "it is parked", func() bool { return s.gone.Load() == 1 })
			if err := c.end(s); err != nil {
				t.Error(err)
			}
			if _, err := g.in.ReadByte(); err == nil {
				t.Error("a byte nobody sent")
			}
		})
	}
}

// TestPark_NoRequestIsLost: clients that speak again just when they are being parked.
func TestPark_NoRequestIsLost(t *testing.T) {
	s := park(t, wire.Limits{}, nil)
	var all sync.WaitGroup
	for who := range 40 {
		g := s.dial(t)
		all.Go(func() {
			for n := range 20 {
				g.ask(fmt.Sprint(who, " ", n))
				time.Sleep(parkedAfter - 3*time.Millisecond + time.Duration(rand.IntN(6000))*time.Microsecond)
			}
		})
	}
	all.Wait()
	t.Logf("%d connections of 40 clients", s.begun.Load())
}

// TestPark_ARequestThatBeginsSlowlyIsServed: its first bytes end the wait that would park the connection, and the limits of time
// are the server's from then on.
func TestPark_ARequestThatBeginsSlowlyIsServed(t *testing.T) {
	for name, parts := range map[string][]string{
		"a byte":                  {"P", "OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n2"},
		"half a request line":     {"POST /", " HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n2"},
		"half of its headers":     {"POST / HTTP/1.1\r\nHost: a\r\nCont", "ent-Length: 1\r\n\r\n2"},
		"an empty line before it": {"\r", "\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n2"},
	} {
		t.Run(name, func(t *testing.T) {
			g := park(t, wire.Limits{}, nil).dial(t)
			g.ask("1")
			for _, part := range parts {
				g.say(part) // the first at once: where the machine is so busy that the connection is parked before, nothing is shown
				time.Sleep(3 * parkedAfter)
			}
			g.hear("2")
		})
	}
}

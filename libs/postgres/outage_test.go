package postgres_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/libs/logtest"
	"cloakroom.dev/libs/postgres"
	"cloakroom.dev/libs/secret"
)

// A server that is away for an hour is told of when it goes, not at each of the tries to reach it.
func TestListen_AnOutageDoesNotFillTheLog(t *testing.T) {
	var log logtest.Text
	reg, line := prometheus.NewRegistry(), newLine(t, template.New(t))
	db := open(t, line.dsn, postgres.Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Registerer: reg})
	ctx, end := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	defer loops.Wait()
	defer end()
	heard, leads := make(chan string, 100), make(chan struct{}, 100)
	loops.Go(func() { _ = db.Listen(ctx, "news", func(payload string) { heard <- payload }) })
	loops.Go(func() {
		_ = db.Lead(ctx, "work", func(ctx context.Context) error {
			leads <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})
	})
	<-heard
	<-leads
	line.cut()
	triedAgain := func() bool {
		return counted(t, reg, "cloakroom_postgres_listener_lost_total") >= 6 && strings.Contains(log.String(), "leading ended")
	}
	for deadline := time.Now().Add(time.Minute); !triedAgain(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("they don't try again:\n%s", log.String())
		}
	}
	// That the connection is lost, and that there is no other.
	for _, sentence := range []string{"listening for notifications ended", "leading ended"} {
		if n := strings.Count(log.String(), sentence); n < 1 || n > 2 {
			t.Errorf("%q was told %d times:\n%s", sentence, n, log.String())
		}
	}
	line.mend()
	<-heard
	<-leads
}

// line is the way to a server. While it is cut whoever comes is turned away; its port stays its own, so that nobody else takes it.
type line struct {
	dsn secret.String // through the line
	to  string

	mu     sync.Mutex
	broken bool
	open   []net.Conn
}

func newLine(t *testing.T, dsn secret.String) *line {
	t.Helper()
	u, err := url.Parse(dsn.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{to: u.Host}
	u.Host = listener.Addr().String()
	l.dsn = secret.NewString(u.String())
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut()
	})
	go l.carry(listener)
	return l
}

func (l *line) carry(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		l.connect(near)
	}
}

func (l *line) connect(near net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		_ = near.Close()
		return
	}
	far, err := net.Dial("tcp", l.to)
	if err != nil {
		_ = near.Close()
		return
	}
	l.open = append(l.open, near, far)
	go pass(near, far)
	go pass(far, near)
}

func pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = true
	for _, c := range l.open {
		_ = c.Close()
	}
	l.open = nil
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = false
}

func counted(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

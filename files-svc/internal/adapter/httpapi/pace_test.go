package httpapi

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"cloakroom.dev/libs/fault"
)

// dripping is a client that sends one chunk every so often, over a connection that knows deadlines.
type dripping struct {
	every    time.Duration
	chunk    int
	left     int
	deadline time.Time
}

func (d *dripping) setReadDeadline(t time.Time) error { d.deadline = t; return nil }

func (d *dripping) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	if wait := time.Until(d.deadline); !d.deadline.IsZero() && wait < d.every {
		time.Sleep(max(0, wait))
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(d.every)
	n := min(d.chunk, len(p), d.left)
	d.left -= n
	return n, nil
}

func (d *dripping) body(ctx context.Context) (*pacedBody, func()) {
	l, release := hold(ctx, d.setReadDeadline)
	return &pacedBody{ctx: ctx, src: d, leash: l, pace: Pace{}.withDefaults(), now: time.Now}, release
}

func TestPacedBody(t *testing.T) {
	for _, c := range []struct {
		says     string
		client   dripping
		want     fault.Kind // Internal: none
		cutAfter time.Duration
	}{
		{"a fast client", dripping{every: time.Millisecond, chunk: 64 << 10, left: 10 << 20}, fault.Internal, 0},
		{"a slow line at the floor", dripping{every: time.Second, chunk: 1100, left: 300_000}, fault.Internal, 0},
		{"bursts with long pauses", dripping{every: 14 * time.Second, chunk: 64 << 10, left: 1 << 20}, fault.Internal, 0},
		{"a byte a second", dripping{every: time.Second, chunk: 1, left: 1 << 20}, fault.Timeout, 20 * time.Second},
		{"silence", dripping{every: time.Hour, chunk: 1 << 20, left: 1 << 20}, fault.Timeout, 20 * time.Second},
	} {
		t.Run(c.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				body, release := c.client.body(t.Context())
				_, err := io.Copy(io.Discard, body)
				release()
				switch {
				case c.want == fault.Internal && (err != nil || !body.whole()):
					t.Errorf("cut after %v: %v", time.Since(start), err)
				case c.want != fault.Internal && (fault.KindOf(err) != c.want || body.failure() == nil):
					t.Errorf("got %v, want %v", err, c.want)
				case c.want != fault.Internal && time.Since(start) > c.cutAfter:
					t.Errorf("cut only after %v", time.Since(start))
				}
				if !c.client.deadline.IsZero() {
					t.Error("a deadline was left on the connection")
				}
			})
		})
	}
}

func TestPacedBody_OurOwnStallsDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := dripping{every: time.Millisecond, chunk: 100, left: 1000}
		body, release := client.body(t.Context())
		defer release()
		for range 10 {
			if _, err := body.Read(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // a disk that stalls
		}
	})
}

func TestPacedBody_RevocationCutsABlockedRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		server, client := newPipe(t)
		l, release := hold(ctx, server.SetReadDeadline)
		defer release()
		body := &pacedBody{ctx: ctx, src: server, leash: l, pace: Pace{}.withDefaults(), now: time.Now}
		revoked := fault.New(fault.InvalidToken, "revoked")
		time.AfterFunc(3*time.Second, func() { cancel(revoked) })
		start := time.Now()
		_, err := io.ReadAll(body)
		if !errors.Is(err, revoked) || time.Since(start) != 3*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		_ = client.Close()
	})
}

func TestLeash_EndOfTheTransferLeavesNoTrace(t *testing.T) {
	var last time.Time
	ctx, cancel := context.WithCancel(t.Context())
	l, release := hold(ctx, func(t time.Time) error { last = t; return nil })
	l.until(time.Now())
	release()
	cancel()
	l.until(time.Now())
	if !last.IsZero() {
		t.Errorf("the connection is left with the deadline %v", last)
	}
}

// A reader that takes nothing is kept for a bounded time, whatever stretch it was given.
func TestPace_Allowance(t *testing.T) {
	p := Pace{}.withDefaults()
	if got := p.allowance(0); got != 15*time.Second {
		t.Errorf("for nothing: %v", got)
	}
	if got := p.allowance(15 << 10); got != 30*time.Second {
		t.Errorf("for a window's bytes: %v", got)
	}
	if got := p.allowance(stretch); got > 18*time.Minute {
		t.Errorf("for the longest stretch: %v", got)
	}
}

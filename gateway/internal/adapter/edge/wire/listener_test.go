package wire_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/adapter/edge/wire"
)

func TestListen_HoldsNoMoreConnectionsThanItMay(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := wire.Listen(inner, wire.Limits{Connections: 1})
	accepted := make(chan net.Conn, 4)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	dial()
	dial()
	first := <-accepted
	select {
	case <-accepted:
		t.Fatal("a second connection while the first is open")
	case <-time.After(50 * time.Millisecond):
	}
	_ = first.Close()
	_ = first.Close() // gives back one slot, not two
	second := <-accepted
	dial()
	select {
	case <-accepted:
		t.Fatal("closing twice made room for two")
	case <-time.After(50 * time.Millisecond):
	}
	_ = l.Close() // while Accept waits for a slot
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept ended with %v", err)
	}
	_ = second.Close()
}

// deadlineConn records the write deadlines it is given.
type deadlineConn struct {
	net.Conn
	set []time.Time
}

func (c *deadlineConn) SetWriteDeadline(at time.Time) error {
	c.set = append(c.set, at)
	return nil
}
func (c *deadlineConn) Write(p []byte) (int, error) { return len(p), nil }

type oneConn struct{ c net.Conn }

func (l oneConn) Accept() (net.Conn, error) { return l.c, nil }
func (oneConn) Close() error                { return nil }
func (oneConn) Addr() net.Addr              { return nil }

func TestConn_WritesHaveADeadlineThatIsSeldomMoved(t *testing.T) {
	inner := &deadlineConn{}
	c, _ := wire.Listen(oneConn{inner}, wire.Limits{}).Accept()
	for range 100 {
		_, _ = c.Write([]byte("x"))
		_ = c.SetWriteDeadline(time.Time{}) // as net/http does after each request
	}
	if len(inner.set) != 1 || time.Until(inner.set[0]) < 10*time.Second {
		t.Fatalf("deadlines %v", inner.set)
	}
	_, _ = c.Write(make([]byte, 1<<20))
	if len(inner.set) != 2 || time.Until(inner.set[1]) < 10*time.Minute {
		t.Fatalf("a large write has no more time: %v", inner.set)
	}
	past := time.Unix(1, 0)
	_ = c.SetWriteDeadline(past)
	_, _ = c.Write([]byte("x"))
	if last := inner.set[len(inner.set)-1]; !last.Equal(past) {
		t.Errorf("a deadline that was asked for was moved to %v", last)
	}
	_ = c.SetWriteDeadline(time.Time{})
	_, _ = c.Write([]byte("x"))
	if last := inner.set[len(inner.set)-1]; time.Until(last) < 10*time.Second {
		t.Errorf("after it was taken back there is none: %v", last)
	}
}

// TestConn_AnAnswerArrivesAlthoughItsRequestWasNotRead: closing with unread bytes would reset the connection and could
// take the answer with it.
func TestConn_AnAnswerArrivesAlthoughItsRequestWasNotRead(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_ = http.NewResponseController(w).SetReadDeadline(time.Now())
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})}
	go func() { _ = srv.Serve(wire.Listen(inner, wire.Limits{})) }()
	t.Cleanup(func() { _ = srv.Close() })
	for range 20 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
		go func() { _, _ = c.Write(bytes.Repeat([]byte("x"), 4_000_000)) }()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		answer := make([]byte, 12)
		if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "HTTP/1.1 413" {
			t.Fatalf("%q %v", answer, err)
		}
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the connection is not closed")
		}
		_ = c.Close()
	}
}

// FuzzStream feeds any bytes: whatever passes, net/http must not see a refused head, and nothing may panic or hang.
func FuzzStream(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "\r\n\r\n", "GET / HTTP/1.0\r\n\r\n\n",
	} {
		f.Add([]byte(seed), uint8(1))
		f.Add([]byte(seed), uint8(7))
	}
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		c, _ := wire.Listen(oneConn{&sliceConn{rest: stream, step: max(1, int(step))}}, wire.Limits{}).Accept()
		out, err := io.ReadAll(io.LimitReader(c, int64(len(stream))+4096))
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%v", err)
		}
		if i := bytes.Index(out, []byte("Cloakroom-Wire-Refusal")); i < 0 && len(out) > len(stream)+8 {
			t.Errorf("%d bytes of %d", len(out), len(stream))
		}
		head, _, whole := bytes.Cut(bytes.ToLower(out), []byte("\r\n\r\n"))
		if _, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(out))); err != nil || !whole || bytes.Contains(head, []byte("cloakroom-wire-refusal")) {
			return
		}
		if bytes.Contains(head, []byte("\ncontent-length:")) && bytes.Contains(head, []byte("\ntransfer-encoding:")) {
			t.Errorf("both framings got through: %q", out)
		}
		if bytes.Contains(head, []byte("\n ")) || bytes.Contains(head, []byte("\n\t")) || bytes.Count(head, []byte("\n")) != bytes.Count(head, []byte("\r\n")) {
			t.Errorf("a fold or a bare line feed got through: %q", out)
		}
	})
}

// sliceConn hands out bytes in small pieces.
type sliceConn struct {
	net.Conn
	rest []byte
	step int
}

func (c *sliceConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest[:min(c.step, len(c.rest))])
	c.rest = c.rest[n:]
	return n, nil
}

package hop_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
	"pgregory.net/rapid"

	"cloakroom.dev/libs/hop"
)

// pair returns both ends of a connection.
func pair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l := hop.Listen("test")
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	client, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server = <-accepted
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
		_ = l.Close()
	})
	return client, server
}

// TestConn_KeepsWhatConnectionsPromise is the standard suite: deadlines, closing, many at once.
func TestConn_KeepsWhatConnectionsPromise(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c1, c2 = pair(t)
		return c1, c2, func() { _, _ = c1.Close(), c2.Close() }, nil
	})
}

// TestConn_EveryByteInOrder writes and reads pieces of any sizes, by every way in, against a plain buffer.
func TestConn_EveryByteInOrder(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		client, server := pair(t)
		var want bytes.Buffer
		pieces := rapid.SliceOfN(rapid.IntRange(0, 20_000), 1, 12).Draw(rt, "pieces")
		reads := rapid.SliceOfN(rapid.IntRange(1, 10_000), 1, 12).Draw(rt, "reads")
		byFile := rapid.SliceOfN(rapid.Bool(), len(pieces), len(pieces)).Draw(rt, "by file")
		var content [][]byte
		for i, n := range pieces {
			content = append(content, bytes.Repeat([]byte{byte('a' + i)}, n))
			want.Write(content[i])
		}
		sent := make(chan error, 1)
		go func() { sent <- send(client, content, byFile, filepath.Join(dir, "f")) }()
		var got bytes.Buffer
		for i := 0; ; i++ {
			room := make([]byte, reads[i%len(reads)])
			n, err := server.Read(room)
			got.Write(room[:n])
			if err != nil {
				if !errors.Is(err, io.EOF) {
					rt.Fatal(err)
				}
				break
			}
		}
		if err := <-sent; err != nil {
			rt.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			rt.Fatalf("%d bytes came of %d, or others", got.Len(), want.Len())
		}
	})
}

func send(to net.Conn, content [][]byte, byFile []bool, name string) error {
	for i, piece := range content {
		if !byFile[i] {
			if _, err := to.Write(piece); err != nil {
				return err
			}
			continue
		}
		if err := os.WriteFile(name, piece, 0o600); err != nil {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		_, err = to.(io.ReaderFrom).ReadFrom(io.LimitReader(f, int64(len(piece))))
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return to.(interface{ CloseWrite() error }).CloseWrite()
}

// TestConn_AWriterWaitsForItsReader: nothing piles up between them but a short piece.
func TestConn_AWriterWaitsForItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := pair(t)
		if _, err := client.Write(make([]byte, 4<<10)); err != nil { // nobody reads yet
			t.Fatal(err)
		}
		_ = client.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := client.Write(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d, %v", n, err)
		}
		_ = client.SetWriteDeadline(time.Time{})
		wrote := make(chan error, 1)
		go func() {
			_, err := client.Write(make([]byte, 1<<20))
			wrote <- err
		}()
		synctest.Wait()
		select {
		case <-wrote:
			t.Fatal("a megabyte was taken by nobody")
		default:
		}
		if n, err := io.CopyN(io.Discard, server, 4<<10+1<<20); err != nil {
			t.Errorf("read %d, %v", n, err)
		}
		if err := <-wrote; err != nil {
			t.Error(err)
		}
	})
}

// TestConn_Quiet: a connection serves another request only when there is nothing on it.
func TestConn_Quiet(t *testing.T) {
	quiet := func(c net.Conn) bool { return c.(interface{ Quiet() bool }).Quiet() }
	for name, loud := range map[string]func(c net.Conn) error{
		"something said": func(c net.Conn) error { _, err := c.Write([]byte("x")); return err },
		"an end":         func(c net.Conn) error { return c.(interface{ CloseWrite() error }).CloseWrite() },
		"closed":         func(c net.Conn) error { return c.Close() },
	} {
		client, server := pair(t)
		if !quiet(client) {
			t.Errorf("%s: not quiet before", name)
		}
		if err := loud(server); err != nil {
			t.Fatal(err)
		}
		if quiet(client) {
			t.Errorf("%s: quiet", name)
		}
	}
}

// TestListener_RefusesWhenClosed: by the words of a dial that failed, so that nothing counts as sent.
func TestListener_RefusesWhenClosed(t *testing.T) {
	l := hop.Listen("test")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := l.Dial(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody accepts: %v", err)
	}
	_ = l.Close()
	var op *net.OpError
	if _, err := l.Dial(t.Context()); !errors.As(err, &op) || op.Op != "dial" || !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
}

// TestListener_ServesHTTP: a server knows when its client has gone, and drains as over TCP.
func TestListener_ServesHTTP(t *testing.T) {
	l := hop.Listen("test")
	left := make(chan struct{})
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-r.Context().Done()
			close(left)
			return
		}
		_, _ = io.Copy(w, r.Body)
	})}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) },
	}}
	body := bytes.Repeat([]byte("0123456789"), 100_000)
	res, err := client.Post("http://test/echo", "text/plain", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes of %d, %v", len(got), len(body), err)
	}
	_ = res.Body.Close()
	ctx, leave := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://test/wait", nil)
	time.AfterFunc(10*time.Millisecond, leave)
	if _, err := client.Do(r); err == nil {
		t.Error("an answer nobody gave")
	}
	<-left
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	client.CloseIdleConnections()
}

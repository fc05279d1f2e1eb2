package upstream_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"
)

// echoDigest reads the request as a whole and answers what it was.
func echoDigest(_ int64, c net.Conn, in *bufio.Reader) {
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		text := fmt.Sprintf("%d %v %d %x %v", r.ContentLength, r.TransferEncoding, n, sum.Sum(nil), err)
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}
}

func TestUpload_ArrivesAsItIs(t *testing.T) {
	s := serve(t, echoDigest)
	a := address(t, s, pool)
	for _, size := range []int{1, 2, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 20} {
		data := bytes.Repeat([]byte("cloakroom"), size/9+1)[:size]
		for _, declared := range []int64{int64(size), -1} {
			for how, body := range map[string]io.Reader{"at once": bytes.NewReader(data), "the end apart": io.MultiReader(bytes.NewReader(data))} {
				r := request(t.Context(), http.MethodPut, body)
				r.ContentLength = declared
				encoding := "[]"
				if declared < 0 {
					encoding = "[chunked]"
				}
				want := fmt.Sprintf("%d %s %d %x <nil>", declared, encoding, size, sha256.Sum256(data))
				if _, got, err := ask(a, r); err != nil || got != want {
					t.Fatalf("%d bytes, %d declared, %s: %q %v, want %q", size, declared, how, got, err, want)
				}
			}
		}
	}
	// The last write of a body may return after its answer has: the next request doesn't wait for that.
	if n := s.conns.Load(); n > 9 { // of 36 requests
		t.Errorf("%d connections", n)
	}
}

func TestUpload_ThatIsNotWhatItSaysIsCut(t *testing.T) {
	for name, c := range map[string]struct {
		body     io.Reader
		declared int64
	}{
		"shorter":                 {strings.NewReader("abc"), 4},
		"longer":                  {strings.NewReader("abcde"), 4},
		"longer by far":           {endless{}, 4},
		"breaks off":              {io.MultiReader(strings.NewReader("ab"), failing{}), 4},
		"breaks off, undeclared":  {io.MultiReader(strings.NewReader("ab"), failing{}), -1},
		"breaks off before it is": {failing{}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			whole := make(chan bool, 1)
			s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
				r, err := http.ReadRequest(in)
				if err != nil {
					whole <- false
					return
				}
				body, err := io.ReadAll(r.Body)
				whole <- err == nil && (c == nil || string(body) != "abcd")
				time.Sleep(100 * time.Millisecond)
			})
			r := request(t.Context(), http.MethodPut, c.body)
			r.ContentLength = c.declared
			if _, body, err := ask(address(t, s, pool), r); err == nil {
				t.Errorf("answered %q", body)
			}
			if <-whole {
				t.Error("the service took it for whole")
			}
		})
	}
}

var errGone = errors.New("the client has gone")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errGone }

// TestUpload_AnEarlyAnswerIsHeard: the service answers and closes, while the body is being sent.
func TestUpload_AnEarlyAnswerIsHeard(t *testing.T) {
	for name, closes := range map[string]bool{"and it goes on reading": false, "and it hangs up": true} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nfull")
				if closes {
					_ = c.(interface{ CloseWrite() error }).CloseWrite()
				}
				_, _ = io.Copy(io.Discard, in)
			})
			a := address(t, s, pool)
			began := time.Now()
			res, body, err := ask(a, request(t.Context(), http.MethodPut, endless{}))
			if err != nil || res.StatusCode != 413 || body != "full" || time.Since(began) > 20*time.Second {
				t.Errorf("%v %q %v after %v", res, body, err, time.Since(began))
			}
			eventually(t, "the upload ends, and its connection", func() bool { return a.Stats().Open == 0 })
		})
	}
}

// TestUpload_BothWaysAtOnce: each part of the body is answered before the next is there.
func TestUpload_BothWaysAtOnce(t *testing.T) {
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
		_, _ = io.Copy(c, r.Body)
	})
	for _, declared := range []int64{6, -1} {
		body, sink := io.Pipe()
		r := request(t.Context(), http.MethodPost, body)
		r.ContentLength = declared
		a := address(t, s, pool)
		res, err := a.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 3)
		for _, part := range []string{"abc", "def"} {
			_, _ = io.WriteString(sink, part)
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != part {
				t.Fatalf("%q %v", got, err)
			}
		}
		_ = sink.Close()
		_ = res.Body.Close()
	}
}

func TestUpload_WaitsForTheServicesWord(t *testing.T) {
	for name, c := range map[string]struct {
		first string
		read  bool
	}{
		"it may come":    {"HTTP/1.1 100 Continue\r\n\r\n", true},
		"it is refused":  {"", false},
		"it comes later": {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(_ int64, conn net.Conn, in *bufio.Reader) {
				r, err := http.ReadRequest(in)
				if err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
				if in.Buffered() > 0 {
					t.Error("the body came unasked")
				}
				_, _ = io.WriteString(conn, c.first)
				if c.read {
					_, _ = io.Copy(io.Discard, r.Body)
				}
				_, _ = io.WriteString(conn, ok)
				_, _ = in.ReadByte()
			})
			a := address(t, s, pool)
			read := &counting{Reader: strings.NewReader("body")}
			r := request(t.Context(), http.MethodPut, read)
			r.ContentLength = 4
			r.Header.Set("Expect", "100-continue")
			if _, body, err := ask(a, r); err != nil || body != "ok" {
				t.Fatalf("%q %v", body, err)
			}
			if (read.n > 0) != c.read {
				t.Errorf("%d bytes of the body were read", read.n)
			}
			if !c.read && a.Stats().Open != 0 {
				t.Error("a connection that still owes a body was kept")
			}
		})
	}
}

// TestUpload_GoesWithoutAWordInTheEnd: a service that knows nothing of expectations gets the body after continueTimeout.
func TestUpload_GoesWithoutAWordInTheEnd(t *testing.T) {
	t.Parallel() // it takes ten seconds
	a := address(t, serve(t, echoDigest), pool)
	r := request(t.Context(), http.MethodPut, strings.NewReader("body"))
	r.Header.Set("Expect", "100-continue")
	began := time.Now()
	if _, body, err := ask(a, r); err != nil || !strings.HasPrefix(body, "4 [] 4") || time.Since(began) < 9*time.Second {
		t.Errorf("%q %v after %v", body, err, time.Since(began))
	}
}

// TestUpload_NothingIsSaidWhileABodyIsAskedForUnbidden: net/http asks for it on the client's connection, in the first read.
func TestUpload_NothingIsSaidWhileABodyIsAskedForUnbidden(t *testing.T) {
	t.Parallel() // it takes ten seconds
	asked, sent := make(chan struct{}), make(chan struct{})
	a := address(t, serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		<-asked
		_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </in-between>\r\n\r\n")
		time.Sleep(50 * time.Millisecond)
		close(sent)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </behind>\r\n\r\n"+ok)
	}), pool)
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
		hints = append(hints, h.Get("Link"))
		return nil
	}})
	r := request(ctx, http.MethodPut, &asking{asked: asked, sent: sent})
	r.ContentLength = 4
	r.Header.Set("Expect", "100-continue")
	if _, _, err := ask(a, r); err != nil || !slices.Equal(hints, []string{"</behind>"}) {
		t.Errorf("%q %v", hints, err)
	}
}

// asking is a body that comes once sent is closed, and closes asked when it is waited for.
type asking struct {
	asked, sent chan struct{}
	read        bool
}

func (b *asking) Read(p []byte) (int, error) {
	if b.read {
		return 0, io.EOF
	}
	b.read = true
	close(b.asked)
	<-b.sent
	return copy(p, "body"), nil
}

type counting struct {
	io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// TestTunnel_IsTheConnection, with what came behind the head, and it is nobody's after.
func TestTunnel_IsTheConnection(t *testing.T) {
	s := serve(t, func(_ int64, c net.Conn, in *bufio.Reader) {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ")
		_, _ = io.Copy(c, in) // until the other side ends its direction
	})
	a := address(t, s, pool)
	r := request(t.Context(), http.MethodGet, nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "WebSocket")
	res, err := a.RoundTrip(r)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	conn := res.Body.(io.ReadWriteCloser)
	_, _ = io.WriteString(conn, "world")
	_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello world" {
		t.Errorf("%q %v", got, err)
	}
	_ = conn.Close()
	if a.Stats().Open != 0 {
		t.Errorf("%+v", a.Stats())
	}
}

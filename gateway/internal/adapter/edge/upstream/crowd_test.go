package upstream_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
)

// capricious answers with the request's own name, and does what services do wrong besides.
func capricious(_ int64, c net.Conn, in *bufio.Reader) {
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		name := r.Header.Get("X-Name")
		whim := rand.IntN(10)
		if whim == 0 {
			return
		}
		if whim != 1 { // else it answers before it has the body
			_, _ = io.Copy(io.Discard, r.Body)
		}
		answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(name), name)
		if whim > 5 {
			answer = fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(name), name)
		}
		switch whim {
		case 2:
			answer += "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
		case 3:
			answer = answer[:len(answer)-1]
		}
		if _, err := io.WriteString(c, answer); err != nil || whim < 5 {
			return
		}
	}
}

// TestCrowd_EveryAnswerIsItsOwn: whatever services and clients do to each other, no request gets another's answer, or a
// part of one as the whole.
func TestCrowd_EveryAnswerIsItsOwn(t *testing.T) {
	s := serve(t, capricious)
	a := address(t, s, upstream.Pool{MaxConns: 6, MaxIdleConns: 4, IdleTimeout: 20 * time.Millisecond, DialTimeout: 5 * time.Second})
	var all sync.WaitGroup
	for worker := range 12 {
		all.Go(func() {
			whole := 0
			for i := range 150 {
				ctx, cancel := context.WithCancel(t.Context())
				name := fmt.Sprintf("%d-%d-%s", worker, i, strings.Repeat("x", rand.IntN(100)))
				var body io.Reader
				if i%2 == 0 {
					body = strings.NewReader(strings.Repeat(name, rand.IntN(200)+1))
				}
				r := request(ctx, http.MethodPost, body)
				r.Header.Set("X-Name", name)
				if rand.IntN(10) == 0 {
					time.AfterFunc(time.Duration(rand.IntN(1000))*time.Microsecond, cancel)
				}
				if _, got, err := ask(a, r); err == nil {
					whole++
					if got != name {
						t.Errorf("%q got the answer %q", name, got)
					}
				}
				cancel()
			}
			if whole == 0 {
				t.Error("nothing was answered")
			}
		})
	}
	all.Wait()
	if n := a.Stats().Open; n > 6 {
		t.Errorf("%d connections", n)
	}
}

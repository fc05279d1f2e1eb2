package upstream_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
)

// BenchmarkRoundTrip asks for 1 KiB, over this package and over net/http's transport. The service is the same few bytes.
func BenchmarkRoundTrip(b *testing.B) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Sun, 22 Nov 2026 05:00:00 GMT\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024))
	s := serve(b, func(_ int64, c net.Conn, in *bufio.Reader) {
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) == 2 {
				_, _ = c.Write(answer)
			}
		}
	})
	ours := upstream.NewAddress(s.url, upstream.Pool{MaxIdleConns: 64, IdleTimeout: time.Minute})
	defer ours.Close()
	theirs := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	defer theirs.CloseIdleConnections()
	for name, way := range map[string]http.RoundTripper{"upstream": ours, "net-http": theirs} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				r := request(b.Context(), http.MethodGet, nil)
				r.URL.Host = s.url.Host
				buf := make([]byte, 4096)
				for pb.Next() {
					res, err := way.RoundTrip(r)
					if err != nil {
						b.Error(err)
						return
					}
					for err == nil {
						_, err = res.Body.Read(buf)
					}
					_ = res.Body.Close()
					if !errors.Is(err, io.EOF) {
						b.Error(err)
					}
				}
			})
		})
	}
}

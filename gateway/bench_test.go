package gateway_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/libs/telemetry"
	"cloakroom.dev/libs/token/tokentest"
	"cloakroom.dev/libs/web"
)

const benchResources = `
apiVersion: cloakroom.dev/v1alpha1
kind: TokenPolicy
metadata: {name: default}
spec: {issuer: https://auth.test, audiences: [cloakroom]}
---
apiVersion: cloakroom.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: person}
spec:
  rules: [{name: subject, key: {type: Subject}, limit: 10000000, window: 1s}]
---
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: bench}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /closed}}]
    auth: {tokenPolicyRef: {name: default}}
    require: {permissions: ["files:read:self"]}
    rateLimitRefs: [{name: person}]
    backends: [{name: files}]
`

// bare is httputil.ReverseProxy with the gateway's own transport settings and nothing else.
func bare(b *testing.B, to string) string {
	target, _ := url.Parse(to)
	pool := sync.Pool{New: func() any { return new([32 << 10]byte) }}
	proxy := &httputil.ReverseProxy{
		Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:  &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		BufferPool: bufferPool{&pool},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := web.NewServer(proxy, slog.New(slog.DiscardHandler))
	go func() { _ = srv.Serve(l) }()
	b.Cleanup(func() { _ = srv.Close() })
	return l.Addr().String()
}

type bufferPool struct{ *sync.Pool }

func (p bufferPool) Get() []byte  { return p.Pool.Get().(*[32 << 10]byte)[:] } //nolint:forcetypeassert // a test's own
func (p bufferPool) Put(b []byte) { p.Pool.Put((*[32 << 10]byte)(b)) }

// BenchmarkPath sends requests of an authenticated, permitted, rate-limited caller for a 1 KiB answer over 64 kept
// connections, in turns through a bare ReverseProxy and through everything the gateway does, logs included. It reports
// the processor time of the process (client, proxy and service together) as a ratio: machines differ, ratios less.
func BenchmarkPath(b *testing.B) {
	quiet, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer quiet.Close()
	w := start(b, setup{resources: []string{benchResources}, log: telemetry.NewLogger(quiet, slog.LevelInfo, "gateway")})
	body := strings.Repeat("x", 1024)
	w.files.answer(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, body) })
	raw := w.issuer.Mint(tokentest.Permissions("files:read:self"), tokentest.Roles("guest"))
	head := func(addr string) string {
		return "GET /closed/thing HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: Bearer " + raw +
			"\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nCookie: theme=dark\r\n\r\n"
	}
	bareAddr := bare(b, w.files.URL)
	ways := []struct{ name, addr string }{{"bare", bareAddr}, {"gateway", w.addr}}
	spent, wall, mallocs := map[string]time.Duration{}, map[string]time.Duration{}, map[string]uint64{}
	const rounds, perRound = 6, 4000
	for range b.N {
		for range rounds {
			for _, way := range ways {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				cpu, took := hammer(b, way.addr, head(way.addr), 64, perRound)
				runtime.ReadMemStats(&after)
				mallocs[way.name] += after.Mallocs - before.Mallocs
				spent[way.name] += cpu
				wall[way.name] += took
			}
		}
	}
	n := float64(b.N * rounds * perRound)
	b.ReportMetric(spent["bare"].Seconds()/n*1e6, "bare-cpu-µs/req")
	b.ReportMetric(spent["gateway"].Seconds()/n*1e6, "gateway-cpu-µs/req")
	b.ReportMetric((float64(mallocs["gateway"])-float64(mallocs["bare"]))/n, "mallocs-added/req")
	b.ReportMetric(spent["gateway"].Seconds()/spent["bare"].Seconds(), "cpu-ratio")
	b.ReportMetric(wall["gateway"].Seconds()/wall["bare"].Seconds(), "wall-ratio")
	b.ReportMetric(0, "ns/op")
}

// hammer sends n requests over conns connections, as raw bytes so that the client costs little.
func hammer(b *testing.B, addr, request string, conns, n int) (cpu, took time.Duration) {
	began, used := time.Now(), processTime()
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			buf := make([]byte, 8<<10)
			for range n / conns {
				if _, err := io.WriteString(c, request); err != nil {
					b.Error(err)
					return
				}
				if err := readAnswer(c, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return processTime() - used, time.Since(began)
}

// readAnswer reads one answer of 1024 bytes.
func readAnswer(c net.Conn, buf []byte) error {
	have := 0
	for {
		n, err := c.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		if end := strings.Index(string(buf[:have]), "\r\n\r\n"); end >= 0 && have >= end+4+1024 {
			if !strings.HasPrefix(string(buf[:have]), "HTTP/1.1 200") {
				return fmt.Errorf("%.200s", buf[:have])
			}
			return nil
		}
	}
}

func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

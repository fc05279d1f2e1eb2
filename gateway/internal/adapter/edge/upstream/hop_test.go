package upstream_test

import (
	"bytes"
	"flag"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloakroom.dev/gateway/internal/adapter/edge/upstream"
	"cloakroom.dev/libs/hop"
)

// insideVariable has the services of this package's tests listen in memory and not on loopback.
const insideVariable = "CLOAKROOM_TEST_INSIDE"

// listen opens a listener for a service, and says how it is reached.
func listen(t testing.TB) (net.Listener, *url.URL, upstream.Dial) {
	t.Helper()
	if os.Getenv(insideVariable) != "" {
		l := hop.Listen("files-svc")
		return l, &url.URL{Scheme: "http", Host: "files-svc"}, l.Dial
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l, &url.URL{Scheme: "http", Host: l.Addr().String()}, nil
}

// TestInside_KeepsEveryPromise runs all the other tests again, with services of the same process.
func TestInside_KeepsEveryPromise(t *testing.T) {
	if os.Getenv(insideVariable) != "" || flag.Lookup("test.run").Value.String() != "" {
		t.Log("only once, and with all the others")
		return
	}
	t.Parallel()
	all := exec.CommandContext(t.Context(), os.Args[0], "-test.timeout=5m")
	all.Env = append(os.Environ(), insideVariable+"=1")
	if out, err := all.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// BenchmarkHop is an upload of 4 KiB with a short answer, by net/http's server, over loopback and inside one process. The last row
// is the handler called directly, with nothing between: what no way of passing requests can go below.
func BenchmarkHop(b *testing.B) {
	answer := []byte(strings.Repeat("x", 400))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header()["Content-Type"] = []string{"application/json"}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(answer)
	})
	content := make([]byte, 4<<10)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	inside := hop.Listen("files-svc")
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(tcp) }()
	go func() { _ = srv.Serve(inside) }()
	defer srv.Close()
	bounds := upstream.Pool{MaxIdleConns: 64, IdleTimeout: time.Minute}
	overTCP := upstream.NewAddress(&url.URL{Scheme: "http", Host: tcp.Addr().String()}, bounds)
	bounds.Dial = inside.Dial
	overHop := upstream.NewAddress(&url.URL{Scheme: "http", Host: "files-svc"}, bounds)
	for _, way := range []struct {
		name string
		by   http.RoundTripper
	}{{"tcp", overTCP}, {"inside", overHop}, {"called", called{handler}}} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			before := processorTime(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r := request(b.Context(), http.MethodPost, bytes.NewReader(content))
					r.ContentLength = int64(len(content))
					if _, _, err := ask(way.by, r); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
	overTCP.Close()
	overHop.Close()
}

// processorTime is what this process has taken of the processors: unlike time, it does not depend on who else works.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// called serves requests on the goroutine that asks.
type called struct{ http.Handler }

func (c called) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &kept{header: http.Header{}}
	c.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body)}, nil
}

type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header         { return k.header }
func (k *kept) WriteHeader(status int)      { k.status = status }
func (k *kept) Write(p []byte) (int, error) { return k.body.Write(p) }

package gateway_test

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"

	"cloakroom.dev/gateway"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/redistest"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/resourcetest"
)

const limited = `
apiVersion: cloakroom.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: few}
spec:
  rules:
  - {name: each, limit: 30, window: 1h}
---
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: limited}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /limited}}]
    auth: {anonymous: {reason: a test of limits}}
    rateLimitRefs: [{name: few}]
    backends: [{name: files}]
`

// sharing is the boot object of a gateway whose limits are in a store. It is given all the time there is: a busy machine's
// late answer is a request decided by share, and the tests count to one.
func sharing(address, more string) string { return sharingWithin("1s", address, more) }

func sharingWithin(timeout, address, more string) string {
	return fmt.Sprintf("  trustedProxies: {none: {}}\n  limits: {store: {redis: {addresses: [%q], timeout: %s%s}}}\n", address, timeout, more)
}

// ask sends n requests to the gateways in turn, all at once, and counts what they answered by status.
func ask(t *testing.T, n int, gateways ...*world) map[int]int {
	t.Helper()
	var mu sync.Mutex
	counts := map[int]int{}
	var clients sync.WaitGroup
	var next atomic.Int64
	for range 8 {
		clients.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				got := gateways[int(i)%len(gateways)].do("GET", "/limited", "")
				if got.header.Get("RateLimit-Policy") != `"few.each";q=30;w=3600` || !strings.HasPrefix(got.header.Get("RateLimit"), `"few.each";r=`) {
					t.Errorf("headers %q, %q", got.header.Get("RateLimit-Policy"), got.header.Get("RateLimit"))
				}
				if got.status == 429 && got.header.Get("Retry-After") == "" {
					t.Error("429 without Retry-After")
				}
				mu.Lock()
				counts[got.status]++
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	return counts
}

// gauge reads a metric of a gateway.
func gauge(t *testing.T, from prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func awaitStore(t *testing.T, up float64, gateways ...*world) {
	t.Helper()
	for _, g := range gateways {
		for end := time.Now().Add(patience); gauge(t, g.metrics, "cloakroom_gateway_limiter_store_up") != up; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("store_up is not %v", up)
			}
		}
	}
}

// Three gateways allow what one would; without the store each a third of it; with the store again what one would. No
// request is ever answered but by the service or by 429.
func TestSharedLimits_ThreeGatewaysAreOneUntilTheStoreIsLost(t *testing.T) {
	server := redistest.NewServer(t)
	var gateways []*world
	for range 3 {
		gateways = append(gateways, start(t, setup{boot: sharing(server.Address, ", replicas: 3"), resources: []string{basics, limited}}))
	}
	if got := ask(t, 120, gateways...); got[200] != 30 || got[429] != 90 {
		t.Errorf("three gateways together: %v, want 30 to pass", got)
	}
	server.Kill(t)
	if got := ask(t, 120, gateways...); got[200] != 30 || got[429] != 90 {
		t.Errorf("without the store: %v, want 10 to pass at each", got)
	}
	awaitStore(t, 0, gateways...)
	server.Run(t) // empty
	awaitStore(t, 1, gateways...)
	if got := ask(t, 120, gateways...); got[200] != 30 || got[429] != 90 {
		t.Errorf("with the store again: %v, want 30 to pass", got)
	}
}

// zalando/skipper#1690: a store that was down at the start switched limits off until the next start.
func TestSharedLimits_AStoreThatIsDownAtTheStartIsUsedOnceItIsThere(t *testing.T) {
	server := redistest.NewServer(t)
	server.Kill(t)
	w := start(t, setup{boot: sharing(server.Address, ""), resources: []string{basics, limited}})
	if got := ask(t, 60, w); got[200] != 15 || got[429] != 45 {
		t.Errorf("the store is down: %v, want half of 30 to pass", got)
	}
	awaitStore(t, 0, w)
	if w.service.Ready(t.Context()) != nil {
		t.Error("the gateway is not ready for want of the store")
	}
	server.Run(t)
	awaitStore(t, 1, w)
	if got := ask(t, 60, w); got[200] != 30 {
		t.Errorf("the store is there: %v, want 30 to pass", got)
	}
}

func TestSharedLimits_WithAPasswordFromAFile(t *testing.T) {
	server := redistest.NewServer(t, "--requirepass", "open sesame")
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := start(t, setup{boot: sharing(server.Address, ", password: {file: "+strconv.Quote(path)+"}"), resources: []string{basics, limited}})
	if got := ask(t, 40, w); got[200] != 30 {
		t.Errorf("%v, want 30 to pass", got)
	}
	if strings.Contains(w.logs.String(), "sesame") {
		t.Error("the password is in the log")
	}
	for _, wrong := range []string{", password: {file: /nowhere}", ", tls: {ca: /nowhere}"} {
		if _, err := newGateway(t, sharing(server.Address, wrong)); err == nil {
			t.Errorf("a gateway started with %s", wrong)
		}
	}
}

// Without the authority's certificate nobody is believed; with it the limits are the store's.
func TestSharedLimits_OverTLS(t *testing.T) {
	made := httptest.NewTLSServer(nil) // for its certificate
	defer made.Close()
	upstream := redistest.New(t)
	front, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: made.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	go func() {
		for {
			conn, err := front.Accept()
			if err != nil {
				return
			}
			go relay(conn, upstream)
		}
	}()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for more, up := range map[string]float64{", tls: {}": 0, ", tls: {ca: " + strconv.Quote(ca) + ", serverName: other.test}": 0, ", tls: {ca: " + strconv.Quote(ca) + "}": 1} {
		w := start(t, setup{boot: sharing(front.Addr().String(), more+", prefix: tls"+strconv.Itoa(os.Getpid())), resources: []string{basics, limited}})
		got := ask(t, 40, w)
		awaitStore(t, up, w)
		if want := map[float64]int{0: 15, 1: 30}[up]; got[200] != want {
			t.Errorf("%s: %v, want %d to pass", more, got, want)
		}
	}
}

func relay(conn net.Conn, to string) {
	defer conn.Close()
	upstream, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer upstream.Close()
	go func() { _, _ = io.Copy(upstream, conn); _ = upstream.Close() }()
	_, _ = io.Copy(conn, upstream)
}

func newGateway(t *testing.T, boot string) (*gateway.Service, error) {
	t.Helper()
	none := "  upstreams: {auth: {url: http://127.0.0.1:1, internalURL: http://127.0.0.1:1}, files: {url: http://127.0.0.1:1}}\n"
	source := resourcetest.NewSource(resourcetest.Snapshot(t, bootHead+boot+none))
	snapshot, _ := source.Load(t.Context())
	config, err := resource.One[*v1alpha1.GatewayConfig](snapshot)
	if err != nil {
		t.Fatal(err)
	}
	return gateway.New(t.Context(), gateway.Config{Boot: config}, gateway.Deps{
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Tracer: noop.NewTracerProvider(), Source: source,
	})
}

// A name that never answers: the gateway starts, and requests are not held up.
func TestSharedLimits_AStoreThatNeverAnswersHoldsUpNobody(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	w := start(t, setup{boot: sharingWithin("200ms", silent.Addr().String(), ""), resources: []string{basics, limited}})
	awaitStore(t, 0, w)
	began := time.Now()
	const many = 400 // 8 at a time, and a store that is waited for costs each of them 200 ms
	if got := ask(t, many, w); got[200] != 15 {
		t.Errorf("%v, want half of 30 to pass", got)
	}
	if took := time.Since(began); took > many/8*200*time.Millisecond {
		t.Errorf("%d requests took %v", many, took)
	}
}

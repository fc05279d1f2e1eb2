package gateway_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"cloakroom.dev/gateway"
	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/hop"
	"cloakroom.dev/libs/logtest"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/resource/resourcetest"
	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/token/tokentest"
	"cloakroom.dev/libs/web"
)

// world is a whole gateway on a loopback port: behind it two services that tests write, beside it an auth service of
// tests that signs, publishes keys and streams revocations over the real wire.
type world struct {
	t       testing.TB
	addr    string
	issuer  *tokentest.Issuer
	auth    *backend
	files   *backend
	service *gateway.Service
	source  *resourcetest.Source
	metrics *prometheus.Registry
	ops     *run.Ops
	logs    *logtest.Text

	exchanges  atomic.Int64
	exchange   atomic.Pointer[func(key string) (status int, token string, expiresIn int)]
	introspect atomic.Pointer[func(raw string) (status int, body string)]
	stop       context.CancelFunc
	stopped    chan error
}

// backend is a service behind the gateway. It records every request it gets.
type backend struct {
	*httptest.Server
	inside  gateway.Inside // nil on loopback
	handler atomic.Pointer[http.HandlerFunc]
	silent  atomic.Bool // records nothing
	mu      sync.Mutex
	seen    []*http.Request
	bodies  []string
}

func newBackend(t testing.TB, inside bool) *backend {
	b := &backend{}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := b.handler.Load(); h != nil {
			if !b.silent.Load() {
				b.note(r, "")
			}
			(*h)(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		b.note(r, string(body))
		_, _ = io.WriteString(w, "ok")
	}))
	if inside {
		l := hop.Listen("backend")
		l.Handle(context.Background(), web.Edge(b.Config.Handler, web.EdgeOptions{Listener: "inside", Log: slog.New(slog.DiscardHandler)}))
		_ = b.Listener.Close()
		b.inside, b.Listener = l, l
	}
	b.Start()
	t.Cleanup(b.Close)
	return b
}

// insideVariable has the services of this package's tests called in the gateway's process, not reached over loopback.
const insideVariable = "CLOAKROOM_TEST_INSIDE"

// TestInside_KeepsEveryPromise runs all the other tests again, with services of the same process. Tests of connections to services
// bring services of their own, on loopback.
func TestInside_KeepsEveryPromise(t *testing.T) {
	if os.Getenv(insideVariable) != "" || flag.Lookup("test.run").Value.String() != "" {
		t.Log("only once, and with all the others")
		return
	}
	t.Parallel()
	all := exec.CommandContext(t.Context(), os.Args[0], "-test.timeout=8m")
	all.Env = append(os.Environ(), insideVariable+"=1")
	if out, err := all.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func (b *backend) note(r *http.Request, body string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen, b.bodies = append(b.seen, r), append(b.bodies, body)
}

// serve sets what the service does instead of answering "ok".
func (b *backend) serve(h http.HandlerFunc) { b.handler.Store(&h) }

// answer is serve without recording, for load.
func (b *backend) answer(h http.HandlerFunc) {
	b.silent.Store(true)
	b.serve(h)
}

func (b *backend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.seen)
}

// all returns the requests so far, and their bodies.
func (b *backend) all() ([]*http.Request, []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.seen), slices.Clone(b.bodies)
}

// last returns the newest request.
func (b *backend) last(t testing.TB) *http.Request {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.seen) == 0 {
		t.Fatal("the service got no request")
	}
	return b.seen[len(b.seen)-1]
}

// setup changes a world before it begins.
type setup struct {
	resources []string
	boot      string // more of GatewayConfig's spec, two spaces deep
	files     string // the files upstream, in place of the world's own, which is not asked whether it is well
	wire      bool   // services are on loopback in any case: the test is about what is on a connection
	tracer    trace.TracerProvider
	log       *slog.Logger
}

const bootHead = `
apiVersion: cloakroom.dev/v1alpha1
kind: GatewayConfig
metadata: {name: gateway}
spec:
`

const basics = `
apiVersion: cloakroom.dev/v1alpha1
kind: TokenPolicy
metadata: {name: default}
spec:
  issuer: https://auth.test
  audiences: [cloakroom]
  claimHeaders: [{claim: sub, header: X-User-Id}, {claim: roles, header: X-Roles}]
---
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: open}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /open}}]
    auth: {anonymous: {reason: a test of what needs no token}}
    backends: [{name: files}]
---
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: closed}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /closed}}]
    auth: {tokenPolicyRef: {name: default}}
    timeouts: {request: 0s, responseHeader: 0s}
    backends: [{name: files}]
`

// start begins a world and waits until it is ready.
func start(t testing.TB, s setup) *world {
	t.Helper()
	inside := os.Getenv(insideVariable) != "" && !s.wire
	w := &world{
		t: t, issuer: tokentest.New(t), auth: newBackend(t, inside), files: newBackend(t, inside),
		metrics: prometheus.NewRegistry(), logs: &logtest.Text{}, stopped: make(chan error, 1),
	}
	if s.boot == "" {
		s.boot = "  trustedProxies: {none: {}}\n"
	}
	if s.resources == nil {
		s.resources = []string{basics}
	}
	if s.tracer == nil {
		s.tracer = noop.NewTracerProvider()
	}
	if s.log == nil {
		s.log = slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	internal := httptest.NewServer(http.HandlerFunc(w.serveInternal))
	t.Cleanup(internal.Close)
	boot := bootHead + s.boot + fmt.Sprintf("  upstreams:\n    auth: {url: %q, internalURL: %q, health: {interval: 0s}}\n    files: {%s}\n",
		w.auth.URL, internal.URL, cmp.Or(s.files, fmt.Sprintf("url: %q, health: {interval: 0s}", w.files.URL)))
	w.source = resourcetest.NewSource(resourcetest.Snapshot(t, append([]string{boot}, s.resources...)...))
	snapshot, _ := w.source.Load(t.Context())
	config, err := resource.One[*v1alpha1.GatewayConfig](snapshot)
	if err != nil {
		t.Fatal(err)
	}
	made := gateway.Config{Boot: config, Auth: w.auth.inside}
	if s.files == "" {
		made.Files = w.files.inside
	}
	w.service, err = gateway.New(t.Context(), made,
		gateway.Deps{Log: s.log, Registerer: w.metrics, Tracer: s.tracer, Source: w.source})
	if err != nil {
		t.Fatal(err)
	}
	w.run(config, s.log)
	return w
}

func (w *world) run(config *v1alpha1.GatewayConfig, log *slog.Logger) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.addr = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	w.ops = run.NewOps(w.metrics)
	w.ops.Ready("gateway", w.service.Ready)
	w.ops.OnDrain(w.service.Drain)
	server := run.Server{
		Name: "public", Listener: w.service.Listen(l), Handler: w.service.Handler(), Configure: w.service.ConfigureServer,
	}
	life := run.ServeOptions{
		Log: log, Ops: w.ops, DrainDelay: config.Spec.Drain.Delay.Std(), DrainTimeout: config.Spec.Drain.Timeout.Std(),
	}
	go func() { w.stopped <- run.Serve(ctx, life, []run.Server{server}, w.service.Run) }()
	w.t.Cleanup(func() {
		w.issuer.Down() // ends its streams, so that servers can close
		if err := w.end(); err != nil {
			w.t.Errorf("serve: %v", err)
		}
		if err := w.service.Close(); err != nil {
			w.t.Errorf("close: %v", err)
		}
	})
	for deadline := time.Now().Add(patience); w.service.Ready(ctx) != nil; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("not ready: %v", w.service.Ready(ctx))
		}
	}
}

// end drains the gateway and returns what its process would.
func (w *world) end() error {
	w.stop()
	select {
	case err := <-w.stopped:
		w.stopped <- err
		return err
	case <-time.After(20 * time.Second):
		return fmt.Errorf("the gateway does not end")
	}
}

// serveInternal is the auth service's internal listener: what the issuer does not play is played here.
func (w *world) serveInternal(rw http.ResponseWriter, r *http.Request) {
	var in struct {
		APIKey      string `json:"api_key"`
		AccessToken string `json:"access_token"`
	}
	switch r.URL.Path {
	case "/internal/v1/api-keys/exchange":
		w.exchanges.Add(1)
		_ = json.NewDecoder(r.Body).Decode(&in)
		answer := w.exchange.Load()
		if answer == nil {
			http.Error(rw, `{"code":"INVALID_CREDENTIALS"}`, http.StatusUnauthorized)
			return
		}
		status, token, expiresIn := (*answer)(in.APIKey)
		rw.WriteHeader(status)
		_ = json.NewEncoder(rw).Encode(map[string]any{"access_token": token, "expires_in": expiresIn, "code": "INVALID_CREDENTIALS"})
	case "/internal/v1/introspect":
		_ = json.NewDecoder(r.Body).Decode(&in)
		answer := w.introspect.Load()
		if answer == nil {
			http.Error(rw, "down", http.StatusServiceUnavailable)
			return
		}
		status, body := (*answer)(in.AccessToken)
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, body)
	default:
		w.issuer.ServeHTTP(rw, r)
	}
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) code() string {
	var doc struct{ Code string }
	_ = json.Unmarshal([]byte(a.body), &doc)
	return doc.Code
}

// do sends a request. headers are "Name: value".
func (w *world) do(method, path, body string, headers ...string) answer {
	w.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, "http://"+w.addr+path, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	res, err := client.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{res.StatusCode, res.Header, string(text)}
}

func (w *world) get(path string, headers ...string) answer {
	w.t.Helper()
	return w.do(http.MethodGet, path, "", headers...)
}

const (
	// patience is how long a test waits for what is certain to come, on a machine that has other things to do.
	patience = time.Minute
	// soon is when something has come that nothing holds up. Less would measure the machine; what holds things up here,
	// the header timeout and the window of a slow body, takes longer.
	soon = 8 * time.Second
)

// client never follows redirects and never reuses another test's connections.
var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       patience,
}

func bearer(raw string) string { return "Authorization: Bearer " + raw }

func (w *world) want(a answer, status int, code string) {
	w.t.Helper()
	if a.status != status || (code != "" && a.code() != code) {
		w.t.Errorf("got %d %s %s, want %d %s", a.status, a.code(), a.body, status, code)
	}
	if a.header.Get("X-Request-Id") == "" {
		w.t.Error("an answer without X-Request-Id")
	}
	if code != "" && !strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
		w.t.Errorf("a problem of type %q", a.header.Get("Content-Type"))
	}
}

// metric sums the values of a metric whose labels contain all the given "name=value".
func (w *world) metric(name string, labels ...string) float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			all := ""
			for _, l := range m.GetLabel() {
				all += l.GetName() + "=" + l.GetValue() + " "
			}
			fits := true
			for _, l := range labels {
				fits = fits && strings.Contains(all, l+" ")
			}
			if fits {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// eventually waits for something that another goroutine brings about.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// httptestGet asks a handler that no listener serves.
func httptestGet(t testing.TB, h http.Handler) string {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	return rec.Body.String()
}

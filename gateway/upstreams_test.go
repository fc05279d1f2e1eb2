package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// replica is one of several equal services behind the gateway, on a port that stays its own.
type replica struct {
	t        *testing.T
	addr     string
	server   *http.Server
	draining atomic.Bool
	hole     atomic.Bool // accepts, and never answers
	free     chan struct{}
	seen     func(*http.Request)
	count    atomic.Int64
	lost     atomic.Int64 // requests in the hole
	asked    atomic.Int64 // whether it is ready
	delay    atomic.Int64
}

func newReplica(t *testing.T, seen func(*http.Request)) *replica {
	r := &replica{t: t, addr: "127.0.0.1:0", free: make(chan struct{}), seen: seen}
	r.start()
	t.Cleanup(func() {
		close(r.free)
		_ = r.server.Close()
	})
	return r
}

func (r *replica) start() {
	r.t.Helper()
	var l net.Listener
	eventually(r.t, "the port is free again", func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", r.addr)
		return err == nil
	})
	r.addr = l.Addr().String()
	r.draining.Store(false)
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func(s *http.Server) { _ = s.Serve(l) }(r.server)
}

func (r *replica) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if r.hole.Load() {
		if q.URL.Path != "/readyz" {
			r.lost.Add(1)
		}
		<-r.free
		panic(http.ErrAbortHandler)
	}
	if q.URL.Path == "/readyz" {
		r.asked.Add(1)
		if r.draining.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	r.count.Add(1)
	_, _ = io.Copy(io.Discard, q.Body)
	if r.seen != nil {
		r.seen(q)
	}
	time.Sleep(time.Duration(r.delay.Load()))
	_, _ = io.WriteString(w, "ok")
}

// restart is what a deployment does: not ready, a moment for others to notice, what runs is finished, and back.
func (r *replica) restart() {
	r.t.Helper()
	asked := r.asked.Load()
	r.draining.Store(true)
	eventually(r.t, "it is asked while it drains", func() bool { return r.asked.Load() >= asked+2 })
	time.Sleep(300 * time.Millisecond) // for requests that had chosen it by then and are not here yet
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.server.Shutdown(ctx); err != nil {
		r.t.Errorf("shutdown: %v", err)
	}
	r.start()
}

// spread is an upstream over these replicas, which are asked often.
func spread(replicas ...*replica) string {
	urls := make([]string, len(replicas))
	for i, r := range replicas {
		urls[i] = fmt.Sprintf("%q", "http://"+r.addr)
	}
	return "urls: [" + strings.Join(urls, ", ") + "], health: {interval: 100ms, timeout: 500ms}"
}

// load sends requests of many kinds from several clients until stop is called, which returns how many there were, and those
// that failed.
func (w *world) load(clients int) (stop func() (total int64, failures []string)) {
	var total atomic.Int64
	var mu sync.Mutex
	var failures []string
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				method := []string{"GET", "POST", "PUT", "PATCH"}[n%4]
				r, _ := http.NewRequest(method, "http://"+w.addr+"/open", bytes.NewReader([]byte("a body")))
				if method == "GET" {
					r.Body, r.ContentLength = nil, 0
				}
				r.Header.Set("X-Number", fmt.Sprintf("%d/%d", i, n))
				res, err := client.Do(r)
				total.Add(1)
				if err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
				if err != nil || res.StatusCode != 200 {
					mu.Lock()
					failures = append(failures, fmt.Sprint(method, " ", err, " ", res))
					mu.Unlock()
				}
			}
		})
	}
	return func() (int64, []string) {
		cancel()
		all.Wait()
		return total.Load(), failures
	}
}

// once fails the test for a request that came to the services twice.
func once(t *testing.T) func(*http.Request) {
	var seen sync.Map
	return func(r *http.Request) {
		if _, again := seen.LoadOrStore(r.Header.Get("X-Number"), true); again && r.Method != "GET" {
			t.Errorf("%s %s was sent twice", r.Method, r.Header.Get("X-Number"))
		}
	}
}

func TestUpstream_ARollingRestartFailsNoRequest(t *testing.T) {
	seen := once(t)
	one, other := newReplica(t, seen), newReplica(t, seen)
	w := start(t, setup{files: spread(one, other)})
	stop := w.load(8)
	for range 2 {
		for _, r := range []*replica{one, other} {
			r.restart()
			before := r.count.Load()
			eventually(t, "it gets requests again", func() bool { return r.count.Load() > before })
		}
	}
	total, failures := stop()
	if len(failures) > 0 || total < 100 {
		t.Errorf("%d of %d requests failed: %.3s", len(failures), total, failures)
	}
	t.Logf("%d requests, %v sent again", total, w.metric("cloakroom_gateway_upstream_retries_total", "result=sent"))
}

func TestUpstream_OneThatDiesTakesNoReadWithIt(t *testing.T) {
	one, other := newReplica(t, nil), newReplica(t, nil)
	w := start(t, setup{files: spread(one, other)})
	for range 20 {
		w.want(w.get("/open"), 200, "")
	}
	_ = one.server.Close() // connections and all
	for range 100 {
		w.want(w.get("/open"), 200, "")
		w.want(w.do("POST", "/open", "a body"), 200, "")
	}
	eventually(t, "it is known to be down", func() bool {
		return w.metric("cloakroom_gateway_upstream_addresses", "upstream=files", "state=down") == 1
	})
	said := func() int { return strings.Count(w.logs.String(), "address of an upstream is not well") }
	eventually(t, "it is said", func() bool { return said() > 0 })
	if n := said(); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func TestUpstream_ASlowOneIsAvoided(t *testing.T) {
	one, other := newReplica(t, nil), newReplica(t, nil)
	one.delay.Store(int64(time.Second))
	w := start(t, setup{files: spread(one, other)})
	stop := w.load(8)
	eventually(t, "much is done", func() bool { return other.count.Load() > 400 })
	if _, failures := stop(); len(failures) > 0 {
		t.Errorf("failed: %.3s", failures)
	}
	if slow, quick := one.count.Load(), other.count.Load(); slow == 0 || quick < 3*slow {
		t.Errorf("%d to the slow one, %d to the quick one", slow, quick)
	}
}

func TestUpstream_ABlackHoleIsFoundOut(t *testing.T) {
	one, other := newReplica(t, nil), newReplica(t, nil)
	w := start(t, setup{files: spread(one, other)})
	w.want(w.get("/open"), 200, "")
	one.hole.Store(true)
	eventually(t, "it is known to be down", func() bool {
		return w.metric("cloakroom_gateway_upstream_addresses", "upstream=files", "state=down") == 1
	})
	for range 50 {
		w.want(w.get("/open"), 200, "")
		w.want(w.do("POST", "/open", "a body"), 200, "")
	}
	if n := one.lost.Load(); n != 0 {
		t.Errorf("%d of 100 requests went there", n)
	}
}

func TestUpstream_AllDownIsToldAtOnceAndEndsByItself(t *testing.T) {
	one, other := newReplica(t, nil), newReplica(t, nil)
	w := start(t, setup{files: spread(one, other)})
	one.hole.Store(true)
	other.hole.Store(true)
	eventually(t, "both are known to be down", func() bool {
		return w.metric("cloakroom_gateway_upstream_addresses", "upstream=files", "state=down") == 2
	})
	a := w.do("POST", "/open", "a body")
	w.want(a, 503, "UNAVAILABLE")
	if n := one.lost.Load() + other.lost.Load(); n != 0 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d requests were sent all the same: %v", n, a.header)
	}
	other.hole.Store(false)
	eventually(t, "the first one back serves", func() bool { return w.get("/open").status == 200 })
	if n := w.metric("cloakroom_gateway_upstream_refused_total", "upstream=files", "reason=down"); n < 1 {
		t.Errorf("%v counted", n)
	}
}

func TestUpstream_APostThatMayHaveArrivedIsNotSentTwice(t *testing.T) {
	var arrived atomic.Int64
	dies := func(*http.Request) {
		arrived.Add(1)
		panic(http.ErrAbortHandler)
	}
	one, other := newReplica(t, dies), newReplica(t, dies)
	w := start(t, setup{files: spread(one, other)})
	for range 20 {
		w.want(w.do("POST", "/open", "a body"), 502, "UNAVAILABLE")
		w.want(w.do("PATCH", "/open", "a body"), 502, "UNAVAILABLE")
	}
	if n := arrived.Load(); n != 40 {
		t.Errorf("40 requests arrived %d times", n)
	}
	arrived.Store(0)
	w.want(w.get("/open"), 502, "UNAVAILABLE")
	if n := arrived.Load(); n != 2 {
		t.Errorf("a read was tried %d times, at two addresses", n)
	}
}

const neverAgain = `
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: never}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /never}}]
    auth: {anonymous: {reason: a test of retries}}
    retry: {attempts: 0}
    backends: [{name: files}]
`

func TestUpstream_ARouteMaySayHowOften(t *testing.T) {
	var arrived atomic.Int64
	dies := func(*http.Request) {
		arrived.Add(1)
		panic(http.ErrAbortHandler)
	}
	w := start(t, setup{files: spread(newReplica(t, dies), newReplica(t, dies), newReplica(t, dies)), resources: []string{basics, neverAgain}})
	for path, want := range map[string]int64{"/never": 1, "/open": 3} {
		arrived.Store(0)
		w.want(w.get(path), 502, "UNAVAILABLE")
		if n := arrived.Load(); n != want {
			t.Errorf("%s: tried %d times, want %d", path, n, want)
		}
	}
}

func TestUpstream_TheOpsPortTellsOfAddresses(t *testing.T) {
	one, other := newReplica(t, nil), newReplica(t, nil)
	w := start(t, setup{files: spread(one, other)})
	other.draining.Store(true)
	ask := func() string {
		got := httptestGet(t, w.service.OpsHandlers()["GET /-/upstreams"])
		var all map[string][]struct{ Address, State string }
		if err := json.Unmarshal([]byte(got), &all); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		return fmt.Sprint(all["files"])
	}
	want := fmt.Sprintf("[{http://%s up} {http://%s unready}]", one.addr, other.addr)
	eventually(t, want, func() bool { return ask() == want })
}

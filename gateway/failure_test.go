package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const limitsRoute = `
apiVersion: cloakroom.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: few}
spec:
  rules: [{name: client, key: {type: Client}, limit: 3, window: 60s}]
---
apiVersion: cloakroom.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: person}
spec:
  rules: [{name: subject, key: {type: Subject}, limit: 2, window: 60s}]
---
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: limited}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /few}}]
    auth: {anonymous: {reason: a test of rate limits}}
    rateLimitRefs: [{name: few}]
    backends: [{name: files}]
  - matches: [{path: {type: PathPrefix, value: /person}}]
    auth: {tokenPolicyRef: {name: default}}
    rateLimitRefs: [{name: person}]
    backends: [{name: files}]
  - matches: [{path: {type: PathPrefix, value: /hasty}}]
    auth: {anonymous: {reason: a test of time limits}}
    timeouts: {request: 300ms, responseHeader: 0s}
    backends: [{name: files}]
  - matches: [{path: {type: PathPrefix, value: /silent}}]
    auth: {anonymous: {reason: a test of time limits}}
    timeouts: {request: 0s, responseHeader: 200ms}
    backends: [{name: files}]
`

func TestLimit_SaysWhatIsLeftAndWhenToComeBack(t *testing.T) {
	w := start(t, setup{resources: []string{basics, limitsRoute}})
	for left := 2; left >= 0; left-- {
		a := w.get("/few")
		w.want(a, 200, "")
		if got := a.header.Get("RateLimit"); !strings.HasPrefix(got, fmt.Sprintf(`"few.client";r=%d;t=`, left)) {
			t.Errorf("RateLimit %q", got)
		}
		if got := a.header.Get("RateLimit-Policy"); got != `"few.client";q=3;w=60` {
			t.Errorf("RateLimit-Policy %q", got)
		}
	}
	a := w.get("/few", "X-Forwarded-For: 9.9.9.9", "Forwarded: for=9.9.9.9")
	w.want(a, 429, "RATE_LIMIT_EXCEEDED")
	if a.header.Get("Retry-After") != "20" || !strings.Contains(a.header.Get("RateLimit"), "r=0") {
		t.Errorf("%v", a.header)
	}
	w.want(w.get("/open"), 200, "")
	if n := w.files.count(); n != 4 {
		t.Errorf("the service got %d requests", n)
	}
}

func TestLimit_CountsPeopleOnlyOnceTheyAreKnown(t *testing.T) {
	w := start(t, setup{resources: []string{basics, limitsRoute}})
	raw := w.issuer.Mint()
	for range 5 {
		w.want(w.get("/person", "Authorization: Bearer guess"), 401, "INVALID_TOKEN")
	}
	w.want(w.get("/person", bearer(raw)), 200, "")
	w.want(w.get("/person", bearer(raw)), 200, "")
	w.want(w.get("/person", bearer(raw)), 429, "RATE_LIMIT_EXCEEDED")
}

func TestFailure_OfAServiceIsAProblem(t *testing.T) {
	w := start(t, setup{resources: []string{basics, limitsRoute}})
	kinds := func() string {
		return fmt.Sprint(w.metric("cloakroom_gateway_upstream_errors_total", "kind=dial"),
			w.metric("cloakroom_gateway_upstream_errors_total", "kind=timeout"), w.metric("cloakroom_gateway_upstream_errors_total", "kind=broken"))
	}
	w.files.serve(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // net/http notices that a client has left only behind its body
		if strings.HasPrefix(r.URL.Path, "/hasty") || strings.HasPrefix(r.URL.Path, "/silent") {
			<-r.Context().Done()
			return
		}
		panic(http.ErrAbortHandler)
	})
	for _, c := range []struct {
		path, body string
		status     int
	}{{"/open", "", 502}, {"/hasty", "", 504}, {"/silent", "", 504}, {"/silent", "with a body", 504}} {
		a := w.do(http.MethodPost, c.path, c.body)
		w.want(a, c.status, "UNAVAILABLE")
		if a.header.Get("Retry-After") == "" || strings.Contains(a.body, "127.0.0.1") {
			t.Errorf("%s: %v %s", c.path, a.header, a.body)
		}
	}
	w.files.Close()
	a := w.get("/open")
	w.want(a, 503, "UNAVAILABLE")
	if strings.Contains(a.body, "127.0.0.1") {
		t.Errorf("an address in %s", a.body)
	}
	if got := kinds(); got != "1 3 1" {
		t.Errorf("dial, timeout, broken: %s", got)
	}
}

func TestFailure_AnAnswerThatBreaksOffIsNotWhole(t *testing.T) {
	w := start(t, setup{})
	w.files.serve(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("length") != "" {
			rw.Header().Set("Content-Length", "1000000")
		}
		_, _ = io.WriteString(rw, strings.Repeat("x", 10_000))
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	})
	for _, path := range []string{"/open", "/open?length=1"} {
		res, err := client.Get("http://" + w.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(res.Body); err == nil {
			t.Errorf("%s: half an answer passed for a whole one", path)
		}
		_ = res.Body.Close()
	}
	if n := w.metric("cloakroom_gateway_upstream_errors_total", "kind=broken"); n != 2 {
		t.Errorf("%v counted", n)
	}
}

func TestFailure_AClientThatLeavesIsNobodysError(t *testing.T) {
	w := start(t, setup{})
	left := make(chan struct{})
	w.files.serve(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(left)
	})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.addr+"/open", nil)
	if _, err := client.Do(r); err == nil {
		t.Fatal("an answer")
	}
	<-left // the service is told
	eventually(t, "the request is counted", func() bool { return w.metric("cloakroom_http_request_duration_seconds", "code=499") == 1 })
	if n := w.metric("cloakroom_gateway_upstream_errors_total"); n != 0 {
		t.Errorf("%v upstream errors", n)
	}
	if logs := w.logs.String(); strings.Contains(logs, `"level":"ERROR"`) || strings.Contains(logs, `"level":"WARN"`) {
		t.Errorf("logged as a failure: %s", logs)
	}
}

func TestFailure_AServiceThatRefusesEarlyIsHeard(t *testing.T) {
	w := start(t, setup{boot: "  trustedProxies: {none: {}}\n  limits: {maxBodyBytes: 1Gi}\n"})
	w.files.serve(func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusInsufficientStorage)
		_, _ = io.WriteString(rw, "full")
	})
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "PUT /open HTTP/1.1\r\nHost: a\r\nContent-Length: 500000000\r\n\r\n")
	go func() {
		block := make([]byte, 64<<10)
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	}()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != http.StatusInsufficientStorage {
		t.Fatalf("%v %v", res, err)
	}
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "full" {
		t.Errorf("%q %v", body, err)
	}
}

func TestTrace_OneRequestIsOneStory(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	w := start(t, setup{tracer: provider})
	const stranger = "4bf92f3577b34da6a3ce929d0e0e4736"
	w.want(w.get("/open", "traceparent: 00-"+stranger+"-00f067aa0ba902b7-01", "tracestate: evil=1"), 200, "")
	eventually(t, "both spans have ended", func() bool { return len(spans.GetSpans()) == 2 })
	outbound, server := spans.GetSpans()[0], spans.GetSpans()[1]
	if server.Name != "GET open" || outbound.Name != "GET files" || outbound.Parent.SpanID() != server.SpanContext.SpanID() {
		t.Errorf("%s, %s below %s", server.Name, outbound.Name, outbound.Parent.SpanID())
	}
	if len(server.Links) != 1 || server.Links[0].SpanContext.TraceID().String() != stranger || server.Parent.IsValid() {
		t.Errorf("a stranger's trace is to be linked, not continued: %+v", server)
	}
	got := w.files.last(t).Header
	want := fmt.Sprintf("00-%s-%s-01", server.SpanContext.TraceID(), outbound.SpanContext.SpanID())
	if ids := got.Values("Traceparent"); len(ids) != 1 || ids[0] != want || got.Get("Tracestate") != "" {
		t.Errorf("the service got %v %q, want %s", ids, got.Get("Tracestate"), want)
	}
}

func TestTrace_WithoutTracingStrangersTracesEndHere(t *testing.T) {
	w := start(t, setup{})
	w.want(w.get("/open", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate: evil=1"), 200, "")
	if h := w.files.last(t).Header; h.Get("Traceparent") != "" || h.Get("Tracestate") != "" {
		t.Errorf("%v", h)
	}
}

// TestFailure_AnAnswerBeforeTheWholeBodyEndsTheConnection: the client holds the rest of its body back, so the answer is
// always the earlier one.
func TestFailure_AnAnswerBeforeTheWholeBodyEndsTheConnection(t *testing.T) {
	w := start(t, setup{})
	w.files.serve(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Read") != "" {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		rw.WriteHeader(http.StatusInsufficientStorage)
	})
	for name, tc := range map[string]struct {
		path, body string
		status     int
		closed     bool
	}{
		"by the service":                  {"/open", "half", http.StatusInsufficientStorage, true},
		"by the gateway":                  {"/nowhere", "half", http.StatusNotFound, true},
		"the body is whole, and was read": {"/open", "half and half", http.StatusInsufficientStorage, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			length, read := 900_000, "" // more than a service would wait for before it answers
			if !tc.closed {
				length, read = len(tc.body), "X-Read: 1\r\n"
			}
			_, _ = fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s", tc.path, read, length, tc.body)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			if res.StatusCode != tc.status || res.Close != tc.closed {
				t.Errorf("answered %d, announced the end: %v, want %d and %v", res.StatusCode, res.Close, tc.status, tc.closed)
			}
		})
	}
}

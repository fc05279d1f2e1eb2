package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const shapedRoute = `
apiVersion: cloakroom.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: one}
spec:
  rules: [{name: client, key: {type: Client}, limit: 1, window: 60s}]
---
apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata: {name: shaped}
spec:
  refusals: {body: '{"success":false,"error":"{code} {status}"}'}
  rules:
  - matches: [{method: POST, path: {type: PathPrefix, value: /shaped/posts}}]
    auth: {anonymous: {reason: a test of refusals}}
    limits: {maxBodyBytes: "8"}
    timeouts: {request: 300ms, responseHeader: 0s}
    backends: [{name: files}]
  - matches: [{path: {type: PathPrefix, value: /shaped/limited}}]
    auth: {anonymous: {reason: a test of refusals}}
    rateLimitRefs: [{name: one}]
    backends: [{name: files}]
  - matches: [{path: {type: PathPrefix, value: /shaped/unlimited}}]
    auth: {anonymous: {reason: a test of refusals}}
    rateLimitRefs: [{name: never-was}]
    backends: [{name: files}]
  - matches: [{path: {type: PathPrefix, value: /shaped/closed}}]
    auth: {tokenPolicyRef: {name: default}}
    backends: [{name: files}]
`

// TestRefusals_OfAShapedRouteNeverLookLikeOurs: whatever the gateway refuses there, and whenever.
func TestRefusals_OfAShapedRouteNeverLookLikeOurs(t *testing.T) {
	w := start(t, setup{resources: []string{basics, shapedRoute}})
	w.files.serve(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case strings.HasSuffix(r.URL.Path, "/hangs"):
			<-r.Context().Done()
		case strings.HasSuffix(r.URL.Path, "/breaks"):
			panic(http.ErrAbortHandler)
		}
	})
	want := func(a answer, status int, code string) {
		t.Helper()
		if body := fmt.Sprintf(`{"success":false,"error":"%s %d"}`+"\n", code, status); a.status != status || a.body != body {
			t.Errorf("answered %d %s, want %s", a.status, a.body, body)
		}
		if got := a.header.Get("Content-Type"); got != "application/json" {
			t.Errorf("answered as %s", got)
		}
	}
	want(w.get("/shaped/posts"), 405, "METHOD_NOT_ALLOWED")
	want(w.do("POST", "/shaped/posts", "nine bytes"), 413, "PAYLOAD_TOO_LARGE")
	want(w.do("POST", "/shaped/posts/hangs", ""), 504, "UNAVAILABLE")
	want(w.do("POST", "/shaped/posts/breaks", ""), 502, "UNAVAILABLE")
	w.want(w.get("/shaped/limited"), 200, "")
	limited := w.get("/shaped/limited")
	want(limited, 429, "RATE_LIMIT_EXCEEDED")
	if limited.header.Get("Retry-After") == "" {
		t.Error("nobody says when to come back")
	}
	want(w.get("/shaped/unlimited"), 503, "UNAVAILABLE")
	want(w.get("/shaped/closed"), 401, "AUTH_ERROR")
	want(w.get("/shaped/closed", bearer("guess")), 401, "INVALID_TOKEN")
	want(w.get("/shaped/posts/a%2fb"), 400, "VALIDATION_ERROR")
	want(w.get("/shaped/posts//"), 400, "VALIDATION_ERROR")
	want(w.get("/shaped/limited?access_token=x"), 400, "VALIDATION_ERROR")
	w.files.Close()
	want(w.do("POST", "/shaped/posts", ""), 503, "UNAVAILABLE")

	w.want(w.get("/elsewhere"), 404, "NOT_FOUND")
	w.want(w.get("/open"), 503, "UNAVAILABLE")
}

// TestQuery_OfARequestIsInNoLogAndNoTrace: other contracts have secrets there.
func TestQuery_OfARequestIsInNoLogAndNoTrace(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	w := start(t, setup{resources: []string{basics, shapedRoute}, tracer: tracer})
	const query = "?apiKey=very-secret&refreshToken=very-secret"
	w.want(w.get("/open"+query), 200, "")
	if got := w.files.last(t).URL.RawQuery; "?"+got != query {
		t.Errorf("the service was asked for %q", got)
	}
	w.get("/shaped/limited/a%2fb" + query)
	w.get("/elsewhere" + query)
	w.files.Close()
	w.get("/open" + query)
	if logs := w.logs.String(); len(logs) == 0 || strings.Contains(logs, "very-secret") {
		t.Errorf("the log has it, or nothing: %s", logs)
	}
	told := fmt.Sprintf("%+v", spans.GetSpans())
	if len(spans.GetSpans()) == 0 || strings.Contains(told, "very-secret") {
		t.Errorf("a trace has it, or there is none: %s", told)
	}
}

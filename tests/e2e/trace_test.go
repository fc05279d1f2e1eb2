package e2e

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"cloakroom.dev/tests/harness"
)

// spans is an OTLP receiver that remembers, by trace, which service did what.
type spans struct {
	mu     sync.Mutex
	traces map[string][]string
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(r.Body)
	}
	raw, _ := io.ReadAll(body)
	var req collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &req); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range req.ResourceSpans {
		service := ""
		for _, a := range rs.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, ss := range rs.ScopeSpans {
			for _, span := range ss.Spans {
				s.traces[string(span.TraceId)] = append(s.traces[string(span.TraceId)], service+": "+span.Name)
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// One request reads as one story: gateway, service, database. A stranger's own trace is none of ours: it would choose our
// ids and what we record.
func TestTraces_OneRequestIsOneTrace(t *testing.T) {
	got := &spans{traces: map[string][]string{}}
	receiver := httptest.NewServer(got)
	defer receiver.Close()
	s := harness.Start(t, "CONFIG_DIR="+harness.ConfigDir(t, func(yaml string) string { return withTracing(yaml, receiver.URL) }))
	ada := harness.NewClient(t, s.Public).SignUp()
	ada.Do("GET", "/v1/files", nil, harness.Header("Traceparent", "00-"+strings.Repeat("4b", 16)+"-00f067aa0ba902b7-01")).Is(200)
	ada.Do("GET", "/v1/users/me/export", nil).Is(200)
	waitFor(t, patience, func() bool {
		return got.tell(t, "gateway: GET files", "files-svc: GET files.list", "files-svc: SELECT") &&
			got.tell(t, "files-svc: GET users.me.export", "auth-svc: GET users.me.export")
	})
	if story := got.of(strings.Repeat("\x4b", 16)); story != nil {
		t.Errorf("a stranger's trace was continued: %q", story)
	}
}

// tell reports whether one trace has all of these in it.
func (s *spans) tell(t *testing.T, parts ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, story := range s.traces {
		text := strings.Join(story, "\n")
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) }) {
			t.Logf("one story:\n%s", text)
			return true
		}
	}
	return false
}

func (s *spans) of(trace string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.traces[trace])
}

// withTracing adds telemetry to every boot object of a file.
func withTracing(yaml, endpoint string) string {
	docs := strings.Split(yaml, "\n---")
	for i, doc := range docs {
		if strings.Contains(doc, "kind: AuthConfig") || strings.Contains(doc, "kind: FilesConfig") || strings.Contains(doc, "kind: GatewayConfig") {
			docs[i] = strings.Replace(doc, "\nspec:\n", "\nspec:\n  telemetry: {otlpEndpoint: \""+endpoint+"\"}\n", 1)
		}
	}
	return strings.Join(docs, "\n---")
}

package filessvc

import (
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"

	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/libs/token/tokentest"
)

// One upload is one trace, from the request to the fsync and the commit of its row.
func TestTracing_AnUploadIsOneTrace(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	w := newWorldWith(t, t.TempDir(), tokentest.New(t), func(_ *Config, d *Deps) { d.Tracer = provider })
	p := w.person()
	p.upload("a.txt", "text/plain", strings.NewReader("x"))
	seen := map[string]bool{}
	var trace string
	for _, s := range recorder.Ended() {
		if s.Name() == "POST files.upload" {
			trace = s.SpanContext().TraceID().String()
		}
	}
	for _, s := range recorder.Ended() {
		if s.SpanContext().TraceID().String() == trace {
			seen[s.Name()] = true
		}
	}
	for _, name := range []string{"POST files.upload", "blob.create", "blob.commit", "sqlite.write"} {
		if !seen[name] {
			t.Errorf("no span %s in the upload's trace: %v", name, seen)
		}
	}
}

func TestTracing_CostsNothingWhenOff(t *testing.T) {
	blobs := filestest.NewBlobs()
	if got := traced(blobs, noop.NewTracerProvider()); got != blobs {
		t.Error("the store is wrapped")
	}
}

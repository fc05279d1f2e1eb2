// Package telemetry sets up what a process says of itself: logs, metrics and traces.
//
// Logs are slog JSON with the request's and the trace's id, and never a secret: attributes are redacted by name and by
// the shape of their value. Metrics are Prometheus' with the build's facts. Traces go out over OTLP/HTTP when an endpoint
// is configured; without one there is no tracing and it costs nothing.
package telemetry

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"cloakroom.dev/libs/run"
)

// NewRegistry makes a registry that knows the Go runtime, the process, the build and the clock.
func NewRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "cloakroom_build_info", Help: "Always 1; the labels say what was built.",
		ConstLabels: prometheus.Labels{"version": run.Version().Version, "go": runtime.Version()},
	})
	build.Set(1)
	clock := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_clock_timestamp_seconds", Help: "What this process takes for now: beside the time of the scrape it tells a clock that is off.",
	}, func() float64 { return float64(time.Now().UnixMicro()) / 1e6 })
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build, clock)
	return reg
}

// TracingOptions says where spans go; Service and Registerer are required.
type TracingOptions struct {
	Service  string
	Endpoint string  // OTLP/HTTP URL, such as http://collector:4318; empty means no tracing
	Ratio    float64 // share of the traces begun here that are recorded, 0 to 1; callers' decisions are kept

	Registerer prometheus.Registerer
}

// NewTracing makes a tracer provider and the function that flushes and stops it. Spans queue in a bounded batch and are
// dropped, never waited for, when the collector is slow; cloakroom_spans_total shows it.
func NewTracing(ctx context.Context, opts TracingOptions) (trace.TracerProvider, func(context.Context) error, error) {
	if opts.Endpoint == "" {
		return noop.NewTracerProvider(), func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(opts.Endpoint))
	if err != nil {
		return nil, nil, fmt.Errorf("open the OTLP exporter: %w", err)
	}
	res, err := resource.Merge(resource.Default(), resource.NewSchemaless(
		attribute.String("service.name", opts.Service), attribute.String("service.version", run.Version().Version)))
	if err != nil {
		return nil, nil, fmt.Errorf("describe the process: %w", err)
	}
	counts := newSpanCounts(opts.Registerer)
	p := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(counts),
		sdktrace.WithBatcher(countedExporter{exporter, counts}),
		sdktrace.WithResource(res),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(opts.Ratio))),
	)
	return p, p.Shutdown, nil
}

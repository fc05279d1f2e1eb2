// Package dbtrace makes the spans of databases: one for each transaction, and below it one for each statement, named for its verb.
// They stand below the caller's span, and cost nothing when that is not recorded.
package dbtrace

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Tracing makes the spans of one database.
type Tracing struct {
	tracer trace.Tracer
	attrs  trace.SpanStartEventOption
}

// New names the database in every span: system as OpenTelemetry calls it, name as it is called here. p may be nil. scope is the
// package that traces.
func New(p trace.TracerProvider, scope, system, name string) Tracing {
	if p == nil {
		p = noop.NewTracerProvider()
	}
	return Tracing{
		tracer: p.Tracer(scope),
		attrs:  trace.WithAttributes(attribute.String("db.system.name", system), attribute.String("db.namespace", name)),
	}
}

var noEnd = func(error) {}

// Start opens a span below the caller's. The returned function ends it, with what has failed or nil.
func (t Tracing) Start(ctx context.Context, name string, more ...trace.SpanStartOption) (context.Context, func(error)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, noEnd
	}
	opts := append([]trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), t.attrs}, more...)
	ctx, span := t.tracer.Start(ctx, name, opts...)
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// Statement opens a span for one statement, whose text must be a constant of the code and hold no values.
func (t Tracing) Statement(ctx context.Context, query string) (context.Context, func(error)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, noEnd
	}
	verb, _, _ := strings.Cut(strings.TrimSpace(query), " ")
	return t.Start(ctx, verb, trace.WithAttributes(attribute.String("db.query.text", strings.Join(strings.Fields(query), " "))))
}

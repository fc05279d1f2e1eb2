package telemetry

import (
	"context"
	"io"
	"log/slog"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"cloakroom.dev/libs/problem"
)

const redacted = "[redacted]"

// NewLogger makes the logger of a service: JSON lines on w.
func NewLogger(w io.Writer, level slog.Leveler, service string) *slog.Logger {
	h := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: redact})
	return slog.New(contextHandler{h}).With("service", service)
}

// contextHandler adds the ids of the request and the trace that a record belongs to.
type contextHandler struct{ slog.Handler }

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	if s := problem.ScopeFrom(ctx); s != nil {
		r.AddAttrs(slog.String("request_id", s.RequestID()))
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}

// secretKeys are attribute names whose values are never printed.
var secretKeys = map[string]bool{
	"password": true, "secret": true, "token": true, "access_token": true, "refresh_token": true, "api_key_value": true,
	"authorization": true, "cookie": true, "set-cookie": true, "key_material": true, "bootstrap_token": true, "dsn": true,
}

// secretShapes finds our refresh tokens, API keys and tokens of links and of mails, and JWTs, inside any text.
var secretShapes = regexp.MustCompile(`cr[rklm]_[A-Za-z0-9_-]{8,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]*`)

func redact(_ []string, a slog.Attr) slog.Attr {
	if secretKeys[strings.ToLower(a.Key)] {
		return slog.String(a.Key, redacted)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		if text := a.Value.String(); suspicious(text) {
			a.Value = slog.StringValue(secretShapes.ReplaceAllString(text, redacted))
		}
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(secretShapes.ReplaceAllString(err.Error(), redacted))
		}
	}
	return a
}

// suspicious spares ordinary text the regular expression.
func suspicious(s string) bool {
	return strings.Contains(s, "crr_") || strings.Contains(s, "crk_") || strings.Contains(s, "crl_") ||
		strings.Contains(s, "crm_") || strings.Contains(s, "eyJ")
}

package telemetry

import (
	"context"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/trace"

	"cloakroom.dev/libs/problem"
)

const redacted = "[redacted]"

// NewLogger makes the logger of a service: JSON lines on w, of which each is one Write.
func NewLogger(w io.Writer, level slog.Leveler, service string) *slog.Logger {
	out := &output{to: w}
	h := contextHandler{Handler: slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}), out: out, constant: []byte{}}
	return slog.New(h).With("service", service)
}

// contextHandler adds the ids of the request and the trace that a record belongs to, and redacts. It looks at each
// attribute itself: slog's ReplaceAttr costs an access log line half as much again, whether anything is replaced or not.
type contextHandler struct {
	slog.Handler
	out      *output
	constant []byte // see line; nil when lines are slog's alone
}

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.handle(ctx, r)
	if err == nil && r.Level >= slog.LevelWarn {
		err = h.out.flush()
	}
	return err
}

func (h contextHandler) handle(ctx context.Context, r slog.Record) error {
	room := lines.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
	text, simple := h.line(ctx, (*room)[:0], &r)
	defer func() {
		if *room = text; cap(text) <= lineKept {
			lines.Put(room)
		}
	}()
	if simple {
		_, err := h.out.Write(text)
		return err
	}
	if s := problem.ScopeFrom(ctx); s != nil {
		r.AddAttrs(slog.String("request_id", s.RequestID()))
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()))
	}
	return h.Handler.Handle(ctx, redactRecord(r))
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	safe := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		safe[i], _ = redact(a)
	}
	next := contextHandler{Handler: h.Handler.WithAttrs(safe), out: h.out}
	if more := constant(attrs); h.constant != nil && more != nil {
		next.constant = slices.Concat([]byte{}, h.constant, more)
	}
	return next
}

// WithGroup leaves lines to slog.
func (h contextHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return contextHandler{Handler: h.Handler.WithGroup(name), out: h.out}
}

// secretKeys are attribute names whose values are never printed.
var secretKeys = map[string]bool{
	"password": true, "secret": true, "token": true, "access_token": true, "refresh_token": true, "api_key_value": true,
	"authorization": true, "cookie": true, "set-cookie": true, "key_material": true, "bootstrap_token": true, "dsn": true,
}

// secretShapes finds our refresh tokens, API keys and tokens of links and of mails, and JWTs, inside any text.
var secretShapes = regexp.MustCompile(`cr[rklmf]_[A-Za-z0-9_-]{8,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]*`)

// redactRecord returns r itself when there is nothing to hide, which is nearly always.
func redactRecord(r slog.Record) slog.Record {
	clean := !suspicious(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		_, changed := redact(a)
		clean = clean && !changed
		return clean
	})
	if clean {
		return r
	}
	safe := slog.NewRecord(r.Time, r.Level, secretShapes.ReplaceAllString(r.Message, redacted), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		a, _ = redact(a)
		safe.AddAttrs(a)
		return true
	})
	return safe
}

// redact returns the attribute as it may be printed, and whether that is another one.
func redact(a slog.Attr) (safe slog.Attr, changed bool) {
	if secretKeys[strings.ToLower(a.Key)] {
		return slog.String(a.Key, redacted), true
	}
	if a.Value.Kind() == slog.KindLogValuer {
		a.Value = a.Value.Resolve()
	}
	text := ""
	switch a.Value.Kind() {
	case slog.KindString:
		text = a.Value.String()
	case slog.KindGroup:
		return redactGroup(a)
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			text = err.Error()
		}
	}
	if !suspicious(text) {
		return a, false
	}
	return slog.String(a.Key, secretShapes.ReplaceAllString(text, redacted)), true
}

func redactGroup(group slog.Attr) (safe slog.Attr, changed bool) {
	members := slices.Clone(group.Value.Group())
	for i, member := range members {
		var one bool
		members[i], one = redact(member)
		changed = changed || one
	}
	if !changed {
		return group, false
	}
	return slog.Attr{Key: group.Key, Value: slog.GroupValue(members...)}, true
}

// suspicious spares ordinary text the regular expression.
func suspicious(s string) bool {
	return strings.Contains(s, "eyJ") || strings.Contains(s, "cr") && (strings.Contains(s, "crr_") ||
		strings.Contains(s, "crk_") || strings.Contains(s, "crl_") || strings.Contains(s, "crm_") || strings.Contains(s, "crf_"))
}

package telemetry

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"cloakroom.dev/libs/problem"
)

// output is where lines go, each whole: those that slog makes and those that are made here.
type output struct {
	mu sync.Mutex
	to io.Writer
}

func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.to.Write(line)
}

// flush has a writer that gathers lines write them.
func (o *output) flush() error {
	if to, ok := o.to.(interface{ Flush() error }); ok {
		return to.Flush()
	}
	return nil
}

// lines are memory for one each.
var lines = sync.Pool{New: func() any { b := make([]byte, 0, lineRoom); return &b }}

const (
	lineRoom = 512      // of most lines
	lineKept = 16 << 10 // longer ones are not kept
)

// constant is what each line of a logger says between its message and its own attributes, as slog writes it. It is nil for
// attributes that are not simple.
func constant(attrs []slog.Attr) []byte {
	b := []byte{}
	for _, a := range attrs {
		var simple bool
		if b, simple = appendAttr(b, a); !simple {
			return nil
		}
	}
	return b
}

// line appends the whole line of a record, byte for byte what slog would make of it, at a third of the price: each request is
// such a line. It reports false for a record that is not simple: one with a group or a value that is neither text nor number,
// with a text that JSON has to escape, or with anything to hide.
func (h contextHandler) line(ctx context.Context, b []byte, r *slog.Record) (_ []byte, simple bool) {
	if h.constant == nil || r.Time.IsZero() || !plain(r.Message) {
		return b, false
	}
	b = append(b, `{"time":"`...)
	b = r.Time.Round(0).AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"`...)
	b = append(b, r.Level.String()...)
	b = append(b, `","msg":"`...)
	b = append(b, r.Message...)
	b = append(b, '"')
	b = append(b, h.constant...)
	simple = true
	r.Attrs(func(a slog.Attr) bool {
		b, simple = appendAttr(b, a)
		return simple
	})
	if s := problem.ScopeFrom(ctx); s != nil && simple {
		b, simple = appendAttr(b, slog.String("request_id", s.RequestID()))
	}
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() && simple {
		b, simple = appendAttr(b, slog.String("trace_id", sc.TraceID().String()))
	}
	return append(b, '}', '\n'), simple
}

// appendAttr appends `,"key":value`.
func appendAttr(b []byte, a slog.Attr) (_ []byte, simple bool) {
	if !everyday(a.Key) && (!plain(a.Key) || a.Key == "" || secretKeys[strings.ToLower(a.Key)]) {
		return b, false
	}
	b = append(b, ',', '"')
	b = append(b, a.Key...)
	b = append(b, '"', ':')
	switch a.Value.Kind() {
	case slog.KindString:
		text := a.Value.String()
		b = append(b, '"')
		b = append(b, text...)
		return append(b, '"'), plain(text)
	case slog.KindInt64:
		return strconv.AppendInt(b, a.Value.Int64(), 10), true
	case slog.KindBool:
		return strconv.AppendBool(b, a.Value.Bool()), true
	default:
		return b, false
	}
}

// plain reports whether s is written to JSON as it is, and is not suspicious.
func plain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > '~', c == '"', c == '\\':
			return false
		case c == '_' || c == 'J':
			if suspicious(s[max(0, i-3) : i+1]) {
				return false
			}
		}
	}
	return true
}

// everyday names are those of each request's line, where only what they stand for may have something to hide.
func everyday(key string) bool {
	switch key {
	case "method", "route", "path", "status", "bytes", "duration_us", "client", "request_id":
		return true
	}
	return false
}

package telemetry_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cloakroom.dev/libs/problem"
	"cloakroom.dev/libs/telemetry"
)

// asked is a request with an id.
type asked struct {
	problem.Scope
	id string
}

func (a asked) RequestID() string { return a.id }

// texts are what callers may bring: any characters, and now and then something in the shape of a secret.
var texts = rapid.OneOf(
	rapid.StringMatching(`[ -~]{0,30}`), rapid.String(),
	rapid.StringMatching(`[a-z/]{0,5}(cr[rklmf]_|eyJ|cr|crx_)[A-Za-z0-9_-]{0,12}\.?[a-z]{0,3}`),
)

// TestNewLogger_LinesAreThoseOfSlog holds every line to what slog makes of the same record, once its secrets are out.
func TestNewLogger_LinesAreThoseOfSlog(t *testing.T) {
	keys := rapid.OneOf(rapid.SampledFrom([]string{"method", "route", "path", "status", "bytes", "client", "password", "Cookie", ""}), texts)
	one := rapid.Custom(func(rt *rapid.T) slog.Attr {
		key := keys.Draw(rt, "key")
		switch rapid.IntRange(0, 6).Draw(rt, "kind") {
		case 0:
			return slog.Int64(key, rapid.Int64().Draw(rt, "number"))
		case 1:
			return slog.Bool(key, rapid.Bool().Draw(rt, "truth"))
		case 2:
			return slog.Duration(key, time.Duration(rapid.Int64().Draw(rt, "duration")))
		case 3:
			return slog.Group(key, slog.String("inside", texts.Draw(rt, "inside")))
		default:
			return slog.String(key, texts.Draw(rt, "text"))
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		level := rapid.SampledFrom([]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelInfo + 1, slog.LevelError}).Draw(rt, "level")
		at := time.Unix(rapid.Int64Range(0, 1<<33).Draw(rt, "second"), rapid.Int64Range(0, 999_999_999).Draw(rt, "nanosecond"))
		with := rapid.SliceOfN(one, 0, 3).Draw(rt, "with")
		r := slog.NewRecord(at, level, texts.Draw(rt, "message"), 0)
		r.AddAttrs(rapid.SliceOfN(one, 0, 9).Draw(rt, "attributes")...)
		id := texts.Draw(rt, "request id")
		ctx := problem.WithScope(context.Background(), asked{id: id})

		var got, want bytes.Buffer
		logger := telemetry.NewLogger(&got, slog.LevelDebug, "test")
		bySlog := telemetry.NewSlogLogger(&want, slog.LevelDebug, "test")
		if grouped := rapid.IntRange(0, 9).Draw(rt, "group") == 0; grouped {
			logger, bySlog = logger.WithGroup("g"), bySlog.WithGroup("g")
		}
		if err := logger.Handler().WithAttrs(with).Handle(ctx, r.Clone()); err != nil {
			rt.Fatal(err)
		}
		if err := bySlog.Handler().WithAttrs(with).Handle(ctx, r); err != nil {
			rt.Fatal(err)
		}
		if got.String() != want.String() {
			rt.Fatalf("\n%s\n%s", &got, &want)
		}
	})
}

// TestNewLogger_NothingOfARequestShowsASecret: what a client chooses of the access log's line.
func TestNewLogger_NothingOfARequestShowsASecret(t *testing.T) {
	const key = "crk_AbCdEfGhIjKl"
	for _, where := range []string{"method", "route", "path", "client", "request_id", "message"} {
		var out bytes.Buffer
		r := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0)
		id := "1"
		switch where {
		case "request_id":
			id = key
		case "message":
			r.Message = "with " + key
		default:
			r.AddAttrs(slog.String(where, "a"+key))
		}
		ctx := problem.WithScope(t.Context(), asked{id: id})
		_ = telemetry.NewLogger(&out, slog.LevelInfo, "test").Handler().Handle(ctx, r)
		if strings.Contains(out.String(), key) || !strings.Contains(out.String(), "[redacted]") {
			t.Errorf("%s: %s", where, &out)
		}
	}
}
